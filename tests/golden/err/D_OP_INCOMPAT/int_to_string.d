BEGIN
{
	x = "abc";
	x = 5;
}
