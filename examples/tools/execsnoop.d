#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execsnoop - programs that are started, with their arguments and how long they ran.
 *
 *	execsnoop.d                  everybody, until ^C
 *	execsnoop.d -c 'command'     what a command starts
 */
#pragma D option quiet

BEGIN
{
	printf("%-12s %-7s %-7s %s\n", "MS", "PID", "PPID", "COMMAND");
	start = timestamp;
}

proc:::exec-success
/$target == 0 || progenyof($target)/
{
	started[pid] = timestamp;
	printf("%-12d %-7d %-7d %s\n", (timestamp - start) / 1000000, pid, ppid, curpsinfo->pr_psargs);
}

proc:::exit
/started[pid]/
{
	@["milliseconds that programs ran", execname] = quantize((timestamp - started[pid]) / 1000000);
	started[pid] = 0;
}
