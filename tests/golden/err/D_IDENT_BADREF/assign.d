BEGIN
{
	trace = 1;
}
