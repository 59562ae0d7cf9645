BEGIN
{
	trace(strstr("a", "b"));
}
