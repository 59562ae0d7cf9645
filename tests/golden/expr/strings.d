struct s { char name[16]; char *path; };
BEGIN
{
	p = (struct s *)arg0;
	a = p->name == "x"; b = stringof(p->path); c = (string)p->name; d = p->path == execname; e = stringof(arg0);
	f = strlen(p->name); h = strjoin(execname, p->path); i = 1 ? "abc" : "de"; j = pid ? execname : p->name; k = p->name;
	l = substr(execname, 1); m = basename(h); n = j < i;
}
