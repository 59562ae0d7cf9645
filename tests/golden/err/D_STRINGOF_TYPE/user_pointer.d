syscall::open:entry
{
	trace(stringof(args[0]));
}
