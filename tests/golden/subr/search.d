BEGIN
{
	a = index(copyinstr(arg0), "aab");
}
