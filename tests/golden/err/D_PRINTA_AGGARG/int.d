BEGIN
{
	printa("x\n", pid);
}
