/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lang.h - from D text to a typed tree.
 *
 *   lex + parse   text -> clauses and declarations (names unresolved)
 *   bind          probe descriptions -> probes; names -> variables, built-ins, types
 *   check         types, conversions, per-clause rules; the tree becomes plain enough for codegen
 *
 * After check the tree has: no names left to look up; every arithmetic, comparison, assignment operand
 * converted by explicit N_CAST nodes to the type the operation works in (C's usual conversions), so the
 * generator never compares types; sizeof, offsetof, enumerators, inlines and translators
 * folded away; a->b as N_MEMBER(N_DEREF(a)), p[i] on pointers and arrays as N_INDEX.  To know besides:
 *
 *   - constants (N_INT) are as their type holds them: cut to its size, sign or zero extended to 64 bits; shifts of
 *     constants are done in 64 bits, counts modulo 64, then cut;
 *   - x = 0, for x a string, struct or array, leaves the 0 as N_INT: it clears (and frees) x;
 *   - a string compared with NULL or 0 is compared with ""; NULL as string argument of a subroutine stays N_INT;
 *   - a cast to _Bool gives 0 or 1; a cast to void is N_COMMA(e, 0);
 *   - an array used as a pointer is N_ADDROF(array lvalue) of type pointer to element;
 *   - an aggregating statement's args are { value [, increment] }, 64 bits each: constants are in agg->param.
 */
#ifndef DT_LANG_H
#define DT_LANG_H

#include "base/base.h"
#include "base/fmt.h"
#include "probe/probe.h"
#include "types/types.h"

struct dt_node;

enum dt_nop {
	/* only between parse and check */
	N_IDENT,     /* str; also `mod`sym as str with the backquote */
	N_SIZEOF,    /* l, or dtype */
	N_OFFSETOF,  /* dtype, str */
	N_STRINGOF,  /* l; becomes N_CAST to string */
	N_XLATE,     /* dtype, l */
	N_ARROW,     /* l->str */
	N_DOT,       /* l.str */
	N_SUBSCRIPT, /* l[args] */
	N_CALLNAME,  /* str(args) */
	N_MACRO,     /* never in a tree: macro variables become literals in the lexer */

	/* in a checked tree: values */
	N_INT,     /* val, of type `type` */
	N_STR,     /* str, slen: string constant; type string */
	N_BUILTIN, /* builtin row; val is n for argN, uregs[n] has l */
	N_ARG,     /* args[val]: typed probe argument; val is already the raw argument (from[n]) */
	N_VAR,     /* var: scalar, string, struct or array variable */
	N_ASSOC,   /* var[args]: element of an associative array */
	N_KSYM,    /* str "mod`sym" (mod may be ""): the object in kernel memory; val its address */
	N_CALL,    /* subr(args) */
	N_NEG,
	N_BITNOT,
	N_LOGNOT, /* l */
	N_DEREF,  /* *l: lvalue in kernel memory, or user memory when l's pointee is_userland */
	N_ADDROF, /* &l, l an lvalue in memory */
	N_MEMBER, /* member of aggregate lvalue l at bit_off (relative to l), bit_size (0: not a bit-field) */
	N_INDEX, /* l[r]: l pointer or array lvalue, r integer; element type is `type` */
	N_MUL,
	N_DIV,
	N_MOD,
	N_ADD,
	N_SUB,
	N_SHL,
	N_SHR,
	N_AND,
	N_XOR,
	N_OR, /* l, r; already converted;
				      shift counts keep their own type; pointer + int is scaled by codegen:
				      type pointer, l pointer, r 64-bit integer; pointer - pointer: type long */
	N_LT,
	N_LE,
	N_GT,
	N_GE,
	N_EQ,
	N_NE, /* l, r same type (string: by content); type int */
	N_LAND,
	N_LXOR,
	N_LOR,    /* scalar operands; type int */
	N_COND,   /* l ? r : c */
	N_ASSIGN, /* l = r; r converted to l's type */
	N_OPASSIGN, /* l (val)= r, val an enum dt_nop; the operation works in type optype, r is of optype
		      (shift counts, pointer steps excepted), result converted to l's type */
	N_PREINC,
	N_PREDEC,
	N_POSTINC,
	N_POSTDEC, /* l */
	N_COMMA,   /* l, r */
	N_CAST, /* l converted to `type`: int<->int, pointer<->int, anything -> string (copy bounded) */
	N_AGG, /* agg: only as argument of printa, clear, trunc ... */
	N_POISON,
	N_NOPS
};

/* Where a variable lives. */
enum dt_scope { DT_GLOBAL, DT_THIS, DT_SELF };

struct dt_var {
	const char *name;
	enum dt_scope scope;
	struct dt_type *type; /* of the variable, or of an element when assoc */
	bool assoc;
	struct dt_type **keys; /* assoc: the tuple's types, arrays and strings among them */
	u32 nkeys;
	bool declared;
	bool is_macro_temp; /* made by the checker for inlines and translators; DT_THIS */
	struct dt_loc loc;  /* first use */
	u32 id;             /* order of creation in the symbol table */
	/* the generator's: */
	u32 off, size; /* assoc: off is the array's number in keys of a shared map, else 0 */
	u32 keysize;   /* assoc */
	int map;
};

struct dt_aggvar {
	const char *name;
	s64 varid;             /* from 1 */
	int func;              /* DTRACEAGG_*; 0: never assigned yet */
	struct dt_type **keys; /* types of the key expressions */
	u32 nkeys;
	s64 param[4]; /* lquantize: base, limit, step; llquantize: factor, low, high, steps */
	struct dt_loc loc;
	/* the generator's: */
	int index;
};

/* A row of builtins.def: BUILTIN(name, ID, type text, flags, class description) */
struct dt_builtin {
	const char *name;
	int id;           /* DT_B_* */
	const char *type; /* C type text: "string", "int64_t", "struct task_struct *" */
	u32 strbound;     /* strings: bytes incl. NUL when known (execname 16), else 0 */
	u32 flags;
};
enum dt_builtin_id {
	DT_B_NONE,
#define BUILTIN(name, id, type, bound, flags) DT_B_##id,
#include "lang/builtins.def"
#undef BUILTIN
	DT_B_N
};
#define DT_BF_PENDING 1 /* known, not built yet: D_VAR_UNSUP */
#define DT_BF_PROBE 2   /* a string that is a property of the probe (probefunc ...) */
#define DT_BF_ARRAY 4   /* indexed: args[], uregs[] */
#define DT_NUREGS 27    /* elements of uregs[]: d/regs.d has their names */
extern const struct dt_builtin dt_builtins[];

/* A row of subrs.def: SUBR(name, ID, result type, "argument types", min args, flags).  Argument letters:
 * s string-like, i integer, p pointer or integer, P pointer (any), S pointer or string, a any, k constant integer. */
struct dt_subr {
	const char *name;
	int id;
	const char *type;
	const char *args;
	u32 minargs;
	u32 flags;
};
enum dt_subr_id {
	DT_S_NONE,
#define SUBR(name, id, type, args, minargs, flags) DT_S_##id,
#include "lang/subrs.def"
#undef SUBR
	DT_S_N
};
#define DT_SF_PENDING 1
extern const struct dt_subr dt_subrs[];

/* A row of actions.def: ACTION(name, ID, DTRACEACT_* kind, flags). */
struct dt_action {
	const char *name;
	int id;
	int kind; /* DTRACEACT_*, or DTRACEAGG_* for aggregating functions */
	u32 flags;
};
enum dt_action_id {
	DT_A_NONE,
#define ACTION(name, id, kind, flags) DT_A_##id,
#include "lang/actions.def"
#undef ACTION
	DT_A_N
};
#define DT_AF_REC 1 /* records data */
#define DT_AF_AGG 2 /* aggregating function: needs @x = */
#define DT_AF_DESTRUCTIVE 4
#define DT_AF_KEY \
	8 /* usable as key or printf argument: stack ustack sym usym mod umod uaddr func ... */
#define DT_AF_PENDING 16 /* known, not built yet */
#define DT_AF_FMT 32     /* first argument is a format: printf system freopen (printa: may be) */
extern const struct dt_action dt_actions[];

struct dt_node {
	enum dt_nop op;
	struct dt_loc loc;
	struct dt_type *type;
	struct dt_type *dtype;  /* sizeof, offsetof, xlate, N_CAST before check: the named type */
	struct dt_type *optype; /* N_OPASSIGN */
	struct dt_node *l, *r, *c;
	struct dt_node **args;
	u32 nargs;
	u64 val;
	const char *str;
	u32 slen;
	struct dt_var *var;
	struct dt_aggvar *agg;
	const struct dt_builtin *builtin;
	const struct dt_subr *subr;
	const struct dt_action *act; /* N_CALL of an action used as value: stack(), sym() ... : subr is NULL */
	u64 bit_off;
	u16 bit_size;
	bool lvalue;
	bool paren;   /* was in parentheses */
	bool checked; /* dt_check_expr() is done with it */
	u16 height;   /* of the tree below, while parsing: bounds recursion */
	u32 strbound; /* string-typed: bytes incl. NUL when known, else 0 (= strsize) */
};

/* Statements of a clause, after check. */
enum dt_stmt_kind {
	S_EXPR, /* expr: for its effect */
	S_ACT,  /* act, args; fmt for printf and friends */
	S_AGG,  /* agg[args of `keys`] = act(args) */
	S_IF,   /* expr, then list, else list */
};
struct dt_stmt {
	enum dt_stmt_kind kind;
	struct dt_loc loc;
	struct dt_stmt *next;
	struct dt_node *expr;
	const struct dt_action *act;
	struct dt_node **args;
	u32 nargs;
	struct dt_node **keys;
	u32 nkeys;
	struct dt_aggvar *agg;
	const char *format; /* printf, printa, system, freopen, setopt: the format text or NULL */
	struct dt_stmt *then_, *else_;
};

/* A description that may match more probes later, at an attach point. */
struct dt_late {
	struct dt_pdesc desc;
	struct dt_attach *at;
};

/* How many probes, and places for late ones, a description and those before it match. */
struct dt_upto {
	u32 probes, late;
};

struct dt_clause {
	struct dt_loc loc;
	DT_VEC(struct dt_pdesc) descs;
	DT_VEC(struct dt_loc) desclocs;
	struct dt_node *pred; /* NULL: none */
	struct dt_stmt *stmts;
	DT_VEC(struct dt_upto) upto;      /* by description */
	DT_VEC(struct dt_probe *) probes; /* matched, each once, in id order */
	/* what the descriptions as a whole match, and which of it this clause is for: copies of a clause that matches
	 * probes of several kinds, or one by several descriptions, stand for one each; where args[] are something else
	 * for each description, those of one description stand here */
	struct dt_probe **matched;
	u32 nmatched;
	bool copy; /* a clause before it stands for the program's own words */
	const struct dt_derived *derived; /* of all probes; NULL: events as they are */
	struct dt_node *task; /* N_ARG: the thread that the probe is about; NULL: the running one */
	DT_VEC(struct dt_late) late; /* where more may match while it runs */
	bool has_args_typed;
	dtrace_attribute_t attr; /* the least stable of what predicate and actions use */
	u32 index;               /* in the handle, program order; epid is index + 1 */
};

/* provider P { probe name(in) : (out); ... }; */
struct dt_probeparam {
	struct dt_type *type;
	const char *name; /* NULL: none */
	u32 from;         /* output: the input parameter that it is made of */
};
struct dt_probedecl {
	const char *name;                     /* as in C: my__probe is my-probe */
	DT_VEC(struct dt_probeparam) in, out; /* out may be empty: as in */
};
struct dt_provdecl {
	const char *name;
	DT_VEC(struct dt_probedecl) probes;
	struct dt_provdecl *next; /* newest first */
};

/* Names that live with the handle and are shared by its programs. */
struct dt_symtab {
	struct dt_arena arena;
	struct dt_htab globals, self, aggs, inlines;
	struct dt_xlator *xlators;     /* newest first */
	struct dt_provdecl *providers; /* newest first */
	u32 ninlines;
	DT_VEC(struct dt_var *) vars;
	DT_VEC(struct dt_aggvar *) aggvars; /* by varid - 1 */
	DT_VEC(struct dt_var *) thisvars;   /* of all programs */
	struct dt_htab bindings, attrs;     /* as in struct dt_newnames */
	struct dt_htab userlibs;            /* "x.d": libraries of the user's that were compiled */
	u64 libs_loaded;                    /* D libraries whose names are here, a bit each */
};
/* Versions: "1.6.3" as major << 24 | minor << 12 | micro. */
bool dt_version_parse(const char *s, u32 *out); /* false: malformed */
bool dt_version_known(u32 version);
u32 dt_version_newest(void);
/* Stability: "Stable/Evolving/Common" */
bool dt_attr_parse(const char *s, dtrace_attribute_t *out);
void dt_attr_least(dtrace_attribute_t *least, dtrace_attribute_t a);
extern const dtrace_attribute_t dt_attr_stable;
extern const char *const dt_stabilities[], *const dt_classes[];
extern const size_t dt_nstabilities, dt_nclasses;

void dt_symtab_init(struct dt_symtab *st);
void dt_symtab_fini(struct dt_symtab *st);
int dt_userlib_add(struct dt_symtab *st, const char *name); /* 0, -1 out of memory */

/* The compiler's window on the world, beside types and probes. */
struct dt_env {
	struct dt_types *types;
	struct dt_probes *probes;
	struct dt_symtab *syms;
	/* address and object of a kernel symbol; NULL function: none are known. 0 or -1 */
	int (*ksym)(void *arg, const char *mod, const char *name, u64 *addr);
	/* the package and NUMA node that a processor is in; NULL function: 0.  0 or -1 */
	int (*cpu_place)(void *arg, u32 cpu, u32 *chip, u32 *node);
	void *arg;
	/* macro variables */
	s64 target; /* $target; -1: none */
	s64 pid, ppid, pgid, sid, uid, euid, gid, egid;
	int argc; /* $0 ... */
	char *const *argv;
	/* options that concern compiling, and the hook for #pragma D option (0, or -1 with *err set) */
	u32 strsize;
	u32 printsize; /* the most that print() shows */
	u32 cflags;    /* DTRACE_C_* */
	u32 version;   /* of D: names that are newer vanish; 0: the newest */
	bool has_amin; /* clauses must be as stable as amin says */
	dtrace_attribute_t amin;
	bool destructive;
	bool allow_pending; /* tests of the front end: rows marked pending are no error */
	int (*pragma_option)(void *arg, const char *name, const char *value, const char **err);
	/* options may change while compiling: read again after pragmas */
	void (*refresh)(void *arg, struct dt_env *env);
};

struct dt_program {
	struct dt_arena arena; /* the tree, the source, the messages */
	struct dt_source src;
	struct dt_env *env;
	struct dt_diags diags;
	dtrace_probespec_t spec;
	DT_VEC(struct dt_clause *) clauses;
	struct dt_item *items; /* clauses and declarations in program order; the front end's own */
	u32 nmatches, nrecs, naggs;
	bool out_of_memory; /* why compiling failed when there are no findings */
	u32 library;  /* its number, from 1, when the text is a D library of the engine; else 0 */
	bool userlib; /* it is a library of the user's: no clauses */
	bool script;  /* it comes from a file: clauses have a predicate or actions */
};

/* The pipeline's front half: stop after a stage for dumps (dt_stage_name order: parse, check).  0, or -1
 * with findings in p->diags. Never leaves half-declared names behind in env->syms when it fails. */
enum dt_stage { DT_STAGE_PARSE, DT_STAGE_CHECK };
struct dt_program *dt_program_new(struct dt_env *env, const char *name, const char *text,
				  size_t len, dtrace_probespec_t spec);
int dt_program_compile(struct dt_program *p, enum dt_stage upto);
/* The text as a type name, as in a cast; a struct may be declared by it.  NULL with findings in p->diags. */
struct dt_type *dt_program_type(struct dt_program *p);
void dt_program_free(struct dt_program *p);

/* Textual tree for golden files. */
void dt_program_dump(const struct dt_program *p, struct dt_str *out);

#endif
