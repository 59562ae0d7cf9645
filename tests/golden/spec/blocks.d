/* speculate() reaches to the end of its block; each block is a clause of its own for what may follow what. */
syscall::read:entry
{
	if (arg0 > 5) {
		speculate(1);
		trace(1);
	} else {
		commit(1);
	}
	trace(2);
}
