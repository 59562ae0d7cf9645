BEGIN
{
	trace(5(1));
}
