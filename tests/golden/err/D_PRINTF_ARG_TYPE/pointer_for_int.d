BEGIN
{
	printf("%x", (int *)1);
}
