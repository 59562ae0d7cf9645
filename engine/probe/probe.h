/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - probes, the attach points they hang on, and the providers that make them.
 *
 * A probe is provider:module:function:name with a stable id.  Many probes share one attach point (all
 * system call entries hang on raw tracepoint sys_enter): the engine loads one BPF program per attach
 * point, and `key` says which of its probes fired (the system call number).  Providers are lazy: provide()
 * creates what a description may match, at the first time that somebody asks.
 */
#ifndef DT_PROBE_H
#define DT_PROBE_H

#include <sys/types.h>

#include "base/base.h"
#include "dtrace.h"

struct dt_probes;
struct dt_provider;
struct dt_type;
struct dt_types;
struct dt_tracepoints;
struct dt_kfuncs;
struct dt_btf;
struct dt_btf_proto;

/* How a BPF program is attached; the loader has a row for each. */
enum dt_attach_kind {
	DT_AT_BEGIN, /* run once by the consumer's thread (test run of a raw_tp program) */
	DT_AT_END,
	DT_AT_ERROR,  /* never attached: called inside other programs when a clause faults */
	DT_AT_RAW_TP, /* raw tracepoint `target` */
	DT_AT_TIMER, /* perf event, each `period_ns` (or: that many) `sw_event`s, on all CPUs or one */
	DT_AT_UPROBE, /* places in files with code: struct dt_uprobe of each probe; `on_return`: of functions */
	DT_AT_KPROBE,    /* entry of the kernel's function `target` */
	DT_AT_KRETPROBE, /* its return */
	/* What the generator may make of tracepoints and functions: the same places, for programs that know types. */
	DT_AT_TP_BTF,
	DT_AT_FENTRY,
	DT_AT_FEXIT,
	DT_AT_NKINDS
};

/* What the program sees as context: who fired (key) and where argN come from; codegen has a row for each. */
enum dt_abi {
	DT_ABI_NONE,      /* BEGIN, END: no arguments */
	DT_ABI_ERROR,     /* arg1 epid, arg2 action, arg3 offset, arg4 fault, arg5 address */
	DT_ABI_SYS_ENTER, /* ctx[0] struct pt_regs *, ctx[1] number; arg0-5 */
	DT_ABI_SYS_EXIT,  /* ctx[0] struct pt_regs *, ctx[1] value; arg0 = arg1 = value */
	DT_ABI_PROFILE,   /* bpf_perf_event_data; arg0 kernel pc, arg1 user pc, arg2 lateness */
	DT_ABI_RAW_TP,    /* ctx[0 ... nargs - 1]: the tracepoint's arguments */
	DT_ABI_TP_BTF,    /* the same, pointers to structures being the verifier's */
	DT_ABI_KPROBE,    /* struct pt_regs at a function's entry */
	DT_ABI_KRETPROBE, /* struct pt_regs at its return; arg0 -1, arg1 value */
	DT_ABI_FENTRY,    /* ctx[0 ... nargs - 1] */
	DT_ABI_FEXIT,     /* ctx[nargs]: value; arg0 -1, arg1 value */
	/* user code: struct pt_regs, the key in the low half of the attach cookie */
	DT_ABI_UENTRY, /* arguments of the function that is entered, as the calling convention has them */
	DT_ABI_URETURN, /* arg0 -1 (the offset is not known), arg1 the value */
	DT_ABI_UINSN,   /* an instruction: no arguments */
	DT_ABI_USDT,    /* operands: row `cookie >> 32` of the attach point's `uargs` */
};

/* Does the kernel get this instruction right when there is a probe on it?  Code may end within it. */
bool dt_insn_probeable(const u8 *code, size_t n);
/* Bytes of the instruction; 0: it is none that is known, or is cut off. */
size_t dt_insn_len(const u8 *code, size_t n);

#define DT_MAXARGS 10

/* Where an argument of a static probe is found: the row of a table that programs look into (codegen/abi.c). */
struct dt_uarg {
	s64 disp;        /* constant, or displacement */
	u16 base, index; /* registers: offsets in struct pt_regs; DT_UARG_NOREG */
	u8 kind;         /* enum dt_uarg_kind */
	u8 scale;        /* index << scale */
	u8 size;         /* bytes of the value */
	u8 flags;        /* DT_UARG_* */
};
enum dt_uarg_kind { DT_UARG_NONE, DT_UARG_CONST, DT_UARG_REG, DT_UARG_MEM };
#define DT_UARG_NOREG 0xffff
#define DT_UARG_SIGNED 1
#define DT_UARG_HIGH 2 /* bits 8-15 of the register */
struct dt_uargs {
	struct dt_uarg arg[DT_MAXARGS];
	u32 n;
};

/* "8@%rdi -4@-8(%rbp)" to rows; pc: the probe's address in its file; symbol: addresses of others there (NULL: none
 * are known).  What is not understood is an argument that is 0. */
void dt_operands_parse(const char *args, u64 pc,
		       int (*symbol)(void *arg, const char *name, size_t len, u64 *vaddr),
		       void *arg, struct dt_uargs *out);

/* A place in the kernel (or in a process) that one attachment hangs on.  Attach points with nkeys 1 that are alike
 * (kind, abi, nargs) may be served by one program that is attached to each of them with a cookie: architecture.md. */
struct dt_attach {
	enum dt_attach_kind kind;
	enum dt_abi abi;
	const char *target;
	u32 nargs; /* raw arguments that the context has, where that differs: argN is 0 past those */
	/* Where the prototype is, for what hangs on functions and tracepoints; dt_attach_resolve() reads it. */
	const char *module; /* NULL: the kernel itself */
	struct dt_btf *btf;
	u32 btf_id;
	bool resolved, typed; /* typed: a program that knows types can be attached */
	bool returns;         /* it is no void function */
	bool only_kprobe;     /* never typed */
	u32 pointers;         /* bit n: raw argument n is a pointer to a structure */
	u64 period_ns;
	u32 sw_event; /* PERF_COUNT_SW_*: 0 is the CPU's clock */
	bool all_cpus;
	bool on_return;
	u32 nkeys; /* keys are below this; 1 when the attach point has one probe */
	bool several; /* one event may be several probes, one after the other in the order of their ids */
	DT_VEC(struct dt_uargs) uargs; /* DT_ABI_USDT: each way in which arguments are passed */
	u32 index;                     /* in dt_probes.attaches */
};

/* A probe description; fields are "" for any. */
struct dt_pdesc {
	u32 id; /* not 0: by number, the rest is "" */
	const char *prov, *mod, *func, *name;
};

/* A derived probe: what an event of the kernel means.  Texts are D, checked where a clause uses them; they speak of the
 * event's arguments by the names that `params` gives them. */
struct dt_derived_arg {
	const char *type;   /* what args[n] is: "psinfo_t *" */
	const char *native; /* argn: a C type; NULL: `type`, nothing is translated */
	const char *expr;   /* argn: its value */
	const char *value;  /* args[n], when that is not argn translated: a string, say */
};
/* A row may speak of self-> variables (named __...) that earlier events of the same thread set: which probes these are,
 * and the expression that does it.  It may be evaluated several times in one firing. */
struct dt_note {
	const struct dt_pdesc *at; /* ends with one without a provider */
	const char *when;          /* NULL: always */
	const char *text;
	bool optional; /* nothing is noted when there is no such probe */
};
struct dt_derived {
	const char *prov, *func, *name;
	enum dt_attach_kind kind;
	const char *target;
	u32 sw_event;
	const char *params[DT_MAXARGS]; /* C declarations: "struct task_struct *prev"; NULL ends them */
	const char *task; /* the thread that it is about, when that is not the running one */
	const char *when; /* the event is this probe; NULL: always */
	struct dt_derived_arg args[DT_MAXARGS];
	const struct dt_note *const *notes; /* ends with NULL */
};

struct dt_probe {
	u32 id;
	const struct dt_provider *prov;
	const char *provider, *mod, *func, *name; /* never NULL */
	struct dt_attach *at;
	u32 key;
	const void *priv;                 /* the provider's */
	const struct dt_derived *derived; /* NULL: the event itself */
	struct dt_probe *chain;           /* the registry's */
};

struct dt_probe_args {
	int argc;
	const char *type[DT_MAXARGS]; /* C type text ("struct pt_regs *", "int"), what args[n] is */
	bool userland[DT_MAXARGS];    /* a pointer into the traced process */
	int from[DT_MAXARGS];         /* args[n] comes from raw argument from[n] */
	struct dt_type *known[DT_MAXARGS]; /* NULL: what type[] names; else that type, which need have no name */
	const char *native[DT_MAXARGS]; /* not NULL: C type of that raw argument, which is translated to `type` */
};

/* How stable the parts of a provider's probes are; DT_ATTR(EVOLVING, EVOLVING, COMMON). */
#define DT_ATTR(name, data, class) \
	{ DTRACE_STABILITY_##name, DTRACE_STABILITY_##data, DTRACE_CLASS_##class }
struct dt_stability {
	dtrace_attribute_t mod, func, name, args;
};

struct dt_provider {
	const char *name;
	dtrace_attribute_t attr;              /* stability shown by -lv: of the provider */
	const struct dt_stability *stability; /* NULL: all as attr */
	bool numbered;                        /* it has probes with ids below DT_ID_OTHER */
	/* Create the probes that the description may match (all of the provider's when its fields are "") and
	 * that are not there yet.  Called for every description whose provider glob may match this provider.
	 * 0 or -1 + dt_fail. */
	int (*provide)(struct dt_probes *ps, const struct dt_provider *self,
		       const struct dt_pdesc *d);
	/* Typed arguments of a probe: 0, or -1 when they are not known. */
	int (*args)(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out);
	bool (*accepts)(const struct dt_provider *self, const char *prov_glob); /* NULL: glob on name */
	const struct dt_derived *rows; /* of a provider of derived probes; ends with a row without name */
	/* Modules that go by several names; NULL: glob on p->mod. */
	bool (*mod_matches)(const struct dt_probe *p, const char *pattern);
	/* Attach points at which more probes of the description may show up while tracing, because the file is not
	 * loaded yet: calls back for each.  NULL: none. */
	int (*late)(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		    int (*cb)(struct dt_attach *at, void *arg), void *arg);
};

/* ---- user level ------------------------------------------------------------------------------------------- */

/* A file with code, held open so that it can be attached to whatever happens to its name. */
struct dt_ufile {
	const char *name, *path; /* base name; as first heard of */
	const char *asked;       /* the path by which a description asked for it; NULL */
	int fd;                  /* O_PATH */
};

/* One place of a probe; priv of probes at DT_AT_UPROBE points to the list. */
struct dt_usite {
	const struct dt_ufile *file;
	u64 off;     /* in the file */
	u64 counter; /* where the file has the counter of who traces this probe; 0: none */
	u32 uargs;   /* row of the attach point's uargs */
};
struct dt_uprobe {
	DT_VEC(struct dt_usite) sites;
	pid_t pid;    /* of this process only; 0: of all */
	bool program; /* the file is the process's program */
};

struct dt_ufunc {
	const char *name; /* until the next question */
	u64 vaddr, off, size;
	u32 rank;    /* of several names of an address the highest is shown */
	bool unsafe; /* its first instruction cannot be probed: dt_insn_probeable() */
};
/* A static probe that a file describes in a note. */
struct dt_unote {
	const char *prov, *name, *args; /* until the next question */
	u64 vaddr, off, counter;
};

/* What processes and files hold, for the providers, which look at nothing themselves: proc/user.c, or a test's
 * table.  Callbacks end a walk by a value that is not 0, which is returned; -1 with dt_fail. */
struct dt_user {
	void *arg;
	int (*processes)(void *arg, int (*cb)(pid_t pid, void *x), void *x);
	/* the files with code that a process maps; exe: its program */
	int (*objects)(void *arg, pid_t pid, int (*cb)(struct dt_ufile *f, bool exe, void *x),
		       void *x);
	/* a file by its name, as the process (0: we) would find it; NULL with dt_fail */
	struct dt_ufile *(*open)(void *arg, pid_t pid, const char *path);
	int (*functions)(void *arg, struct dt_ufile *f, int (*cb)(const struct dt_ufunc *fn, void *x),
			 void *x); /* in the order of addresses */
	int (*notes)(void *arg, struct dt_ufile *f, int (*cb)(const struct dt_unote *n, void *x),
		     void *x);
	int (*function_at)(void *arg, struct dt_ufile *f, u64 vaddr, struct dt_ufunc *out);
	int (*symbol)(void *arg, struct dt_ufile *f, const char *name, size_t len, u64 *vaddr);
	/* bytes of code at an address; their number */
	size_t (*code)(void *arg, struct dt_ufile *f, u64 vaddr, u8 *buf, size_t n);
};

/* Where providers find out what there is to probe: files of the running kernel, or a test's stand-in.  Each may be
 * NULL, which is as if nothing were there. */
struct dt_sources {
	/* The text of a file of tracefs, such as "available_events": on the heap, NUL-terminated; NULL: cannot be read. */
	char *(*tracefs)(void *arg, const char *file);
	/* Can functions of the kernel be traced at all? */
	bool (*traces_functions)(void *arg);
	void *arg;
};

struct dt_probes {
	struct dt_arena arena;
	struct dt_error *err;
	struct dt_types *types; /* the kernel's; NULL: there are none */
	struct dt_sources sources;
	const struct dt_user *user; /* NULL: there are no processes to look at */
	enum dt_tag tag;            /* a provider's failure: what is wrong with the description */
	struct dt_tracepoints *tracepoints; /* of providers/tracepoint.c, made when first needed */
	struct dt_kfuncs *kfuncs;           /* of providers/fbt.c */
	struct dt_plocks *plocks;           /* of providers/plockstat.c */
	DT_VEC(struct dt_probe *) list;     /* in order of creation */
	DT_VEC(struct dt_attach *) attaches;
	struct dt_probe **byid;
	u32 nbyid;
	struct dt_probe **index; /* chains of probes by hash of function and name */
	u32 nindex, nindexed;    /* a power of two; the first of list are in */
	u32 next_id;             /* for probes without a fixed id */
};

/* Fixed ids: the same on every machine and in every run. */
#define DT_ID_BEGIN 1
#define DT_ID_END 2
#define DT_ID_ERROR 3
#define DT_ID_SYSCALL 4    /* + 2 * number; + 1 for return */
#define DT_ID_PROFILE 2052 /* the predefined ones */
#define DT_ID_OTHER 4096   /* in the order of creation from here */

extern const struct dt_provider *const dt_providers[]; /* NULL terminated: the table of providers */
/* Some provider has a name of its own, which the pattern matches. */
bool dt_is_provider(const char *pattern);
extern const struct dt_provider dt_provider_dtrace, dt_provider_syscall, dt_provider_profile,
	dt_provider_sdt, dt_provider_rawtp, dt_provider_fbt, dt_provider_rawfbt, dt_provider_pid,
	dt_provider_uprobe, dt_provider_usdt, dt_provider_usdt_file;
extern const struct dt_provider dt_provider_proc, dt_provider_sched, dt_provider_io, dt_provider_ip,
	dt_provider_tcp, dt_provider_udp, dt_provider_lockstat, dt_provider_vminfo,
	dt_provider_sysinfo, dt_provider_plockstat;

int dt_probes_init(struct dt_probes *ps, struct dt_error *err);
void dt_probes_fini(struct dt_probes *ps);

/* Read the prototype, when there is one: nargs and what follows it.  Cheap the second time. */
void dt_attach_resolve(struct dt_attach *at);

/* For providers.  id 0: the next free one.  Strings are not copied: they live as long as the registry, in
 * ps->arena if nowhere else.  NULL with dt_fail when out of memory or when the id is taken. */
struct dt_attach *dt_probes_add_attach(struct dt_probes *ps, const struct dt_attach *model);
struct dt_probe *dt_probes_add(struct dt_probes *ps, const struct dt_provider *prov, u32 id,
			       const char *mod, const char *func, const char *name,
			       struct dt_attach *at, u32 key, const void *priv);
struct dt_probe *dt_probes_find(struct dt_probes *ps, const char *prov, const char *mod,
				const char *func, const char *name);

/* Fill in typed arguments from a prototype, without its first `skip` parameters. */
int dt_btf_args(struct dt_probes *ps, struct dt_btf *b, const struct dt_btf_proto *proto, u32 skip,
		struct dt_probe_args *out);

/* For the compiler and the API.  Callback for each match in id order; its non-zero value ends the walk and is
 * returned; -1 with dt_fail when a provider failed. */
int dt_probes_match(struct dt_probes *ps, const struct dt_pdesc *d,
		    int (*cb)(struct dt_probe *p, void *arg), void *arg);
/* The attach points of provider->late(). */
int dt_probes_late(struct dt_probes *ps, const struct dt_pdesc *d,
		   int (*cb)(struct dt_attach *at, void *arg), void *arg);
struct dt_probe *dt_probes_byid(struct dt_probes *ps, u32 id);
int dt_probe_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out);
dtrace_attribute_t dt_probe_attr(const struct dt_probe *p); /* of its least stable part that has a name */
dtrace_attribute_t dt_probe_args_attr(const struct dt_probe *p);
void dt_probe_desc(const struct dt_probe *p, dtrace_probedesc_t *out);

/* The only attach point of that ABI, made at the first question. */
struct dt_attach *dt_probes_attach_of(struct dt_probes *ps, const struct dt_attach *model);

/* Split "a:b:c:d" (fewer fields are right-justified as spec says; missing ones "") into d, strings in
 * arena.  Macro variables must be expanded before.  0, or -1 with *why set to a constant sentence. */
int dt_pdesc_parse(struct dt_arena *arena, const char *text, dtrace_probespec_t spec,
		   struct dt_pdesc *d, const char **why);

/* "97", "97hz", "10ms" ... of profile-N and tick-N to a period; -1: not a rate. */
int dt_rate_parse(const char *text, u64 *period_ns);

/* The test of dt_glob_match() on a field of a description, for providers that create only what matches. */
struct dt_field {
	const char *pattern;
	enum { DT_FIELD_ANY, DT_FIELD_LITERAL, DT_FIELD_GLOB } how;
};
struct dt_field dt_field_of(const char *pattern);
bool dt_field_match(const struct dt_field *f, const char *text);

/* Modules may have come: tables of what there is to probe are made again at the next need.  Probes stay. */
void dt_probes_rescan(struct dt_probes *ps);

void dt_tracepoints_rescan(struct dt_tracepoints *t);
void dt_tracepoints_fini(struct dt_tracepoints *t);
void dt_kfuncs_rescan(struct dt_kfuncs *t);
void dt_kfuncs_fini(struct dt_kfuncs *t);

/* For providers whose probes hang on a tracepoint or on a function of the kernel: a model for
 * dt_probes_add_attach().  The function's is found by its types; module NULL: the kernel's own.  False: this kernel does
 * not have it. */
bool dt_tracepoint_model(struct dt_probes *ps, const char *name, struct dt_attach *model);
bool dt_kfunc_model(struct dt_probes *ps, const char *module, const char *name, bool at_return,
		    struct dt_attach *model);

/* System calls of this architecture: providers/syscalls.c.  Names as the kernel's tables. */
struct dt_syscall {
	u32 nr;
	const char *name;
	const char *ret; /* C type of the result */
	u8 nargs;
	const char *arg[6]; /* C types; pointers are user addresses */
};
extern const struct dt_syscall dt_syscalls[]; /* sorted by number */
extern const u32 dt_nsyscalls;

/* Which call a number of 32-bit programs means: 1 + its number; 0: none of ours. */
#define DT_NCOMPAT 512
extern const u16 dt_compat_syscalls[DT_NCOMPAT];

#endif
