#line twelve
BEGIN
{
	
}
