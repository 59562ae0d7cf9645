BEGIN
{
	trace("abc);