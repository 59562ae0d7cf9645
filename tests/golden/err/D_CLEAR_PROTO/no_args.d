BEGIN
{
	@a = count();
	clear();
}
