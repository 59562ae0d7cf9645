struct in { int a; };
struct out { int m; string s; };
translator struct out < struct in *p > { z = p->a; };
BEGIN
{
	
}
