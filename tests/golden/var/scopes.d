int g;
self int s;
this string t;
string names[int];
self uint64_t ts[pid_t, string];
int vec[4];
this int tmp[3];
BEGIN
{
	g = 1; self->s = 2; this->t = "x"; names[1] = "y"; self->ts[pid, execname] = timestamp; vec[2] = 3; this->tmp[g] = vec[1];
	self->ts[pid, execname] = 0; names[1] = 0; self->s = 0; trace(names[2]);
}
