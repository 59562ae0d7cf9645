BEGIN
{
	trace($nope);
}
