/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.h - one compilation: what the files of this folder share.  Nobody else includes it.
 *
 * The lexer reads on demand, since what a character means depends on where the parser stands (a
 * probe description, a predicate, a body).  After the first syntax error it gives end-of-file for
 * ever, so the parser unwinds by itself and reports once.  Running out of memory is the only
 * non-local exit, caught in dt_program_compile().
 *
 * Names that a program introduces live in the compilation's own tables (struct dt_newnames) and
 * move to the handle's when all went well: a program that fails leaves nothing behind.
 */
#ifndef DT_COMPILE_H
#define DT_COMPILE_H

#include "lang/lang.h"

#define DT_MAX_DEPTH 1000   /* steps of recursion: two for a bracket, one for a unary operator */
#define DT_MAX_HEIGHT 1000  /* height of an expression's tree: a + b + c + ... */
#define DT_MAX_NODES 500000 /* of a program, when inlines and translators have been put in */

/* ---- tokens (lex.c) ------------------------------------------------------------------------ */

enum dt_tok {
	T_EOF,
	T_INT,   /* val, itype; characters too */
	T_STR,   /* str, slen */
	T_IDENT, /* str; may hold backquotes */
	T_AGG,   /* @str */
	T_EPRED, /* the / that ends a predicate */

	T_LPAR,
	T_RPAR,
	T_LBRAC,
	T_RBRAC,
	T_LBRACE,
	T_RBRACE,
	T_SEMI,
	T_COMMA,
	T_QUEST,
	T_COLON,
	T_DOT,
	T_ARROW,
	T_ELLIPSIS,
	T_INC,
	T_DEC,
	T_NOT,
	T_TILDE,
	T_STAR,
	T_DIV,
	T_MOD,
	T_PLUS,
	T_MINUS,
	T_SHL,
	T_SHR,
	T_LT,
	T_LE,
	T_GT,
	T_GE,
	T_EQ,
	T_NE,
	T_AND,
	T_XOR,
	T_OR,
	T_LAND,
	T_LXOR,
	T_LOR,
	T_ASSIGN,
	T_ADDEQ,
	T_SUBEQ,
	T_MULEQ,
	T_DIVEQ,
	T_MODEQ,
	T_ANDEQ,
	T_XOREQ,
	T_OREQ,
	T_SHLEQ,
	T_SHREQ,

	T_KEYWORD, /* keywords are T_KEYWORD + 1 + enum dt_kw */
#define KEYWORD(word, id, flags) T_KW_##id,
#include "lang/keywords.def"
#undef KEYWORD
};

enum dt_kw {
#define KEYWORD(word, id, flags) KW_##id,
#include "lang/keywords.def"
#undef KEYWORD
	KW_N
};
#define DT_KF_DECL 1     /* may begin a declaration */
#define DT_KF_RESERVED 2 /* has no use in D */
struct dt_keyword {
	const char *word;
	u8 flags;
};
extern const struct dt_keyword dt_keywords[KW_N];
#define TOK_KW(id) T_KW_##id

struct dt_token {
	enum dt_tok tok;
	struct dt_loc loc;
	u64 val;
	enum dt_basic itype;
	const char *str;
	u32 slen;
};

struct dt_lexer {
	const struct dt_source *src; /* its name follows #line */
	const char *text;
	u32 len, pos;
	s32 line;  /* of pos, from 1 */
	s32 shift; /* #line: what it says less what it is */
	bool shifted;
	bool in_pred; /* a / may end the predicate */
	bool fresh;   /* only white space so far on this line: # is a control line */
	bool dead;    /* after a syntax error: only T_EOF comes */
};

/* ---- declarations (decl.c) ----------------------------------------------------------------- */

enum dt_class {
	CL_NONE,
	CL_TYPEDEF,
	CL_EXTERN,
	CL_STATIC,
	CL_AUTO,
	CL_REGISTER,
	CL_SELF,
	CL_THIS,
	CL_INLINE
};

/* What stands before the declarators. */
struct dt_specs {
	enum dt_class cls;
	struct dt_type *type;
	struct dt_loc loc;
	bool tag_declared; /* a struct, union or enum was named: useful even without a declarator */
};

/* One declarator: a name and the type that it has. */
struct dt_decl {
	const char *name; /* NULL: abstract */
	struct dt_loc loc;
	struct dt_type *type;
	bool assoc; /* x[int, string] */
	struct dt_type **keys;
	const char **knames; /* names of keys (inline arrays), NULL where absent */
	u32 nkeys;
};

/* ---- program units in program order -------------------------------------------------------- */

enum dt_item_kind { I_CLAUSE, I_VAR, I_INLINE, I_XLATOR, I_PROVIDER };

/* inline T name = e;  inline T name[T i] = e; */
struct dt_inline {
	const char *name;
	struct dt_loc loc;
	struct dt_type *type;
	bool array;
	const char **params;
	struct dt_type **ptypes;
	u32 nparams;
	struct dt_node *body;    /* as parsed */
	u32 seq;                 /* a body sees only the inlines before it: no recursion */
	bool bad;                /* was wrong when declared: said once */
	struct dt_inline *hides; /* a library's of that name, which libraries go on to use */
};

struct dt_xmember {
	const char *name;
	struct dt_loc loc;
	struct dt_node *expr; /* as parsed */
};

/* translator OUT < IN *name > { member = e; ... }; */
struct dt_xlator {
	struct dt_type *out, *in;
	const char *param;
	struct dt_loc loc;
	DT_VEC(struct dt_xmember) members;
	bool bad;
	struct dt_xlator *next; /* in a list, newest first */
};

struct dt_item {
	enum dt_item_kind kind;
	struct dt_item *next;
	struct dt_clause *clause;
	enum dt_scope scope; /* I_VAR */
	struct dt_decl decl;
	struct dt_inline *inl;
	struct dt_xlator *xl;
	const char *provider;
};

/* ---- the compilation ----------------------------------------------------------------------- */

/* Names made by this program, not yet the handle's. */
struct dt_newnames {
	struct dt_htab tags, typedefs, enums; /* struct dt_type, struct dt_type, struct dt_enumconst */
	struct dt_htab globals, self, this_; /* struct dt_var */
	struct dt_htab aggs;                 /* struct dt_aggvar */
	struct dt_htab inlines;
	struct dt_htab mentioned;     /* identifiers used as values: no types, then */
	struct dt_htab bindings;      /* #pragma D binding: the version, as a pointer */
	struct dt_htab attrs;         /* #pragma D attributes: dtrace_attribute_t */
	DT_VEC(struct dt_var *) vars; /* globals and self->, in order */
	DT_VEC(struct dt_var *) thisvars;
	DT_VEC(struct dt_aggvar *) aggvars;
	struct dt_xlator *xlators;
	struct dt_provdecl *providers;
};

/* A name that #pragma D attributes or binding spoke of. */
struct dt_pragma {
	const char *what, *name;
	struct dt_loc loc;
};

struct dt_pending {
	struct dt_loc loc;
	const char *what, *why;
};

struct dt_compile {
	struct dt_program *p;
	struct dt_env *env;
	struct dt_arena *a;
	struct dt_types *ts;
	struct dt_symtab *st;
	struct dt_lexer lx;
	struct dt_token look[8]; /* read ahead */
	u32 nlook;
	struct dt_loc last; /* the last token taken */
	u32 depth;
	u32 nnodes;
	struct dt_newnames names;
	struct dt_item *items, **tail;
	bool declared;    /* something stands outside clauses */
	u32 inline_seq;   /* next, while parsing */
	u32 inline_limit; /* only inlines with a lower number are seen */
	u32 expanding;    /* translators and inlines inside each other */
	bool too_big;     /* reported: expressions grew beyond all bounds */
	bool *argused;
	DT_VEC(struct dt_pragma) pragmas;
	DT_VEC(struct dt_pending) pending; /* reported at the end, if nothing else is wrong */

	DT_VEC(const struct dt_note *) noted; /* dt_note_clause() */

	/* the clause being checked */
	struct dt_clause *clause;
	int args_state; /* 0 not asked; 1 known; -1 there are none (said so) */
	struct dt_probe_args args;
	struct dt_did {
		bool spec, commit, rec;
	} did;
	u32 ntemps;
};

/* Report; gives NULL. */
void *dt_err(struct dt_compile *c, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
	DT_PRINTF(4, 5);
/* Report a syntax error and let the lexer give end-of-file from now on; only the first one is
 * reported. */
void *dt_syntax(struct dt_compile *c, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
	DT_PRINTF(4, 5);
/* A call that is known but not built yet: an error if all else is right. */
/* why: the reason that it never will be; NULL: it is not built yet */
void dt_pend(struct dt_compile *c, struct dt_loc loc, const char *what, const char *why);
/* Text of a type, in the arena. */
const char *dt_tstr(struct dt_compile *c, const struct dt_type *t);
_Noreturn void dt_oom(struct dt_compile *c);
void dt_put(struct dt_compile *c, struct dt_htab *t, const char *key, void *val);

/* ---- lex.c --------------------------------------------------------------------------------- */
void dt_lex_init(struct dt_compile *c);
struct dt_token *dt_peek(struct dt_compile *c, u32 n); /* n-th token ahead, from 0 */
struct dt_token dt_next(struct dt_compile *c);
bool dt_accept(struct dt_compile *c, enum dt_tok tok);
bool dt_expect(struct dt_compile *c, enum dt_tok tok);         /* else a syntax error */
void *dt_unexpected(struct dt_compile *c, const char *wanted); /* at the next token */
void dt_lex_skip(struct dt_compile *c); /* white space, comments, control lines; only with nothing read ahead */
/* Where white space and comments from i on end. */
u32 dt_lex_blank(const struct dt_lexer *lx, u32 i);
struct dt_loc dt_lex_loc(const struct dt_compile *c, u32 off, u32 len);
const char *dt_tok_text(enum dt_tok tok);
/* The text of a macro variable or argument; NULL (reported) when there is none. name without the
 * $. */
const char *dt_macro_text(struct dt_compile *c, const char *name, struct dt_loc loc);
/* Escapes of a string or character constant: bytes written to out (at most n). */
u32 dt_unescape(const char *s, u32 n, char *out);

/* ---- pragma.c: a control line, '#' to the end of the line ---------------------------------- */
void dt_control_line(struct dt_compile *c, u32 off, u32 len);
void dt_pragmas_check(struct dt_compile *c); /* those that named nothing */

/* ---- parse.c ------------------------------------------------------------------------------- */
void dt_parse(struct dt_compile *c);
struct dt_node *dt_parse_expr(struct dt_compile *c);
struct dt_node *dt_parse_assign(struct dt_compile *c);
bool dt_enter(struct dt_compile *c); /* one level deeper; false (reported): too deep */
void dt_leave(struct dt_compile *c);
struct dt_node *dt_node_new(struct dt_compile *c, enum dt_nop op, struct dt_loc loc);

/* ---- library.c: the D libraries of d/, built in --------------------------------------------- */
struct dt_library {
	const char *name, *text;
	u32 len;
};
struct dt_libname {
	/* of an inline, typedef, or tag with its word: "struct psinfo"; of a translator "bufinfo_t < struct bio *" */
	const char *name;
	u32 lib;
};
extern const struct dt_library dt_libraries[]; /* in order of dependency */
extern const u32 dt_nlibraries;
extern const struct dt_libname dt_libnames[]; /* sorted */
extern const u32 dt_nlibnames;

/* Inlines of libraries have the lowest numbers, in the order of libraries: all others see them. */
#define DT_LIB_INLINES 4096

/* A name was not found: load the library that declares it.  True when one was loaded just now, and looking
 * again will help. */
bool dt_lib_need(struct dt_compile *c, const char *name);
bool dt_lib_exists(const char *name);                     /* "io.d" */
void dt_lib_load(struct dt_compile *c, const char *name); /* unless it is */

/* ---- decl.c -------------------------------------------------------------------------------- */
bool dt_is_typename(struct dt_compile *c,
		    u32 ahead); /* does the token begin a type (or a storage class)? */
bool dt_parse_specs(struct dt_compile *c, struct dt_specs *s);
bool dt_parse_declarator(struct dt_compile *c, const struct dt_specs *s, struct dt_decl *d);
struct dt_type *dt_parse_type(struct dt_compile *c); /* type-name of a cast, sizeof ...; NULL: reported */
struct dt_type *dt_find_type(struct dt_compile *c, const char *name);  /* typedef names */
struct dt_type *dt_find_tag(struct dt_compile *c, const char *tagged); /* "struct x" */
/* C type text of a table ("struct task_struct *", "int64_t"). NULL: unknown */
struct dt_type *dt_type_text(struct dt_compile *c, const char *text);
void dt_declare_typedef(struct dt_compile *c, const struct dt_decl *d);

/* ---- unit.c: what stands outside clauses: declarations, inlines, translators, providers ---- */
void dt_parse_declaration(struct dt_compile *c);
struct dt_item *dt_item_add(struct dt_compile *c, enum dt_item_kind kind);

/* ---- stability.c: versions and stability of names ------------------------------------------- */
/* The name, or what stands for it when the version of D that was asked for does not have it. */
const char *dt_versioned(struct dt_compile *c, const char *name);
const char *dt_member_name(struct dt_compile *c, const char *name); /* members have no versions */
void dt_attr_use(struct dt_compile *c, const char *name); /* the clause under way uses it */
void dt_attr_check(struct dt_compile *c, const struct dt_clause *cl);

/* ---- provider.c: declarations of providers ------------------------------------------------- */
void dt_parse_provider(struct dt_compile *c);
/* The arguments that a declaration gives to the probe; false: there is none. */
bool dt_declared_args(struct dt_compile *c, const struct dt_probe *p, struct dt_probe_args *out);
void dt_providers_publish(struct dt_compile *c);

/* ---- bind.c -------------------------------------------------------------------------------- */
void dt_bind_clause(struct dt_compile *c, struct dt_clause *cl);
void dt_sort_matches(struct dt_clause *cl);
/* Has args[] other types in another description of the bound clause?  Looks at one probe of each. */
bool dt_args_differ(struct dt_compile *c, const struct dt_clause *cl);
/* Variables: found, or made (type NULL) when create; NULL when there is none. */
struct dt_var *dt_bind_var(struct dt_compile *c, enum dt_scope scope, const char *name,
			   struct dt_loc loc, bool create);
struct dt_aggvar *dt_bind_agg(struct dt_compile *c, const char *name, struct dt_loc loc, bool create);
struct dt_inline *dt_bind_inline(struct dt_compile *c, const char *name);
const struct dt_builtin *dt_bind_builtin(const char *name, u64 *argn);
const struct dt_subr *dt_bind_subr(const char *name);
const struct dt_action *dt_bind_action(const char *name);
bool dt_declared_enumerator(struct dt_compile *c, const char *name); /* by a D program, not the kernel */
bool dt_bind_enumerator(struct dt_compile *c, const char *name, s64 *val, struct dt_type **type);
/* Typed arguments of the current clause's probes; false (reported): there are none */
bool dt_bind_args(struct dt_compile *c, struct dt_loc loc);
/* Move new names to the handle. */
void dt_names_publish(struct dt_compile *c);
void dt_names_fini(struct dt_newnames *n);

/* ---- check.c ------------------------------------------------------------------------------- */
void dt_check(struct dt_compile *c);
struct dt_node *dt_check_expr(struct dt_compile *c, struct dt_node *n);
/* A call of an action or aggregating function that gives no value. */
bool dt_is_void_call(const struct dt_node *n);
/* A value where stack(), sym() and the like are possible too. */
struct dt_node *dt_check_key(struct dt_compile *c, struct dt_node *n);
/* r made a `type`, as an assignment does; false (silent): it cannot be. */
bool dt_convert(struct dt_compile *c, struct dt_node **r, struct dt_type *type);
struct dt_node *dt_cast(struct dt_compile *c, struct dt_node *n, struct dt_type *type);
struct dt_node *dt_to_string(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_decay(struct dt_compile *c,
			 struct dt_node *n); /* array -> pointer to its first element */
struct dt_node *dt_poison(struct dt_compile *c, struct dt_node *n);
bool dt_is_poison(const struct dt_node *n);
bool dt_is_user_pointer(const struct dt_type *t);
/* t as it lies in the traced process. */
struct dt_type *dt_userland(struct dt_compile *c, struct dt_type *t);
bool dt_is_zero(const struct dt_node *n);
bool dt_stringable(const struct dt_node *n); /* a string, or kernel char * or char[] */
/* Constant expression at parse time (array sizes, enumerators); false: it is none (not
 * reported). */
bool dt_const_expr(struct dt_compile *c, struct dt_node *n, s64 *val);
struct dt_type *dt_promote(struct dt_compile *c, const struct dt_node *n);
struct dt_type *dt_basic(struct dt_compile *c, enum dt_basic b);
struct dt_type *dt_infer(struct dt_compile *c, struct dt_node **r);
/* A key that gives no value: reported, poison. */
struct dt_node *dt_void_key(struct dt_compile *c, struct dt_node *n);
/* Checked keys against a signature, which the first use makes (in the handle's arena). */
bool dt_check_tuple(struct dt_compile *c, const char *what, struct dt_type ***keys, u32 *nkeys,
		    bool first, struct dt_node **args, u32 nargs, struct dt_loc loc);
const char *dt_op_text(enum dt_nop op); /* "+" */
/* An operand of `op`: actions are refused. */
struct dt_node *dt_operand(struct dt_compile *c, struct dt_node *n, const char *op);
/* A D variable that only this compilation's trees know. */
struct dt_var *dt_temp_var(struct dt_compile *c, struct dt_type *type);
struct dt_node *dt_var_node(struct dt_compile *c, struct dt_var *v, struct dt_loc loc);
struct dt_node *dt_int_node(struct dt_compile *c, u64 val, struct dt_type *type, struct dt_loc loc);

/* ---- derive.c: clauses of derived probes ----------------------------------------------------- */
/* The bound clause of an item becomes as many as it matches kinds of probes, in items that follow; how many. */
u32 dt_split_clause(struct dt_compile *c, struct dt_item *it);
/* What the clause's row wants earlier events to note is noted by a clause of our own. */
void dt_note_clause(struct dt_compile *c, const struct dt_clause *cl);
/* The condition that makes the event the probe, in front of the checked predicate. */
void dt_guard_clause(struct dt_compile *c, struct dt_clause *cl);
/* D text of the clause's row, checked; poison (reported). */
struct dt_node *dt_derived_expr(struct dt_compile *c, const char *text, struct dt_loc loc);
/* __event_x: the argument x of the clause's event; poison (reported) where there is none. */
struct dt_node *dt_derived_param(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_derived_arg(struct dt_compile *c, u32 i, struct dt_loc loc); /* args[i] */
/* value as args[n] of type `type`, to which it is translated. */
struct dt_node *dt_translated(struct dt_compile *c, struct dt_node *value, const char *type);
/* What a built-in variable is in a clause of a derived probe; NULL: the same as everywhere. */
struct dt_node *dt_derived_builtin(struct dt_compile *c, struct dt_node *n,
				   const struct dt_builtin *b, u64 argn);
/* May the function be called?  False (reported): not in this probe. */
bool dt_derived_call(struct dt_compile *c, const struct dt_node *n);

/* ---- check_ref.c: names, members, elements ------------------------------------------------- */
struct dt_node *dt_check_ident(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_member(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_subscript(struct dt_compile *c, struct dt_node *n);
/* The left side of an assignment: makes variables; a new one has type NULL. */
struct dt_node *dt_check_target(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_deref(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_addrof(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_sizeof(struct dt_compile *c, struct dt_node *n);
struct dt_node *dt_check_offsetof(struct dt_compile *c, struct dt_node *n);

/* ---- check_call.c, check_agg.c, check_printf.c --------------------------------------------- */
struct dt_node *dt_check_call(struct dt_compile *c, struct dt_node *n, bool key);
void dt_check_act(struct dt_compile *c, struct dt_stmt *s, const struct dt_action *act);
void dt_check_agg(struct dt_compile *c, struct dt_stmt *s);
const char *dt_agg_function_name(int kind); /* "count" */
void dt_check_printf(struct dt_compile *c, struct dt_stmt *s);
void dt_check_printa(struct dt_compile *c, struct dt_stmt *s);
/* The format of a printf-like statement: moves args[0] to s->format; NULL: reported. */
const char *dt_take_format(struct dt_compile *c, struct dt_stmt *s);
struct dt_aggvar *dt_agg_arg(struct dt_compile *c, struct dt_stmt *s, u32 i, enum dt_tag not_agg,
			     enum dt_tag undefined);
void dt_rule_rec(struct dt_compile *c, struct dt_loc loc, const char *what);

/* ---- xlate.c ------------------------------------------------------------------------------- */
/* A copy of a tree, names replaced by copies of checked trees, at location loc (NULL: where it
 * was). */
struct dt_subst {
	const char *name;
	struct dt_node *by;
};
struct dt_node *dt_clone(struct dt_compile *c, const struct dt_node *n, const struct dt_subst *s,
			 u32 ns, const struct dt_loc *loc);
struct dt_node *dt_expand_inline(struct dt_compile *c, struct dt_inline *in, struct dt_node *use,
				 struct dt_node **args, u32 nargs);
struct dt_node *dt_expand_xlate(struct dt_compile *c, struct dt_node *x, const char *member,
				struct dt_loc loc);
/* The translator of xlate <...> (...); NULL: reported. */
struct dt_xlator *dt_find_xlator(struct dt_compile *c, const struct dt_node *x);
/* Is there one? */
bool dt_has_xlator(struct dt_compile *c, const struct dt_node *x);
void dt_check_inline(struct dt_compile *c, struct dt_inline *in);
void dt_check_xlator(struct dt_compile *c, struct dt_xlator *x);
struct dt_inline *dt_inline_publish(struct dt_compile *c, const struct dt_inline *in);
struct dt_xlator *dt_xlator_publish(struct dt_compile *c, const struct dt_xlator *x);

/* ---- fold.c -------------------------------------------------------------------------------- */
/* The value as the type holds it: cut to its size, sign or zero extended. */
u64 dt_fold_value(const struct dt_type *t, u64 val);
/* An operator node with constant operands becomes N_INT; others stay. */
struct dt_node *dt_fold(struct dt_compile *c, struct dt_node *n);

#endif
