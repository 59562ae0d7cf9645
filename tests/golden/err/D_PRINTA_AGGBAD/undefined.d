BEGIN
{
	printa(@nope);
}
