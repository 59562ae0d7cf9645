#pragma D option nolibs

BEGIN
{
	trace(EPERM);
}
