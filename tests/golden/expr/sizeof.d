struct s { char a; long b; int c:4; };
BEGIN
{
	trace(sizeof(struct s)); trace(sizeof(int)); trace(sizeof(string)); trace(sizeof(void *)); x = 1UL; trace(sizeof x);
	trace(sizeof(((struct s *)0)->b)); trace(offsetof(struct s, b)); trace(sizeof(int [3]));
}
