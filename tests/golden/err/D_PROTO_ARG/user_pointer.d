syscall::open:entry
{
	trace(strlen(args[0]));
}
