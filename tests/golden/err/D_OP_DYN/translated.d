BEGIN
{
	x = curcpu;
}
