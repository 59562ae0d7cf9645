struct in { int a; };
struct out { int m; string s; };
BEGIN
{
	trace(xlate < struct out > ((struct in *)1).m);
}
