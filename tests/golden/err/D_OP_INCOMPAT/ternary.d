BEGIN
{
	x = pid ? 1 : "b";
}
