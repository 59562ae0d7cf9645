BEGIN
{
	EPERM = 3;
}
