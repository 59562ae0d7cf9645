BEGIN
{
	@a[1] = count();
	@b[1, "x"] = count();
	printa(@a, @b);
}
