#!/usr/bin/env -S pydtrace -s
/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iosnoop - input and output of disks: who, how much, how long it took.
 *
 *	iosnoop.d                    until ^C; with -c or -p only what these cause directly
 */
#pragma D option quiet

BEGIN
{
	printf("%-16s %-7s %1s %10s %8s %-10s %s\n", "COMMAND", "PID", "D", "BLOCK", "BYTES", "DEVICE", "MICROSECONDS");
}

io:::start
/$target == 0 || progenyof($target)/
{
	begun[args[0]->b_edev, args[0]->b_blkno] = timestamp;
	by[args[0]->b_edev, args[0]->b_blkno] = execname;
	who[args[0]->b_edev, args[0]->b_blkno] = pid;
}

io:::done
/begun[args[0]->b_edev, args[0]->b_blkno]/
{
	this->took = (timestamp - begun[args[0]->b_edev, args[0]->b_blkno]) / 1000;
	printf("%-16s %-7d %1s %10d %8d %-10s %d\n", by[args[0]->b_edev, args[0]->b_blkno],
	    who[args[0]->b_edev, args[0]->b_blkno], args[0]->b_flags & B_READ ? "R" : "W",
	    args[0]->b_blkno, args[0]->b_bcount, args[1]->dev_statname, this->took);
	@[args[0]->b_flags & B_READ ? "microseconds to read" : "microseconds to write"] = quantize(this->took);
	begun[args[0]->b_edev, args[0]->b_blkno] = 0;
	by[args[0]->b_edev, args[0]->b_blkno] = 0;
	who[args[0]->b_edev, args[0]->b_blkno] = 0;
}
