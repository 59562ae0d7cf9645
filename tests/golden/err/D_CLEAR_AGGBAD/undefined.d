BEGIN
{
	clear(@nope);
}
