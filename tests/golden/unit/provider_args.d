struct in { int a; };
struct out { int twice; };
translator struct out < struct in *p > { twice = p->a * 2; };
provider dtrace {
	probe BEGIN(int n, struct in *p) : (struct out *p, long n);
	probe END(char c, struct in *p : struct out);
};
BEGIN
{
	trace(args[0]->twice);
	trace(args[1]);
}
END
{
	trace(args[0]);
	trace(args[1].twice);
}
