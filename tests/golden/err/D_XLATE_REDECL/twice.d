struct in { int a; };
struct out { int m; string s; };
translator struct out < struct in *p > { m = p->a; };
translator struct out < struct in *q > { m = q->a; };
BEGIN
{
	
}
