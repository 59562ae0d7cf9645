struct s { int a:3; };
BEGIN
{
	trace(&((struct s *)1)->a);
}
