BEGIN
{
	s = "abc";
	a = s == "x"; b = execname != s; c = "a" < "b"; d = s >= execname; e = s == 0;
}
