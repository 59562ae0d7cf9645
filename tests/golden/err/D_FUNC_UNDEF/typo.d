BEGIN
{
	trace(strlenn("a"));
}
