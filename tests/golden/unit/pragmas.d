#!/usr/sbin/dtrace -s
#pragma D option quiet
#pragma D option strsize=64
#pragma other stuff
#ident "nothing"
#pragma D depends_on library procfs.d
#pragma D depends_on provider syscall
#pragma D attributes Stable/Stable/Common LIMIT
#pragma D attributes Evolving/Evolving/ISA provider syscall provider
#pragma D binding "1.2.3" LIMIT
inline int LIMIT = 3;
BEGIN
{
	trace(sizeof(string)); trace(LIMIT);
}
