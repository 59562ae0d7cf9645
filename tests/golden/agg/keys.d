struct s { int a; char n[8]; };
syscall::read:entry
{
	@a[execname] = count(); @a["x"] = count(); @b[pid, probefunc, "lit", 9904] = sum(1);
	@c[stack()] = count(); @d[ustack(3), usym(arg1)] = count(); @e[sym(arg0), mod(arg0), uaddr(arg1)] = count(); @f[pid] = count(); @f[timestamp] = count();
	@h[((struct s *)arg0)->n] = count(); @i[*(struct s *)arg0] = count();
}
