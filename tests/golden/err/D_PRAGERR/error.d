#error this program needs care
BEGIN
{
	
}
