struct s { int a; };
provider dtrace {
	probe BEGIN(int n : struct s);
};
BEGIN
{
	trace(args[0].a);
}
