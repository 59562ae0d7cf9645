BEGIN
{
	trace(offsetof(int, b));
}
