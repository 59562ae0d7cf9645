BEGIN
{
	trace(self->vmlinux`x);
}
