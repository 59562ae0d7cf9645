struct in { int a; };
struct out { int m; string s; };
translator struct out < struct in *p > { m = p->a; };
BEGIN
{
	trace(xlate < struct out > ((struct in *)1).s);
}
