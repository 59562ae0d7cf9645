/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - memory that BPF programs and the consumer share: what generator and consumer agree on.
 *
 * Three array maps, mapped into the consumer:
 *
 *   globals  one element: activity, global variables.
 *   state    one element per possible CPU: drop counters, keyless aggregations, scratch.
 *   ring     one element per possible CPU: the principal buffer.
 *
 * and, for programs that speculate, `spec`: an element per speculation and possible CPU, laid out as a ring.
 *
 * The principal buffer is a byte ring with one writer CPU and one reader.  A writer loads head, checks
 * room against tail, and claims its record with a compare-and-swap (a program may be interrupted by another
 * on the same CPU); it writes the payload and last of all the record's first word, which makes the
 * record visible.  The reader zeroes what it has read, so a claimed but unfinished record
 * has a zero first word.  A record never wraps: it may run past `cap` into the slack behind.  Compared with
 * the kernel's own ring buffer this needs no helper call and no lock (about 15 ns against 165).
 *
 * Under policy ring nobody reads before the end and nothing waits for room: the newest records overwrite the oldest.
 * A claimed record's first word is cleared, and each record says where it begins, so the reader finds the first
 * one that is whole.
 */
#ifndef DT_RECORD_H
#define DT_RECORD_H

#include "base/base.h"

/* globals: fixed part, variables follow */
#define DT_GL_ACTIVITY 0 /* u64 enum dt_activity */
#define DT_GL_EXITED 8   /* u64: 1 after exit() */
#define DT_GL_WALLOFF 16 /* s64: CLOCK_REALTIME - CLOCK_MONOTONIC; the consumer keeps it fresh */
#define DT_GL_CLOCKOFF \
	24 /* s64: CLOCK_MONOTONIC - the scheduler's clock, the least that was seen; 0: not yet */
#define DT_GL_VARS 64 /* the generator's layout from here */
enum dt_activity { DT_INACTIVE = 0, DT_ACTIVE = 1, DT_DRAINING = 2 };

/* state: fixed part of each CPU's element, u64 each */
#define DT_ST_AGGDROPS 0
#define DT_ST_DYNDROPS 8
#define DT_ST_SPECDROPS 16
#define DT_ST_DBLERRORS 24
#define DT_ST_SPECBUSY 32    /* speculation() found only buffers that wait for the consumer ... */
#define DT_ST_SPECUNAVAIL 40 /* ... or that are in use */
#define DT_ST_FIXED 64

/* ring: each CPU's element */
struct dt_ring_hdr {
	u64 head;  /* writer: bytes ever claimed */
	u64 drops; /* writer: records that found no room */
	u64 wake_at; /* both: ring the doorbell when head reaches this; ~0: do not.  The writer sets ~0 when
			it rings */
	u64 gen;     /* spec: whose records these are */
	u64 writers; /* spec: clauses that are writing here now */
	u64 pad1[3];
	u64 tail; /* reader: bytes ever read */
	u64 pad2[7];
};
#define DT_RING_DATA \
	128 /* sizeof(struct dt_ring_hdr): data[cap], then slack for the largest record */

/* Every record starts with this; size includes it and is a multiple of 8. */
struct dt_rec_hdr {
	u32 size;  /* | DT_REC_COMMIT, | DT_REC_DISCARD */
	u32 epid;  /* enabled clause, from 1; 0: a fault (struct dt_rec_fault) */
	u64 ts;    /* ns, CLOCK_MONOTONIC */
	u32 probe; /* probe id */
	u32 arg;   /* policy ring: where the record begins, bytes / 8 */
};
#define DT_REC_COMMIT 0x80000000u
#define DT_REC_DISCARD 0x40000000u /* claimed, then not used (a fault, a failed speculation) */
#define DT_REC_SIZE(w) ((w) & 0x3fffffffu)
#define DT_REC_HDR 24

/* The epid of a bundle: a committed speculation's records, one after the other, as the payload of one. */
#define DT_EPID_BUNDLE 0xffffffffu
#define DT_BUNDLE_MAX 4096 /* bytes of payload; larger ones are fetched by the consumer */

/*
 * Speculations: slots in globals (dt_object.spec_off), one per identifier from 1 on.
 *
 * speculation() makes a free slot active under a new generation.  A CPU's buffer belongs to the generation in its
 * `gen`; a writer that finds an older one there empties the buffer, so discard() only has to free the slot.
 * commit() of records of this CPU alone copies them to the principal buffer, as a bundle, and frees the
 * slot at once; when others have records too, or there is no room, the slot is left to the consumer, who fetches
 * the records and frees it.  Writers count themselves in `writers` before they look at the slot: once it
 * is no longer active and nobody writes, what is there is complete and stays as it is.
 */
struct dt_spec_slot {
	u64 word; /* generation << 24 | CPUs that have records << 8 | enum dt_spec_state */
	u64 ts;   /* of commit() */
};
enum dt_spec_state { DT_SPEC_FREE, DT_SPEC_ACTIVE, DT_SPEC_COMMITTED };
#define DT_SPEC_STATE(w) ((w) & 0xff)
#define DT_SPEC_GEN_SHIFT 24
#define DT_SPEC_CPUS_SHIFT 8

/* Where a CPython process keeps its frames: the value of the map that jstack() looks processes up in. */
struct dt_py_layout {
	u64 interp;                   /* address of the pointer to the main interpreter */
	u64 threads, next, native_id; /* offsets: interpreter -> first thread state -> next; its tid */
	u64 frame, cframe;            /* thread state -> frame, or (cframe not ~0) -> what has it */
	u64 previous, code;           /* frame -> caller; -> code object */
	u64 flag, bottom; /* a byte of the frame.  bottom 0: not zero where C called the interpreter;
						   else: from bottom on it is no frame, and C called there */
	u64 qualname, filename, firstline; /* of a code object */
	u64 ascii, state, ascii_bit; /* of a str: its text, if this bit (0: do not look) is in state */
	u64 instr, bytecode; /* frame -> pointer to its instruction; of a code object: the first one */
	u64 linetable;       /* of a code object: bytes object with the lines of instructions */
	u64 bytes_size, bytes_text; /* of a bytes object */
};

/* jstack(): what follows the frames that the kernel found.  An entry is a u32 line (the function's first), a u32 of
 * DT_PY_*, a u64 that says which instruction it was (0: not known), and (but for DT_PY_BOTTOM) two strings, name and file;
 * the next one starts at a multiple of 8. */
struct dt_raw_python {
	u32 used;     /* bytes of text */
	u32 overflow; /* there was more */
	u8 text[];    /* strsize, and DT_PY_SLACK for the entry that goes beyond that */
};
#define DT_PY_ENTRY 16
#define DT_PY_SLACK 400
#define DT_PY_LAST 1   /* C called the interpreter here */
#define DT_PY_BOTTOM 2 /* the same, and this is no frame */
/* The instruction: its place (in units of two bytes) below the address of the code object. */
#define DT_PY_UNIT_BITS 16
#define DT_PY_UNIT_MAX 0xffff /* this or more: not known */

/* A user stack that the consumer unwinds: what follows the process id and the frames that the kernel found. */
#define DT_UNWIND_PIECE 512 /* the stack is copied piece by piece, as far as it goes */
struct dt_raw_ustack {
	u64 regs[21]; /* struct pt_regs */
	u64 base;     /* address of what was copied */
	u64 pieces;   /* that were */
	u8 stack[];
};

/* payload of epid 0 */
struct dt_rec_fault {
	u32 epid;   /* the clause that faulted */
	u32 action; /* 1-based index of the statement; 0: predicate */
	u32 offset; /* index of the fault site in dt_object.faults */
	u32 fault;  /* DTRACEFLT_* */
	u64 addr;
};

#endif
