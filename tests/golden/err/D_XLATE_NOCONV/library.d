BEGIN
{
	trace(curcpu->cpu_name);
}
