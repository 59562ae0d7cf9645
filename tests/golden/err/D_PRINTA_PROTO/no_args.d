BEGIN
{
	printa("x\n");
}
