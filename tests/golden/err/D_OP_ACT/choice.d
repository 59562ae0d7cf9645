BEGIN
{
	x = 1;
	this->y = x ? trace(1) : 2;
}
