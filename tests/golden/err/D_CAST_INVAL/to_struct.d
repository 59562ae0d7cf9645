struct s { int a; };
BEGIN
{
	this->s = (struct s)1;
}
