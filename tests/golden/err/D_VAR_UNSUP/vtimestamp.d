BEGIN
{
	trace(vtimestamp);
}
