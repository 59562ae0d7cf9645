struct s { int a; };
BEGIN
{
	x++; --x; self->y++; this->z--; a[pid]++; ++self->b["x"]; a[1] += 5; self->y -= 2; x *= 3L;
	x = 2; x <<= 1; this->c = (char)1; this->c += 1000; x ^= self->y;
}
