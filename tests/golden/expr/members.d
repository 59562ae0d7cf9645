struct in { int a:3; unsigned b:5; long c; };
union u { int i; struct in s; char raw[8]; };
struct out { union u u; struct { int x; int y; }; struct in *p; };
BEGIN
{
	o = (struct out *)arg0;
	trace(o->u.s.b); trace(o->y); trace(o->p->a + 1); trace(o->u.raw[3]); trace(o->p->b << 1);
	this->copy = *o->p; trace(this->copy.c); this->copy.c = 5; this->copy.a++;
}
