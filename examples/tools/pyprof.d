#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pyprof - where a Python program spends its time, by Python function.
 *
 *	pyprof.d -p PID              until ^C
 *	pyprof.d -c 'python3 program.py'
 *	pydtrace --flamegraph profile.svg -s pyprof.d -c 'python3 program.py'
 */
#pragma D option quiet
#pragma D option jstackframes=60

profile-997
/pid == $target/
{
	@[jstack()] = count();
}
