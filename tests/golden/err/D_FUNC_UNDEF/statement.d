BEGIN
{
	prinft("hello");
}
