BEGIN
{
	a = 1; b = 2; d = 3;
	x = a + b * d - -a << 1 & 3 | 4 ^ 5;
	y = a == b != d < a > b;
	z = a || b && d ^^ a;
	w = a ? b ? 1 : 2 : d ? 3 : 4;
	v = a, b;
}
