/* SPDX-License-Identifier: Apache-2.0 */
/* floor.h - what the two halves of the floor program agree on. */
#ifndef FLOOR_H
#define FLOOR_H

#define FLOOR_RING_BYTES (64 << 20)
#define FLOOR_KEYS 131072
#define FLOOR_NCALLS 512
#define FLOOR_COMM 16

/* System calls by their x86-64 numbers. */
#define FLOOR_READ 0
#define FLOOR_GETPPID 110

struct floor_trace {
	unsigned int id;
	unsigned int pad;
	unsigned long value;
};

struct floor_printf {
	unsigned int id;
	unsigned int pid;
	char comm[FLOOR_COMM];
	unsigned long value;
};

#endif
