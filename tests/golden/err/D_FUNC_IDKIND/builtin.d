BEGIN
{
	trace(pid());
}
