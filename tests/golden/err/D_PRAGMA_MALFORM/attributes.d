#pragma D attributes Good/Better/Best pid
BEGIN
{
	
}
