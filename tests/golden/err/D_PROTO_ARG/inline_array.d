inline int f[int i] = i + 1;
BEGIN
{
	trace(f["a"]);
}
