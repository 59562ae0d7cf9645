BEGIN
{
	trace(xlate < int > (pid).m);
}
