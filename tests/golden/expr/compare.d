BEGIN
{
	i = -1; u = 1U; l = 2L; ul = 3UL;
	a = i < u; b = i < l; c = u >= l; d = i != ul; e = l == ul;
}
