#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opensnoop - files that are opened: who, which, and what became of it.
 *
 *	opensnoop.d                  everybody, until ^C
 *	opensnoop.d -c 'command'     a command and what it starts; -p PID for one that runs
 */
#pragma D option quiet

BEGIN
{
	printf("%-7s %-16s %4s %5s %s\n", "PID", "COMMAND", "FD", "ERRNO", "PATH");
}

syscall::open:entry, syscall::creat:entry
/$target == 0 || progenyof($target)/
{
	self->path = arg0;
}

syscall::openat:entry, syscall::openat2:entry
/$target == 0 || progenyof($target)/
{
	self->path = arg1;
}

/* The name is read at the return: by then the kernel has brought it into memory. */
syscall::open:return, syscall::creat:return, syscall::openat:return, syscall::openat2:return
/self->path/
{
	printf("%-7d %-16s %4d %5d %s\n", pid, execname, errno ? -1 : (int)arg0, errno, copyinstr(self->path));
	self->path = 0;
}
