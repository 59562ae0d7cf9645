BEGIN
{
	trunc(@nope);
}
