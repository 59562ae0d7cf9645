/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - what the generator hands to the loader and the consumer: maps to make, programs to load and
 * attach, and how to read what they write.  Nothing here is a file descriptor; the same input gives the same
 * object on any machine.
 */
#ifndef DT_OBJECT_H
#define DT_OBJECT_H

#include <linux/bpf.h>

#include "base/base.h"
#include "base/record.h"
#include "dtrace.h"
#include "lang/lang.h"

enum dt_map_role {
	DT_MAP_GLOBALS, /* array, 1 element, mmapable: direct value access */
	DT_MAP_STATE,   /* array, element per CPU, mmapable */
	DT_MAP_RING, /* array, element per CPU, mmapable; value_size is set by the loader (bufsize) */
	DT_MAP_SPEC, /* array, element per speculation and CPU, mmapable; value_size is the loader's (specsize) */
	DT_MAP_RODATA,   /* array, 1 element, `init`, frozen */
	DT_MAP_DOORBELL, /* ring buffer */
	DT_MAP_AGG,      /* hash of aggregation `index`; key: dt_aggspec */
	DT_MAP_AGGSET,   /* array of maps: `inner` */
	DT_MAP_ASSOC,    /* hash */
	DT_MAP_SELF,     /* task storage: needs_btf */
	DT_MAP_PYTHON,   /* hash: u32 process -> struct dt_py_layout; the consumer fills it */
};

struct dt_mapspec {
	char name[16];
	enum dt_map_role role;
	u32 type; /* BPF_MAP_TYPE_* */
	u32 key_size, value_size, max_entries, flags;
	bool per_cpu_elems; /* max_entries is the number of possible CPUs */
	bool needs_btf;
	const void *init; /* RODATA: value_size bytes */
	u32 *inner; /* AGGSET: max_entries indexes in maps, all alike and in front of this one */
	u32 index;
};

/* An instruction that refers to a map: ld_imm64 with src_reg BPF_PSEUDO_MAP_FD or BPF_PSEUDO_MAP_VALUE already
 * set; the loader puts the fd in imm. */
struct dt_reloc {
	u32 insn;
	u32 map; /* index in dt_object.maps */
};

/* Bounds that only the loader knows (buffer size): the generator leaves instructions to patch. */
enum dt_patch_kind {
	DT_PATCH_RING_MASK, /* imm = cap - 1 */
	DT_PATCH_RING_CAP,  /* imm = cap */
	DT_PATCH_RING_FILL, /* imm = cap - what END wants */
	DT_PATCH_SPEC_MASK, /* the same of speculation buffers ... */
	DT_PATCH_SPEC_CAP, /* ... of which the capacity is what specsize says, and no power of two */
};
struct dt_patch {
	u32 insn;
	enum dt_patch_kind kind;
};

/* A function of a program, for BTF func_info. */
struct dt_funcspec {
	u32 insn;
	const char *name;
};

/* Attach points of user level: parts of `globals` that the consumer fills, before it attaches and, when probes may
 * come while it runs (late), then too. */
struct dt_usertext {
	u32 off, row; /* a row of that many bytes per key */
	int id;       /* DT_B_PROBE*: which of the probe's names */
};
struct dt_userset {
	const struct dt_attach *at;
	bool late;
	u32 nkeys;                        /* rows of the tables */
	u32 id_off, mask_off, mask_words; /* late: u32 probe id, mask_words u64 per key */
	u32 *ids;                         /* late: what they start with */
	u64 *masks;
	const struct dt_clause **clauses; /* late: bit n of a mask */
	u32 nclauses;
	DT_VEC(struct dt_usertext) texts; /* late */
	u32 uargs_off, nuargs;            /* DT_ABI_USDT: rows of DT_MAXARGS struct dt_uarg */
};

struct dt_progspec {
	char name[16];
	enum dt_attach_kind kind;
	const struct dt_attach *at; /* the first of targets */
	const struct dt_attach *const *targets;
	u32 ntargets;                   /* more than one: each attachment's cookie is its index */
	struct dt_probe *const *probes; /* that some clause wants, by key */
	u32 nprobes;
	u32 prog_type;   /* BPF_PROG_TYPE_RAW_TRACEPOINT, _PERF_EVENT ... */
	u32 attach_type; /* BPF_TRACE_FENTRY ...: made for the function or tracepoint at->btf_id */
	struct bpf_insn *insns;
	u32 ninsns;
	struct dt_reloc *relocs;
	u32 nrelocs;
	struct dt_patch *patches;
	u32 npatches;
	struct dt_funcspec *funcs; /* the entry point first */
	u32 nfuncs;
	bool sleepable;
	bool needs_func_info; /* has bpf_loop callbacks: the kernel wants BTF func_info */
	struct dt_loc *locs;  /* one per instruction; src NULL: glue */
};

/* How a datum is stored and shown. */
enum dt_datakind {
	DT_D_NONE,
	DT_D_INT, /* signed, 1 2 4 8 bytes */
	DT_D_UINT,
	DT_D_PTR,   /* 8 bytes, hex */
	DT_D_STR,   /* NUL-terminated within size */
	DT_D_BYTES, /* struct, array, tracemem */
	DT_D_FLOAT,
	DT_D_STACK,  /* u64 pcs, 0-terminated or full */
	DT_D_USTACK, /* u64 process id, pcs; then what the consumer finds better ones with */
	DT_D_SYM,
	DT_D_MOD, /* u64 */
	DT_D_USYM,
	DT_D_UMOD,
	DT_D_UADDR, /* u64 process id, u64 */
	/* stored as nothing (the probe id is in the record header) or, in keys, as u32 probe id; shown as a
	 * string of DTRACE_*NAMELEN bytes: */
	DT_D_PROBEPROV,
	DT_D_PROBEMOD,
	DT_D_PROBEFUNC,
	DT_D_PROBENAME,
};
/* dtrd_uarg of every record and key points to one of these. */
struct dt_datum {
	enum dt_datakind kind;
	u32 off, size; /* in the ring record's payload (after dt_rec_hdr) or in the map's key */
	const struct dt_type *type;
	const char *text; /* the D expression, for naming values */
	u64 arg;          /* tracemem: bytes to show; stacks: frames */
	u32 strsize; /* USTACK: room for names of Python frames, struct dt_raw_python; 0: none */
	u32 unwind; /* USTACK: bytes of the stack that are copied, behind struct dt_raw_ustack; 0: none */
	const struct dt_aggact *act; /* of PRINTA and LIBACT records */
};

/* Of a USTACK: bytes between the frames and what is unwound. */
static inline u32 dt_datum_python_size(const struct dt_datum *d)
{
	return d->strsize ? (u32)sizeof(struct dt_raw_python) + d->strsize + DT_PY_SLACK : 0;
}

/* One enabled clause's record: recs[] are what callbacks see.  When `direct` the ring payload is the shown data
 * as it stands; else the consumer lays out `shown_size` bytes, each rec from its datum. */
struct dt_epid {
	u32 epid;
	const struct dt_clause *clause;
	const struct dt_stmt *first; /* of the statements that fill this record */
	u32 size;                    /* payload bytes in the ring */
	u32 shown_size;
	bool direct;
	bool quiet;               /* no callbacks of its own (only speculate/commit/discard) */
	dtrace_eprobedesc_t desc; /* desc.dtepd_rec, _nrecs filled; probeid is set per record */
};

/* A library action's or printa's aggregations. */
struct dt_aggact {
	u32 naggs;
	u32 *aggs;          /* indexes in dt_object.aggs, by varid - 1 */
	struct dt_fmt *fmt; /* NULL: default layout */
};

enum dt_aggstore {
	DT_AGG_CELL,  /* keyless: words at `off` of each CPU's state element; distributions dense */
	DT_AGG_DENSE, /* keyed by probe only: row per probe, words at off + row * nwords * 8 */
	DT_AGG_HASH, /* hash; key bytes keysize, the CPU's number at their end; distributions sparse: u32 bucket at key + bucket_off */
};
struct dt_aggspec {
	const char *name;
	s64 varid;
	int func;     /* DTRACEAGG_* */
	s64 param[4]; /* as dt_aggvar */
	enum dt_aggstore store;
	u32 off;                    /* CELL, DENSE */
	u32 nrows;                  /* DENSE */
	u32 *row_probe;             /* DENSE: probe id of each row */
	const struct dt_attach *at; /* DENSE: whose probes */
	int map;                    /* HASH: index in dt_object.maps */
	u32 keysize;                /* HASH */
	s32 bucket_off; /* HASH distributions: offset of the u32 bucket in the key; -1 */
	u32 cpu_off;    /* HASH: offset of the u32 CPU number, the key's last word */
	u32 nwords;     /* value words: count 1; sum, min, max 2 (value, seen); avg 2; stddev 4;
			       distributions: number of buckets in cells, 1 in hashes */
	u32 nbuckets; /* distributions: quantize 127, lquantize levels + 2, llquantize (mirrored) */
	struct dt_datum *keys;
	u32 nkeys;
	dtrace_aggdesc_t desc; /* recs: [0] varid, keys as shown, value as libdtrace encodes it */
	u32 shown_size;
};
/* All words start at 0, in cells and in hashes, so nobody has to initialise them.  sum, min, max: value,
 * seen (a CPU whose `seen` word is 0 has no value).  avg: count, sum.  stddev: count, sum, sum of squares low, high.
 * Rows whose shown keys are equal (probefunc of two probes) are one row to the user. */

struct dt_object {
	struct dt_arena arena;
	struct dt_mapspec *maps;
	u32 nmaps;
	struct dt_progspec *progs;
	u32 nprogs;
	struct dt_epid *epids; /* [epid - 1] */
	u32 nepids;
	struct dt_aggspec *aggs; /* [varid - 1] */
	u32 naggs;
	struct dt_fault_site {
		struct dt_loc loc;
		bool unwaited; /* memory of the process was read without waiting for it */
	} *faults;
	u32 nfaults;
	u32 max_record;  /* largest record with header */
	u32 end_reserve; /* policy fill: bytes that END's records take */
	u32 ring_slack;  /* how far the largest claim may run past the ring's end */
	int ring_map, state_map, globals_map, doorbell_map; /* indexes in maps, -1: not needed */
	int spec_map;
	u32 nspec, spec_off; /* speculation slots: how many (0: nobody speculates), where in globals */
	DT_VEC(struct dt_fmt *) fmts; /* on the heap, freed with the object */
	DT_VEC(struct dt_userset *) usersets;
	bool would_sleep; /* a program may have to wait for a page, if it can: genopts.sleepable */
	bool writes_user; /* memory of traced processes, which not every kernel allows */
	bool only_consumer_cpu; /* only BEGIN, END, ERROR record: a small ring will do */
};

#define DT_NSPEC_MAX 65536
/* The most that one alloca() or copyin() of constant size may have. */
#define DT_SCRATCH_WINDOW 65536

enum dt_bufpolicy { DT_BUFPOLICY_RING, DT_BUFPOLICY_FILL, DT_BUFPOLICY_SWITCH };

/* Options that shape code. */
struct dt_genopts {
	u32 strsize, stackframes, ustackframes, jstackframes, jstackstrsize;
	u32 maxframes, scratchsize;
	u32 ustackunwind; /* bytes of user stacks to copy; 0: none */
	u64 dynvarsize, aggsize;
	bool aggpercpu; /* each CPU's value of an aggregation is wanted: hashes have it in their keys */
	bool temporal;
	enum dt_bufpolicy bufpolicy;
	s64 cpu; /* trace on this one only; -1: on all */
	u32 nspec;
	bool no_direct; /* read typed kernel pointers through helpers, not by plain loads */
	u32 ncpus;      /* possible CPUs */
	/* kernel features the generator asks for */
	bool has_task_btf, has_loop;
	bool sleepable; /* programs of system calls may wait */
	u32 typed; /* 1 << DT_AT_...: TP_BTF, FENTRY, FEXIT can be had, and are to be preferred */
	u32 preempt_disable, preempt_enable; /* BTF numbers of these kernel functions; 0: not there */
	u32 cookies; /* 1 << DT_AT_...: attachments of that kind carry a cookie, so many may share a program */
};

/* All clauses of all programs on the handle -> one object.  NULL with dt_fail(err). upto: 'g' gen, 'r' regs,
 * 'a' asm: append that stage's dump to dump when it is not NULL. */
struct dt_object *dt_generate(struct dt_clause *const *clauses, u32 nclauses, struct dt_env *env,
			      const struct dt_genopts *opts, struct dt_error *err, char upto,
			      struct dt_str *dump);
void dt_object_free(struct dt_object *o);

#endif
