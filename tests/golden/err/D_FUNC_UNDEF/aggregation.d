BEGIN
{
	@ = cuont();
}
