BEGIN
{
	trace(((int *)1)->x);
}
