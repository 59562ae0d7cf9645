/* args[] of each description have types of their own */
syscall::read:entry, syscall::open:entry, syscall::openat:entry
/args[0] != 0/
{
	trace(args[1]);
}
sched:::off-cpu, proc:::lwp-create { self->x = args[1]->pr_pid; }
