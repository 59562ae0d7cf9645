/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.h - inside the generator: one struct gen, small emitters, and the seams between its files.
 *
 *   gen.c      programs: attach points, dispatch, layout of maps
 *   abi.c      which probe fired, and where argN come from
 *   clause.c   predicate, statements, faults, the ERROR function
 *   record.c   the principal buffer: claim, fill, commit; recording actions
 *   spec.c     speculations
 *   agg.c      aggregations
 *   vars.c     variables of every scope, addresses, loads and stores
 *   expr.c     scalar expressions
 *   strings.c  string expressions
 *   subrs*.c   subroutines; rt.c: loops
 */
#ifndef DT_GEN_H
#define DT_GEN_H

#include "codegen/arch.h"
#include "codegen/ir.h"
#include "codegen/object.h"

/* A place in memory that the verifier knows: register (0: the frame pointer) + offset. */
struct mem {
	vreg p;
	s64 off;
};

/* All probes of one attach point that some clause wants, or of many alike that share a program. */
struct at_clause {
	const struct dt_clause *clause;
	DT_VEC(struct dt_probe *) probes;
	bool all;  /* every wanted key of the attach point */
	bool late; /* more probes may come */
};
struct at_set {
	struct dt_attach *at; /* the first of targets */
	enum dt_attach_kind kind;
	enum dt_abi abi;
	DT_VEC(struct dt_attach *) targets;
	bool shared; /* the key is the cookie of the attachment: the target's index */
	u32 nkeys;
	DT_VEC(struct at_clause) clauses;
	DT_VEC(struct dt_probe *) probes; /* wanted, by key */
	struct dt_userset *user; /* late: the tables are in globals, for the consumer to fill; else NULL */
	u32 mask_words;
	u32 mask_off; /* rodata: mask_words u64 per key; ~0 not laid out */
	u32 id_off;   /* rodata: u32 probe id per key */
	bool affine;  /* id = id_mul * key + id_add */
	u32 id_mul, id_add;
	u32 row_base; /* first dense row */
};

struct agg_use {
	bool seen, probe_keys_only, shared;
	const struct at_set *at;
	int set; /* its hash is in this map of maps, at slot; -1: a map of its own */
	u32 slot;
};

/* A loop body made for this program (rt.c): bytes that may be read of the first, second string. */
struct rt_kind;
struct rt_use {
	const struct rt_kind *kind;
	u32 b1, b2;
	struct ir_func *f;
};

struct segment; /* record.c: the record being filled */

struct gen {
	struct dt_arena *arena;
	struct dt_env *env;
	const struct dt_genopts *opts;
	struct dt_error *err;
	struct dt_object *o;
	const struct dt_clause *const *clauses;
	u32 nclauses;
	DT_VEC(struct at_set) sets;
	u32 *slot; /* by dt_attach.index: its index in the targets of its set */
	const struct at_set *error_set; /* clauses of dtrace:::ERROR, NULL: none */
	DT_VEC(struct dt_mapspec) maps;
	DT_VEC(struct dt_epid) epids;
	DT_VEC(struct dt_fault_site) faults;
	DT_VEC(u8) rodata;
	struct agg_use *agguse; /* by varid - 1 */
	u32 naggmaps;           /* aggregations in hashes */
	int map_state, map_ring, map_globals, map_rodata, map_doorbell, map_self, map_spec,
		map_vtime, map_python;
	u32 state_top, globals_top, self_size, this_size;
	u32 zeros_off, zeros_len; /* rodata: a stretch of zeros */
	u32 log_off;              /* rodata + 1: buckets of quantize() for bytes */
	u32 strsize;
	u32 nrecorders; /* programs that may write the ring while others run */
	bool failed;

	/* the program being made */
	struct ir_prog *prog;
	struct ir_func *f;
	const struct at_set *set;
	vreg ctx, st, key, errinfo;
	vreg user_regs; /* syscall.c: where they are, once found */
	vreg compat;    /* ... is it a 32-bit program's call? */
	bool sleeps;    /* user.c: it waits for pages of the process */
	vreg uarg_row;  /* static probes: where this one says its arguments are */
	vreg ring_once; /* 0: each clause finds the ring */
	s32 cpu_slot;
	struct ir_func *error_func; /* NULL: not made yet */
	DT_VEC(struct rt_use) rt;
	u32 scratch_base, scratch_max;

	/* the clause being made */
	const struct dt_clause *clause;
	const struct at_clause *ac;
	u32 epid;   /* of the current segment */
	u32 action; /* 1-based statement; 0 the predicate */
	u32 end_label, fault_label;
	s32 info_slot;
	bool may_fault, clause_may_exit;
	bool loops;     /* the statement goes through strings */
	bool writing;   /* g_addr(): for a store, which elements are made for */
	vreg ts, selfp; /* cached for the clause; 0: not made */
	struct segment *seg;
	vreg ring, rec, recsize; /* claimed record (0: none) and its size, for a fault */
	vreg spec;         /* 0, or the speculation buffer (or NULL) that the clause writes to */
	bool speculating;  /* records go there */
	u32 keep, tmp;     /* scratch: clause-lifetime top, statement top */
	u32 keep_max;      /* the highest keep: pointers of D programs are below */
	struct mem strtok; /* what strtok() has left: subrs_str.c */
};

/* ---- emitters (emit.c) ------------------------------------------------------------------------- */
vreg e_movi(struct gen *g, s64 imm);
vreg e_mov(struct gen *g, vreg a);
void e_set(struct gen *g, vreg d, vreg a); /* d = a, d may have other definitions */
void e_seti(struct gen *g, vreg d, s64 imm);
vreg e_alu(struct gen *g, enum ir_op op, vreg a, vreg b);
vreg e_alui(struct gen *g, enum ir_op op, vreg a, s64 imm);
vreg e_neg(struct gen *g, vreg a);
vreg e_zext32(struct gen *g, vreg a);
vreg e_ld(struct gen *g, struct mem m, u32 size);
void e_st(struct gen *g, struct mem m, u32 size, vreg v);
void e_sti(struct gen *g, struct mem m, u32 size, s64 imm);
void e_xadd(struct gen *g, struct mem m, vreg v);
vreg e_cmpxchg(struct gen *g, struct mem m, vreg expected, vreg want); /* 8 bytes; the old value */
void e_jmp(struct gen *g, u32 label);
void e_jcc(struct gen *g, u8 cond, vreg a, vreg b, u32 label);
void e_jcci(struct gen *g, u8 cond, vreg a, s64 imm, u32 label);
void e_label(struct gen *g, u32 label);
void e_ret(struct gen *g, s64 imm);
struct ir_arg a_reg(vreg r);
struct ir_arg a_mem(struct mem m); /* its address */
struct ir_arg a_imm(s64 imm);
struct ir_arg a_map(int map);
struct ir_arg a_fp(s32 off);
struct ir_arg a_func(const struct ir_func *f);
vreg e_calln(struct gen *g, enum ir_op op, s64 which, const struct ir_arg *args, u32 n);
#define e_call(g, helper, ...) \
	e_calln(g, IR_CALL, helper, (const struct ir_arg[]){ __VA_ARGS__ }, \
		DT_NELEM(((const struct ir_arg[]){ __VA_ARGS__ })))
#define e_call0(g, helper) e_calln(g, IR_CALL, helper, NULL, 0)
struct mem mem_fp(s32 slot);
struct mem mem_add(struct mem m, s64 off);
vreg e_addr(struct gen *g, struct mem m); /* the address as a (verifier) pointer */
/* A verifier pointer as a plain number: through memory, since most arithmetic on pointers is refused. */
vreg e_launder(struct gen *g, vreg p);

/* ---- gen.c --------------------------------------------------------------------------------------- */
int g_fail(struct gen *g, const struct dt_loc *loc, const char *fmt, ...) DT_PRINTF(3, 4);
u32 g_type_size(const struct gen *g, const struct dt_type *t); /* strings: strsize */
u32 g_rodata(struct gen *g, const void *p, u32 n, u32 align);  /* offset */
struct mem g_rodata_mem(struct gen *g, u32 off);
struct mem g_globals_mem(struct gen *g, u32 off);
struct mem g_state_mem(struct gen *g, u32 off);
struct mem g_tmp(struct gen *g, u32 size);  /* scratch until the statement's end */
struct mem g_keep(struct gen *g, u32 size); /* scratch until the clause's end */
vreg g_probe_id(struct gen *g);
vreg g_key_index(struct gen *g);                 /* the key, bounded for table look-ups */
const struct dt_userset *g_uargs(struct gen *g); /* with the table of operands, laid out */
struct mem g_table_mem(struct gen *g, u32 off);  /* of the attach point, in rodata or globals */
u32 g_table_rows(const struct at_set *s);        /* rows of such tables: a power of two */
u32 g_probe_key(const struct gen *g, const struct at_set *s, const struct dt_probe *p);
vreg e_bounded(struct gen *g, vreg v); /* a copy that stays in a register, to be compared and added */
bool g_single_probe(const struct gen *g, const struct dt_probe **p);
int g_map_state(struct gen *g);
int g_map_globals(struct gen *g);
int g_map_rodata(struct gen *g);
int g_map_ring(struct gen *g);
int g_map_doorbell(struct gen *g);
int g_map_spec(struct gen *g);
int g_map_vtime(struct gen *g);
u32 g_add_map(struct gen *g, const struct dt_mapspec *m);
struct mem g_zeros(struct gen *g, u32 size);        /* constant zeros to read */
void e_zero(struct gen *g, struct mem m, u32 size); /* clear known memory */
bool g_preemptible(const struct gen *g); /* the program may be entered again on this CPU while it runs */
bool g_nesting(const struct gen *g); /* programs may interrupt each other: atomics are needed */

/* ---- abi.c: a row per enum dt_abi ------------------------------------------------------------------- */
struct abi {
	u32 prog_type, attach_type;
	bool typed;    /* the verifier knows what arguments point to */
	u32 machinery; /* kernel frames of the tracing itself, above the function that fired */
	vreg (*key)(struct gen *g);        /* attach points with several probes: which one */
	void (*before)(struct gen *g);     /* NULL, or what comes before all clauses */
	vreg (*arg)(struct gen *g, u32 n); /* argN; 0 past those there are */
};
const struct abi *g_abi(const struct gen *g);
vreg g_raw_arg(struct gen *g, u32 n); /* argN of any program, the ERROR function's too: a number */
bool g_arg_is_typed(struct gen *g, u32 n); /* is it a pointer that the verifier knows? */
vreg g_typed_arg(struct gen *g, u32 n);    /* then the pointer */
bool g_at_entry(const struct gen *g);      /* user code, at the first instruction of a function */
/* What lies at an address of the process; 0 when it cannot be read. */
vreg g_peek_user(struct gen *g, struct mem m, u32 size);
vreg g_return_address(struct gen *g);        /* there */
u32 g_machinery_frames(const struct gen *g); /* frames to leave out of kernel stacks */
void g_prog_name(const struct at_set *s, u32 index, char name[16]);

/* ---- syscall.c: a row's functions for system calls ------------------------------------------------- */
vreg g_sys_enter_key(struct gen *g);
vreg g_sys_exit_key(struct gen *g);
void g_sys_find_regs(struct gen *g);
vreg g_sys_enter_arg(struct gen *g, u32 n);
vreg g_sys_exit_arg(struct gen *g, u32 n);

/* ---- user.c: copies of the process's memory; what cannot be read is a fault ----------------------- */
void g_read_user(struct gen *g, struct mem dst, struct ir_arg len, vreg from, struct dt_loc loc);
/* Up to its NUL or to len. */
void g_read_user_text(struct gen *g, struct mem dst, struct ir_arg len, vreg from, struct dt_loc loc);
vreg g_try_user(struct gen *g, struct mem dst, struct ir_arg len, vreg from); /* negative: no */

/* ---- clause.c ------------------------------------------------------------------------------------- */
void g_clause(struct gen *g, const struct at_clause *ac);
/* End the clause with a fault unless `cond` holds between a and imm. */
void g_fault_unless(struct gen *g, u8 cond, vreg a, s64 imm, int fault, vreg addr, struct dt_loc loc);
void g_fault(struct gen *g, int fault, vreg addr, struct dt_loc loc);
struct ir_func *g_error_func(struct gen *g);
void g_make_error_func(struct gen *g);  /* its body, after the program's */
void g_drop(struct gen *g, u32 st_off); /* count a drop in state */

/* ---- record.c ------------------------------------------------------------------------------------- */
bool g_stmts_record(const struct dt_stmt *s);
void g_layout_records(struct gen *g); /* epids and record layouts of all clauses */
struct dt_epid *g_epid_of(struct gen *g, const struct dt_clause *c, const struct dt_stmt *first);
void g_segment_begin(struct gen *g, const struct dt_stmt *first);
void g_segment_stmt(struct gen *g, const struct dt_stmt *s); /* a recording action */
void g_segment_end(struct gen *g);
void g_ring_once(struct gen *g);    /* at the start of a program with many clauses that record */
void g_fault_record(struct gen *g); /* in the ERROR function: the record with epid 0 */
void g_discard(struct gen *g);
/* Pieces for spec.c.  The ring of this CPU; moving its head by total bytes, a constant or n, to lost when others
 * were faster twice: the record's offset, bounded. */
vreg g_find_ring(struct gen *g);
vreg g_advance(struct gen *g, vreg ring, vreg h, vreg n, u32 total, u32 lost);
void g_patch(struct gen *g,
	     enum dt_patch_kind kind); /* the last instruction's constant is the loader's */
enum dt_patch_kind g_ring_room(const struct gen *g);
bool g_overwrites(const struct gen *g);         /* the record need not find room */
void g_place(struct gen *g, vreg rec, vreg at); /* where records do not, they say where they begin */
void g_header(struct gen *g, vreg rec, u32 epid, vreg probe);
void g_doorbell(struct gen *g);
void g_wake(struct gen *g, vreg ring); /* when the consumer asked to be woken */

/* ---- spec.c --------------------------------------------------------------------------------------- */
bool g_commits(const struct dt_stmt *s); /* commit() among these statements */
void g_spec_begin(struct gen *g);        /* of a clause */
void g_spec_end(struct gen *g);          /* of the statements that speculate() reaches */
void act_speculate(struct gen *g, const struct dt_stmt *s);
void act_commit(struct gen *g, const struct dt_stmt *s);
void act_discard(struct gen *g, const struct dt_stmt *s);
vreg subr_speculation(struct gen *g, const struct dt_node *n);

/* ---- acts.c: actions that record nothing ------------------------------------------------------------ */
void g_act(struct gen *g, const struct dt_stmt *s);

/* ---- subrs.c --------------------------------------------------------------------------------------- */
void act_copyout(struct gen *g, const struct dt_stmt *s);
void act_copyoutstr(struct gen *g, const struct dt_stmt *s);
/* Fixed size and kind of a datum made from an expression. */
void g_datum_of(struct gen *g, const struct dt_node *n, struct dt_datum *d);
/* Evaluate n and store it at m in the form d says.  For keys, unused bytes are cleared. */
void g_store_datum(struct gen *g, const struct dt_node *n, const struct dt_datum *d, struct mem m,
		   bool key);
void g_recdesc(dtrace_recdesc_t *r, const struct dt_datum *d, u32 shown_off);
u32 g_shown_size(const struct dt_datum *d);

/* ---- agg.c ---------------------------------------------------------------------------------------- */
void g_layout_aggs(struct gen *g);
void g_agg(struct gen *g, const struct dt_stmt *s);

/* ---- vars.c --------------------------------------------------------------------------------------- */
void g_layout_vars(struct gen *g);

enum addr_kind { ADDR_SAFE, ADDR_KERN, ADDR_USER, ADDR_BTF };
struct addr {
	enum addr_kind kind;
	struct mem m;
	u64 bound;       /* ADDR_SAFE: bytes that may be read from m on */
	bool maybe_null; /* ADDR_BTF */
};
struct addr g_addr(struct gen *g, const struct dt_node *n); /* of an lvalue */
struct addr g_ptr(struct gen *g, const struct dt_node *n);  /* where a pointer expression points */
vreg g_load(struct gen *g, struct addr a, const struct dt_type *t, struct dt_loc loc);
/* Copy size bytes from a to known memory. */
void g_copy(struct gen *g, struct mem dst, struct addr a, u32 size, struct dt_loc loc);
vreg g_var_load(struct gen *g, const struct dt_node *n); /* scalar N_VAR, N_ASSOC */
void g_assign(struct gen *g, const struct dt_node *n);   /* N_ASSIGN of any type, for effect */
/* Memory that a pointer of the D program may write: size bytes, or up to that many when dyn says how many. */
struct mem g_writable(struct gen *g, struct addr a, u32 size, vreg dyn, struct dt_loc loc);
/* Read, change, write: the new or old value. */
vreg g_modify(struct gen *g, const struct dt_node *lv,
	      vreg (*fn)(struct gen *g, vreg old, const void *arg), const void *arg, bool want_old);
void g_clause_vars(struct gen *g, bool pred); /* make ts, selfp, regs before use */
/* Store a scalar, already of the lvalue's type; gives what the lvalue then holds (bit-fields cut). */
vreg g_store(struct gen *g, const struct dt_node *lv, vreg v);

/* ---- expr.c --------------------------------------------------------------------------------------- */
vreg g_expr(struct gen *g, const struct dt_node *n); /* scalar, normalized to its type */
void g_effect(struct gen *g, const struct dt_node *n);
void g_cond(struct gen *g, const struct dt_node *n, u32 iftrue, u32 iffalse, bool true_next);
vreg g_norm(struct gen *g, vreg v, u32 size, bool is_signed);
vreg g_arith(struct gen *g, enum dt_nop op, const struct dt_type *t, vreg a, vreg b,
	     struct dt_loc loc);
vreg g_current_task_btf(struct gen *g);
/* The thread that self-> belongs to: the running one, unless the probe is about another (N_ARG; else NULL).  As the
 * verifier's pointer, as a number, its id and its process's. */
const struct dt_node *g_other_thread(const struct gen *g);
vreg g_thread_btf(struct gen *g);
vreg g_thread(struct gen *g);
vreg g_thread_id(struct gen *g);
vreg g_thread_tgid(struct gen *g);
vreg g_kernel_stack(struct gen *g, struct mem m, u32 frames); /* of that thread; bytes, or negative */
vreg g_pid_tgid(struct gen *g);
vreg g_tgid(struct gen *g);
bool node_uses(const struct dt_node *n, bool (*test)(const struct dt_node *));
bool stmts_use(const struct dt_stmt *s, bool (*test)(const struct dt_node *));
bool g_loops(const struct dt_stmt *s);
bool g_right_first(const struct dt_node *l, const struct dt_node *r); /* compute r before l? */

/* ---- task.c: what the running thread says about itself ------------------------------------------------ */
vreg g_caller(struct gen *g, const struct dt_node *n); /* caller, ucaller */
/* python.c: the interpreter's frames of this thread, into a struct dt_raw_python. */
int g_map_python(struct gen *g);
void g_python_stack(struct gen *g, struct dt_loc loc, struct mem m, u32 strsize, u32 frames,
		    bool lines); /* with what the consumer needs to tell the current ones */
void g_user_stack(struct gen *g, struct mem m, u32 frames); /* u64 each */
vreg g_stackdepth(struct gen *g, const struct dt_node *n);  /* stackdepth, ustackdepth */
vreg g_uregs(struct gen *g, const struct dt_node *n);
vreg g_cgroup(struct gen *g, const struct dt_node *n);
vreg g_vtimestamp(struct gen *g, const struct dt_node *n);
vreg g_cpu_place(struct gen *g, const struct dt_node *n); /* __chip(), __lgrp() */
/* Byte offset of a member of a kernel type, "fs" of "struct task_struct"; fails the compilation without it. */
u32 g_kernel_offset(struct gen *g, struct dt_loc loc, const char *type, const char *member);
vreg g_read_kernel(struct gen *g, struct mem m, u32 size); /* 0 when it cannot be read */

/* ---- strings.c ------------------------------------------------------------------------------------ */
struct sval {
	struct mem m;
	u32 bound;       /* bytes that may be read at m */
	const char *lit; /* a constant: its text */
	u32 litlen;
};
struct sval g_str(struct gen *g, const struct dt_node *n);
void g_str_into(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
/* Pieces for subroutines: copy with measuring, bound a number, cut a slice out. */
vreg g_copy_len(struct gen *g, struct mem dst, u32 size, struct mem src);
vreg g_at_most(struct gen *g, vreg v, u32 max);
void g_slice(struct gen *g, struct mem dst, u32 size, struct sval src, vreg from, vreg count);
void g_put_literal(struct gen *g, struct mem dst, const char *s, u32 len);
u32 g_str_bound(struct gen *g, const struct dt_node *n); /* bytes incl. NUL that n may need */
/* -1, 0, 1 into a register, or jump on (in)equality */
vreg g_strcmp(struct gen *g, const struct dt_node *l, const struct dt_node *r);
void g_streq(struct gen *g, const struct dt_node *l, const struct dt_node *r, u32 iftrue,
	     u32 iffalse);
vreg g_subr(struct gen *g, const struct dt_node *n);            /* integer-valued subroutines */
struct addr g_subr_ptr(struct gen *g, const struct dt_node *n); /* copyin, alloca */

/* ---- path.c: strings that have to be put together from the kernel's or the process's memory ------------- */
void g_into_path(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void g_into_execargs(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);

/* ---- rt.c ----------------------------------------------------------------------------------------- */
vreg rt_strcmp(struct gen *g, struct sval a, struct sval b); /* -1, 0, 1 */

/* ---- subrs.c -------------------------------------------------------------------------------------- */
typedef void into_f(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
/* A subroutine with a string result, and how many bytes that may need (NULL: strsize). */
struct subr_str {
	into_f *into;
	u32 (*bound)(struct gen *g, const struct dt_node *n);
};
const struct subr_str *g_subr_str(int id); /* NULL: not one of these */
void g_strtok_begin(struct gen *g);        /* subrs_str.c: at the start of a clause */

#endif
