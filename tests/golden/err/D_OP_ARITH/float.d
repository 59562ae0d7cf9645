struct s { double d; };
BEGIN
{
	x = ((struct s *)1)->d + 1;
}
