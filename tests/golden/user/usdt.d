/* where arguments are: a row of a table in globals, by the place that fired */
server$target:::request-start { trace(arg0); trace((int)arg1); }
server$target:a.out:serve:request-done /args[1] > 3/ { trace(args[0]); }
