syscall::open:entry
{
	trace(copyinstr(args[0])); trace(*args[0]); this->c = args[0][2]; p = args[0] + 1; trace(args[0] == 0);
}
