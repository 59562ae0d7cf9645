struct s;
BEGIN
{
	trace((struct s *)1 + 1);
}
