#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults - page faults: who causes them, and from where in the program.
 *
 *	faults.d -c 'command'        -p PID for one that runs
 */
#pragma D option quiet

vminfo:::as_fault
/pid == $target/
{
	@faults[execname] = count();
	@from[ustack(5)] = count();
}

vminfo:::maj_fault
/pid == $target/
{
	@major[execname] = count();
}

END
{
	printa("%-16s %@8d page faults\n", @faults);
	printa("%-16s %@8d of them read from a disk\n", @major);
	trunc(@from, 5);
	printf("most of them here");
	printa(@from);
}
