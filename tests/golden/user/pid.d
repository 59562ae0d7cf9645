/* arguments in registers and on the stack; one probe, all of it in the files that are there */
pid$target:a.out:serve:entry { trace(arg0 + arg7); trace(probefunc); }
pid$target:a.out:serve:return { trace(arg1); }
