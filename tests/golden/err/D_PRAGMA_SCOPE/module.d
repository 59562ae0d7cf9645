#pragma D attributes Stable/Stable/Common vmlinux`x
#pragma D binding "1.0" self->x
BEGIN
{
	trace(pid);
}
