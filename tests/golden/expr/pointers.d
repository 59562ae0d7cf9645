struct s { int a; char b; short c[3]; struct s *next; };
BEGIN
{
	p = (struct s *)arg0;
	a = p->a; b = (*p).b; c = p->c[1]; d = *p->c; e = &p->c[2]; f = p + 1; h = 2 + p; i = p - f; j = p[3].a;
	k = (char *)p + 1; m = &p->next->c; n = p == f; o = p && 1; q = p ? p : 0; r = (char *)p + 4; t = *&p->a;
	p++; p += 2; u = (long)p; v = p > 5;
}
