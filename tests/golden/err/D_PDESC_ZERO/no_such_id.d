999999
{
	trace(arg0);
}
