#pragma D option amin=Stable/Stable/Common
BEGIN
/curthread != NULL/
{
	trace(pid);
}
BEGIN
{
	trace(pid);
}
