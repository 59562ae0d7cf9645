pid$target:a.out:serve:2 { }
