syscall::read:entry
{
	trace(arg0 + arg9); this->x = arg1;
}
