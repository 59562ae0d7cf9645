syscall::no_such_call:entry
{
	trace(arg0);
}
