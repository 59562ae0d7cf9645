struct in { int a; };
struct out { int m; string s; };
translator int < struct in *p > { m = p->a; };
BEGIN
{
	
}
