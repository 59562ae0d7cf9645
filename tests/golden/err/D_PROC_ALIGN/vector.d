pid$target:a.out:vector:entry { }
