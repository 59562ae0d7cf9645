BEGIN, END, dtrace:::ERROR { trace(1); }
syscall::open*:entry, syscall:vmlinux:read:entry,syscall::[rw]*e:return
/* between */ / arg0 > 1 / // and after
{ trace(2); }
1, 2 { }
:::BEGIN { }
profile-97, tick-1sec { @ = count(); }
tick-10ms;
