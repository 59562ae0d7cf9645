#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rwtop - who reads and writes most through system calls, a table each second.
 *
 *	rwtop.d                      until ^C
 *	rwtop.d -c 'command'
 */
#pragma D option quiet

syscall::read:return, syscall::pread64:return, syscall::readv:return, syscall::recvfrom:return
/arg0 > 0 && ($target == 0 || progenyof($target))/
{
	@bytes[execname, pid, "read"] = sum(arg0);
}

syscall::write:return, syscall::pwrite64:return, syscall::writev:return, syscall::sendto:return
/arg0 > 0 && ($target == 0 || progenyof($target))/
{
	@bytes[execname, pid, "write"] = sum(arg0);
}

tick-1s, END
{
	printf("%Y\n  %-16s %8s %-5s %12s\n", walltimestamp, "COMMAND", "PID", "", "BYTES");
	trunc(@bytes, 10);
	printa("  %-16s %8d %-5s %@12d\n", @bytes);
	trunc(@bytes);
}
