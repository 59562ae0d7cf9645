inline int f[int i] = i + 1;
BEGIN
{
	trace(f[1, 2]);
}
