BEGIN
{
	@[exit(0)] = count();
	x[count()] = 1;
}
