pid$target:a.out:serve:40 { }
