#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offcpu - why threads do not run: where they leave the processor, and for how long.
 *
 *	offcpu.d -p PID              until ^C
 *	offcpu.d -c 'command'
 *	pydtrace --flamegraph off.svg -s offcpu.d -c 'command'      as a picture
 */
#pragma D option quiet
#pragma D option ustackframes=30

sched:::off-cpu
/pid == $target/
{
	self->left = timestamp;
	@[ustack()] = count();
}

sched:::on-cpu
/self->left/
{
	@away["microseconds off the processor"] = quantize((timestamp - self->left) / 1000);
	self->left = 0;
}
