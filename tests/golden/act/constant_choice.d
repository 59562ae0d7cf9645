/* with a constant in front of ?, one branch is the statement and the other one is not looked at */
inline int OPT_a = 1;
inline int OPT_b = 0;
inline string NAME = "x";
BEGIN
{
	OPT_a ? printf("%s\n", NAME) : 1;
	OPT_b ? printf("%s\n", nothing) : 1;
	(OPT_a && OPT_b == 0) ? @c[probename] = count() : 1;
	OPT_b ? 1 : OPT_a ? exit(0) : undefined();
	pid ? self->ok = 1 : 1;
}
