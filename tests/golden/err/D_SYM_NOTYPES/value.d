BEGIN
{
	trace(`xtime_of_old);
}
