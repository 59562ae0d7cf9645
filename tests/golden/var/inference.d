struct s { int a; };
BEGIN
{
	i = 1; u = timestamp; s = "x"; p = (struct s *)arg0; e = *p; ex = execname; pr = probefunc; c = (char)1;
	self->k[execname, pid, 1] = 1; z[arg0, probename] = "a"; z[1, "b"] = execname;
}
