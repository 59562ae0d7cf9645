/* speculation(), speculate(), commit(), discard(): slots by compare-and-swap, records in the slot's own buffer. */
dtrace:::BEGIN { self->s = speculation(); }

syscall::openat:entry
/self->s/
{
	speculate(self->s);
	trace(arg0);
}

syscall::openat:return
/self->s && errno/
{
	commit(self->s);
}

syscall::openat:return
/self->s/
{
	discard(self->s);
}
