struct a { int x; };
struct b { int x; };
BEGIN
{
	x = (struct a *)1;
	x = (struct b *)1;
}
