/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockstat.c - threads that wait for locks of the kernel.
 *
 * The kernel tells when a thread begins to wait and when that has an end; locks that are taken without waiting are not
 * seen.  Those that may sleep are given back by functions, where functions can be traced.
 */
#include "providers/derived.h"

#define BEGIN TP("contention_begin", "uintptr_t lock", "unsigned int flags")
#define END TP("contention_end", "uintptr_t lock", "int error")

/* Flags of waits: spinning 1, for reading 2, for writing 4, real-time 8, per CPU 16, mutex 32.  A spin lock is a spinning
 * wait for neither, a reader-writer lock one for either; adaptive locks may sleep. */
#define KIND "(self->__lockflags & 0x3f)"
#define IS_MINE "self->__lock == lock"
#define ADAPTIVE IS_MINE " && self->__lockflags & 0x28"
#define SPIN IS_MINE " && " KIND " == 1"
#define RW IS_MINE " && self->__lockflags & 0x6 && !(self->__lockflags & 0x28)"
#define SPINNING " && self->__lockflags & 1"
#define SLEEPING " && !(self->__lockflags & 1)"
#define TAKEN " && error == 0"

#define LOCK VALUE("uintptr_t", "lock")
#define WAITED VALUE("uint64_t", "timestamp - self->__locksince")
#define RW_KIND VALUE("int", "self->__lockflags & 4 ? RW_WRITER : RW_READER")

static const struct dt_pdesc begins[] = {
	{ .prov = "lockstat", .mod = "", .func = "", .name = "wait" },
	{ .prov = NULL },
};
static const struct dt_note began = {
	.at = begins,
	.text = "self->__lock = lock, self->__lockflags = flags, self->__locksince = timestamp",
};
static const struct dt_note *const noted[] = { &began, NULL };

#define ROW(probe, condition, ...) \
	{ \
		.prov = "lockstat", .name = probe, END, .notes = noted, .when = condition, .args = { \
			__VA_ARGS__ \
		} \
	}

static const struct dt_derived rows[] = {
	{ .prov = "lockstat", .name = "wait", BEGIN, .args = { LOCK, VALUE("unsigned int", "flags") } },
	ROW("adaptive-spin", ADAPTIVE SPINNING, LOCK, WAITED),
	ROW("adaptive-block", ADAPTIVE SLEEPING, LOCK, WAITED),
	ROW("adaptive-acquire", ADAPTIVE TAKEN, LOCK),
	ROW("adaptive-acquire-error", ADAPTIVE SLEEPING " && error != 0", LOCK, VALUE("int", "error")),
	ROW("spin-spin", SPIN, LOCK, WAITED),
	ROW("spin-acquire", SPIN TAKEN, LOCK),
	ROW("rw-spin", RW SPINNING, LOCK, WAITED, RW_KIND),
	ROW("rw-block", RW SLEEPING, LOCK, WAITED, RW_KIND),
	ROW("rw-acquire", RW TAKEN, LOCK, RW_KIND),
	{ .prov = "lockstat",
	  .name = "adaptive-release",
	  FUNCTION("mutex_unlock", "uintptr_t lock"),
	  .args = { LOCK } },
	{ .prov = "lockstat",
	  .name = "rw-release",
	  FUNCTION("up_read", "uintptr_t lock"),
	  .args = { LOCK, VALUE("int", "RW_READER") } },
	{ .prov = "lockstat",
	  .name = "rw-release",
	  FUNCTION("up_write", "uintptr_t lock"),
	  .args = { LOCK, VALUE("int", "RW_WRITER") } },
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(lockstat, "lockstat", rows);
