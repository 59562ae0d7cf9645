BEGIN
{
	printf("plain\n"); printf("%d %i %u %x %X %o %c", pid, uid, arg0, arg1, 5L, (char)1, 'x');
	printf("%s|%-10s|%.3s|%S", execname, probefunc, "abc", "a\n"); printf("%p %p %a %A", arg0, (int *)arg0, arg0, arg1); printf("%a %A", sym(arg0), usym(arg1));
	printf("%Y %T", walltimestamp, walltimestamp); printf("%*d %-*.*s", 5, 6, 7, 8, "x"); printf("%k%k", stack(), ustack()); printf("%5.2d%%", 7);
	printf("%hd %ld %lld %llu", (short)1, 2L, 3LL, timestamp);
}
