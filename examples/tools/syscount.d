#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscount - system calls: how many, how long they take, how many fail.
 *
 *	syscount.d                   until ^C
 *	syscount.d -c 'command'
 */
#pragma D option quiet

syscall:::entry
/$target == 0 || progenyof($target)/
{
	self->begun = timestamp;
}

syscall:::return
/self->begun/
{
	@calls[probefunc] = count();
	@total[probefunc] = sum(timestamp - self->begun);
	@longest[probefunc] = max(timestamp - self->begun);
	@times = quantize(timestamp - self->begun);
	self->begun = 0;
}

syscall:::return
/errno && ($target == 0 || progenyof($target))/
{
	@failed[probefunc, errno] = count();
}

END
{
	printf("%-24s %10s %16s %14s\n", "CALL", "COUNT", "NANOSECONDS", "LONGEST");
	printa("%-24s %@10d %@16d %@14d\n", @calls, @total, @longest);
	printf("\n%-24s %10s %10s\n", "FAILED", "ERRNO", "COUNT");
	printa("%-24s %10d %@10d\n", @failed);
	printf("\nnanoseconds of all calls");
	printa(@times);
}
