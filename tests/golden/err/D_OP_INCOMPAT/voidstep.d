BEGIN
{
	p = (void *)arg0;
	q = p + 1;
	r = p - p;
}
