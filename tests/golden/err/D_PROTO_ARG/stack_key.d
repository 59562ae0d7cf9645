BEGIN
{
	@a[stack()] = count();
	@a[pid] = count();
}
