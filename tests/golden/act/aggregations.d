BEGIN
{
	@a[execname, pid] = count(); @b[execname, pid] = sum(1);
	printa(@a); printa("%-16s %5d %@8d\n", @a); printa(@a, @b); printa("%s %d %@u %@d\n", @a, @b); printa("total %@d\n", @a);
	clear(@a); trunc(@a); trunc(@a, 10); trunc(@a, -5); normalize(@a, 1000); denormalize(@a);
}
