BEGIN
{
	@a = count();
	normalize();
}
