provider myprov {
	probe start(int, char *);
	probe done(int a : string, struct foo *f) : (int a, string f);
	probe empty();
};
BEGIN
{
	trace(1);
}
