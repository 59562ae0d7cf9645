provider myprov {
	probe start(int, char *);
	probe done(int a : string, struct foo *f) : (int x, string y);
	probe empty();
};
BEGIN
{
	trace(1);
}
