struct in { int a; };
struct out { int m; string s; };
translator struct out < struct in *p > { m = "abc"; };
BEGIN
{
	
}
