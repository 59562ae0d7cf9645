syscall::read:entry
{
	trace(args[0]); trace(args[1]); trace(args[2] + 1); this->p = args[1];
}
