struct s { int a; };
BEGIN
{
	trace(((struct s *)1)->b);
}
