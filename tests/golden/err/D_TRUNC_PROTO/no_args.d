BEGIN
{
	@a = count();
	trunc();
}
