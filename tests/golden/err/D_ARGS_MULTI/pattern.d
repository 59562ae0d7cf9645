syscall::open*:entry
{
	trace(args[0]);
}
