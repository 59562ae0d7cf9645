void *p;
void (*f)(int);
BEGIN
{
	p++;
	--p;
	p += 4;
	f -= 1;
}
