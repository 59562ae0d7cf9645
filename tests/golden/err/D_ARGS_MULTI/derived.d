proc:::create, sched:::off-cpu { trace(args[0]->pr_pid); }
