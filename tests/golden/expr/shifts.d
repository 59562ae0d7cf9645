BEGIN
{
	c = (char)1; l = 2L; u = 3U;
	x = c << l; y = l >> c; z = u >> 1; u <<= l; c >>= 1;
}
