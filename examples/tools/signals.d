#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals - who sends which signal to whom.
 *
 *	signals.d                    until ^C
 *	signals.d -c 'command'       what a command and its children send
 */
#pragma D option quiet

BEGIN
{
	printf("%-16s %-7s %-6s %-16s %s\n", "FROM", "PID", "SIGNAL", "TO", "PID");
}

proc:::signal-send
/$target == 0 || progenyof($target)/
{
	printf("%-16s %-7d %-6d %-16s %d\n", execname, pid, args[2], args[1]->pr_fname, args[1]->pr_pid);
}
