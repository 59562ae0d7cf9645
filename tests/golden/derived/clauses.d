/* Translated and native arguments; a copy for each kind of probe, with its own condition; other threads. */
proc:::create { trace(args[0]->pr_pid); trace(arg0); trace(arg1); }
proc:::create, proc:::start /pid == 3/ { @[probename, execname] = count(); }
sched:::on-cpu { self->since = timestamp; trace(curthread->pid); if (tid) trace(ppid); }
sched:::off-cpu /self->since/ { @t[args[1]->pr_pid] = sum(timestamp - self->since); }
