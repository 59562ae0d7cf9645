#pragma D frobnicate x
BEGIN
{
	
}
