/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plockstat.c - locks of one process: plockstat123:libc.so.6:pthread_mutex_lock:mutex-acquire.
 *
 * Derived probes of the functions of glibc.  What a function was called with is noted at its entry, by probes of provider
 * pid; most of the meaning is known at its return.  That a thread goes to sleep for a lock is its system call for the word
 * of that lock.  Internal calls (mtx_lock() of C11, say) run the same code, and waiting for a condition gives a mutex
 * back and takes it again.
 */
#include "providers/derived.h"
#include "providers/ufunc.h"

#include <string.h>

/* ---- functions --------------------------------------------------------------------------------------------------- */

enum { LOCK = 1, TRY = 2, UNLOCK = 4, COND = 8, RD = 16, WR = 32, RWUNLOCK = 64 };

static const struct {
	const char *name;
	u32 group;
} functions[] = {
	{ "pthread_mutex_lock", LOCK },        { "pthread_mutex_timedlock", LOCK },
	{ "pthread_mutex_clocklock", LOCK },   { "pthread_mutex_trylock", TRY },
	{ "pthread_mutex_unlock", UNLOCK },    { "pthread_cond_wait", COND },
	{ "pthread_cond_timedwait", COND },    { "pthread_cond_clockwait", COND },
	{ "pthread_rwlock_rdlock", RD },       { "pthread_rwlock_tryrdlock", RD },
	{ "pthread_rwlock_timedrdlock", RD },  { "pthread_rwlock_clockrdlock", RD },
	{ "pthread_rwlock_wrlock", WR },       { "pthread_rwlock_trywrlock", WR },
	{ "pthread_rwlock_timedwrlock", WR },  { "pthread_rwlock_clockwrlock", WR },
	{ "pthread_rwlock_unlock", RWUNLOCK },
};

/* ---- what is noted ------------------------------------------------------------------------------------------------ */

/* struct pthread_mutex_t of glibc: lock, count, owner, nusers, kind, spins.  A page that nobody wrote to may not be in
 * memory yet, so nothing is read when a lock is asked for; __peek() says 0 of such. */
#define COUNT(m) "(uint32_t)(__peek(" m ") >> 32)"
#define KIND(m) "(__peek(" m " + 16) & 3)"
#define RECURSIVE(m, more) "(" KIND(m) " == 1 && " COUNT(m) " > " more ")"
#define SPINS(m) "(__peek(" m " + 20) & 0x7fff)"

/* Kinds of locks, while one is asked for. */
#define IS_MUTEX "self->__plkind == 1"
#define IS_RW "self->__plkind > 1"
#define ASKED(lock, kind) \
	"self->__pl = " lock ", self->__plkind = " kind ", self->__plwait = (uint64_t)0, " \
	"self->__plarg = " kind " == 3"

#define NOTE_SPIN "self->__plspin = " KIND("arg0") " == 3 && (uint32_t)__peek(arg0) != 0"

/* A system call of the process that sleeps until a word in the lock changes. */
#define WAITS \
	"pid == %d && __isfutex[nr] && self->__plkind && __sysarg[regs, 0] - self->__pl < 56 && " \
	"(1 << (__sysarg[regs, 1] & 15) & 0x2241)" /* WAIT, LOCK_PI, WAIT_BITSET, LOCK_PI2 */
/* It has not slept since this was noted. */
#define FIRST "self->__plwait == curthread->nvcsw + 1"

enum { N_SPIN, N_NOSPIN, N_LOCK, N_TRY, N_UNLOCK, N_COND, N_RD, N_WR, N_RWUNLOCK, N_WAIT, NNOTES };

static const struct {
	u32 groups; /* 0: the system call */
	const char *when, *text;
} notes[NNOTES] = {
	[N_SPIN] = { LOCK, NULL, NOTE_SPIN },
	[N_NOSPIN] = { COND, NULL, "self->__plspin = 0" },
	[N_LOCK] = { LOCK, NULL, ASKED("arg0", "1") },
	[N_TRY] = { TRY, NULL, ASKED("arg0", "1") },
	[N_UNLOCK] = { UNLOCK, NULL, ASKED("arg0", "0") ", self->__plarg = " RECURSIVE("arg0", "1") },
	[N_COND] = { COND, NULL, ASKED("arg1", "1") ", self->__plarg = 1" },
	[N_RD] = { RD, NULL, ASKED("arg0", "2") },
	[N_WR] = { WR, NULL, ASKED("arg0", "3") },
	/* the writer that holds it */
	[N_RWUNLOCK] = { RWUNLOCK, NULL,
			 ASKED("arg0", "0") ", self->__plarg = (uint32_t)__peek(arg0 + 24) != 0" },
	[N_WAIT] = { 0, WAITS,
		     "self->__plwait = self->__plwait ? self->__plwait : curthread->nvcsw + 1" },
};

/* ---- probes --------------------------------------------------------------------------------------------------------- */

#define NRESULT .params = { "long none", "long rv" }
#define ON_ENTRY .kind = DT_AT_UPROBE, .target = "uentry"
#define ON_RETURN .kind = DT_AT_UPROBE, .target = "ureturn", NRESULT
#define ON_FUTEX TP("sys_enter", "struct pt_regs *regs", "long nr")

#define ARG_LOCK VALUE("uintptr_t", "self->__pl")
#define ARG_WRITER VALUE("int", "self->__plkind == 3")
#define ARG_NOTED VALUE("int", "self->__plarg")
#define ARG_ERROR VALUE("int", "(int)rv")
#define ARG_SPINS VALUE("int", KIND("self->__pl") " == 3 ? (int)" SPINS("self->__pl") " : 0")

/* 0, or the owner has died (130); having waited for a condition in vain (110), one has the mutex all the same. */
#define TAKEN "((int)rv == 0 || (int)rv == 130 || ((int)rv == 110 && self->__plarg))"

static const struct row {
	struct dt_derived d;
	u32 groups; /* 0: of the system call */
	u32 notes;
} rows[] = {
	/* those of the system call come first, N_WAIT goes by the first of all */
	{ { .name = "mutex-spun",
	    ON_FUTEX,
	    .when = WAITS " && self->__plspin && " FIRST,
	    .args = { ARG_LOCK, VALUE("int", "0"), ARG_SPINS } },
	  0,
	  1 << N_WAIT | 1 << N_SPIN | 1 << N_NOSPIN | 1 << N_LOCK | 1 << N_COND },
	{ { .name = "mutex-block",
	    ON_FUTEX,
	    .when = WAITS " && " IS_MUTEX " && " FIRST,
	    .args = { ARG_LOCK } },
	  0,
	  1 << N_WAIT | 1 << N_LOCK | 1 << N_COND },
	{ { .name = "rw-block",
	    ON_FUTEX,
	    .when = WAITS " && " IS_RW " && " FIRST,
	    .args = { ARG_LOCK, ARG_WRITER } },
	  0,
	  1 << N_WAIT | 1 << N_RD | 1 << N_WR },
	{ { .name = "mutex-spin",
	    ON_ENTRY,
	    .params = { "uintptr_t mutex" },
	    .when = KIND("mutex") " == 3 && (uint32_t)__peek(mutex) != 0",
	    .args = { VALUE("uintptr_t", "mutex") } },
	  LOCK,
	  0 },
	{ { .name = "mutex-spun",
	    ON_RETURN,
	    .when = "self->__plspin && !self->__plwait",
	    .args = { ARG_LOCK, VALUE("int", TAKEN), ARG_SPINS } },
	  LOCK,
	  1 << N_WAIT | 1 << N_SPIN | 1 << N_LOCK },
	{ { .name = "mutex-blocked",
	    ON_RETURN,
	    .when = "self->__plwait",
	    .args = { ARG_LOCK, VALUE("int", TAKEN) } },
	  LOCK | COND,
	  1 << N_WAIT | 1 << N_LOCK | 1 << N_COND },
	{ { .name = "mutex-acquire",
	    ON_RETURN,
	    .when = TAKEN,
	    .args = { ARG_LOCK, VALUE("int", RECURSIVE("self->__pl", "1")), ARG_SPINS } },
	  LOCK | TRY | COND,
	  1 << N_LOCK | 1 << N_TRY | 1 << N_COND },
	{ { .name = "mutex-release", ON_RETURN, .when = "(int)rv == 0", .args = { ARG_LOCK, ARG_NOTED } },
	  UNLOCK,
	  1 << N_UNLOCK },
	{ { .name = "mutex-release",
	    ON_ENTRY,
	    .params = { "uintptr_t cond", "uintptr_t mutex" },
	    .args = { VALUE("uintptr_t", "mutex"), VALUE("int", RECURSIVE("mutex", "1")) } },
	  COND,
	  0 },
	{ { .name = "mutex-error", ON_RETURN, .when = "!" TAKEN, .args = { ARG_LOCK, ARG_ERROR } },
	  LOCK | TRY | COND | UNLOCK,
	  1 << N_LOCK | 1 << N_TRY | 1 << N_COND | 1 << N_UNLOCK },
	{ { .name = "rw-blocked",
	    ON_RETURN,
	    .when = "self->__plwait",
	    .args = { ARG_LOCK, ARG_WRITER, VALUE("int", "(int)rv == 0") } },
	  RD | WR,
	  1 << N_WAIT | 1 << N_RD | 1 << N_WR },
	{ { .name = "rw-acquire", ON_RETURN, .when = "(int)rv == 0", .args = { ARG_LOCK, ARG_WRITER } },
	  RD | WR,
	  1 << N_RD | 1 << N_WR },
	{ { .name = "rw-release", ON_RETURN, .when = "(int)rv == 0", .args = { ARG_LOCK, ARG_NOTED } },
	  RWUNLOCK,
	  1 << N_RWUNLOCK },
	{ { .name = "rw-error",
	    ON_RETURN,
	    .when = "(int)rv != 0",
	    .args = { ARG_LOCK, ARG_NOTED, ARG_ERROR } },
	  RD | WR | RWUNLOCK,
	  1 << N_RD | 1 << N_WR | 1 << N_RWUNLOCK },
};
#define NROWS DT_NELEM(rows)

/* ---- rows of a process ------------------------------------------------------------------------------------------------ */

struct dt_plocks {
	pid_t pid;
	const char *mod;
	struct dt_derived rows[NROWS];
	struct dt_note notes[NNOTES];
	struct dt_pdesc at[NNOTES][DT_NELEM(functions) + 1];
	const struct dt_note *lists[NROWS][NNOTES + 1];
	struct dt_plocks *next;
};

static const char *text_of(struct dt_probes *ps, const char *text, pid_t pid)
{
	const char *at = text ? strstr(text, "%d") : NULL;

	return at ? dt_arena_printf(&ps->arena, "%.*s%d%s", (int)(at - text), text, (int)pid, at + 2) :
		    text;
}

static void make_note(struct dt_probes *ps, struct dt_plocks *k, const struct dt_uscope *s, size_t n)
{
	const char *prov = dt_arena_printf(&ps->arena, "pid%d", (int)k->pid);
	struct dt_pdesc *d = k->at[n];

	k->notes[n] = (struct dt_note){ .at = d,
					.when = text_of(ps, notes[n].when, k->pid),
					.text = notes[n].text,
					.optional = true };
	if (!notes[n].groups)
		*d = (struct dt_pdesc){
			.prov = s->provname, .mod = k->mod, .func = "futex", .name = rows[0].d.name
		};
	for (size_t i = 0; i < DT_NELEM(functions); i++)
		if (functions[i].group & notes[n].groups)
			*d++ = (struct dt_pdesc){ .prov = prov,
						  .mod = k->mod,
						  .func = functions[i].name,
						  .name = "entry" };
}

static void make_row(struct dt_probes *ps, struct dt_plocks *k, size_t i)
{
	const struct dt_note **list = k->lists[i];

	k->rows[i] = rows[i].d;
	k->rows[i].prov = "plockstat";
	k->rows[i].func = "futex";
	k->rows[i].when = text_of(ps, rows[i].d.when, k->pid);
	k->rows[i].notes = k->lists[i];
	for (size_t n = 0; n < NNOTES; n++)
		if (rows[i].notes >> n & 1)
			*list++ = &k->notes[n];
}

static struct dt_plocks *rows_of(struct dt_probes *ps, const struct dt_uscope *s)
{
	struct dt_plocks *k;

	for (k = ps->plocks; k; k = k->next)
		if (k->pid == s->pid && strcmp(k->mod, s->mod) == 0)
			return k;
	k = dt_arena_new(&ps->arena, struct dt_plocks);
	if (!k)
		return dt_fail_null(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	k->pid = s->pid;
	k->mod = s->mod;
	for (size_t n = 0; n < NNOTES; n++)
		make_note(ps, k, s, n);
	for (size_t i = 0; i < NROWS; i++)
		make_row(ps, k, i);
	k->next = ps->plocks;
	ps->plocks = k;
	return k;
}

/* ---- making probes ------------------------------------------------------------------------------------------------------ */

struct walk {
	struct dt_probes *ps;
	const struct dt_pdesc *d;
	struct dt_field func, name;
	struct dt_uscope scope;
};

static int add_derived(struct walk *w, const char *func, const struct dt_derived *row,
		       const struct dt_ufunc *fn)
{
	const struct dt_uscope *s = &w->scope;
	struct dt_usite site = { .file = s->file, .off = fn->off };
	const bool on_return = strcmp(row->target, "ureturn") == 0;
	struct dt_probe *p;

	if (dt_uprobe_add(w->ps, s, func, row->name, on_return ? &dt_on_ureturn : &dt_on_uentry,
			  &site) < 0)
		return -1;
	p = dt_probes_find(w->ps, s->provname, s->mod, func, row->name);
	p->derived = row;
	return 0;
}

static int add_function(struct walk *w, size_t f, const struct dt_ufunc *fn)
{
	const struct dt_plocks *k;

	if (!dt_field_match(&w->func, functions[f].name))
		return 0;
	k = rows_of(w->ps, &w->scope);
	if (!k)
		return -1;
	for (size_t i = 0; i < NROWS; i++)
		if ((rows[i].groups & functions[f].group) &&
		    dt_field_match(&w->name, rows[i].d.name) &&
		    add_derived(w, functions[f].name, &k->rows[i], fn) < 0)
			return -1;
	return 0;
}

static int see_function(const struct dt_ufunc *fn, void *arg)
{
	struct walk *w = arg;

	if (fn->unsafe || strncmp(fn->name, "pthread_", 8) != 0)
		return 0;
	for (size_t i = 0; i < DT_NELEM(functions); i++)
		if (strcmp(fn->name, functions[i].name) == 0)
			return add_function(w, i, fn);
	return 0;
}

/* Those of the system call are made together, so that their ids are in the order of the table. */
static int add_waits(struct walk *w)
{
	const struct dt_uscope *s = &w->scope;
	struct dt_plocks *k = rows_of(w->ps, s);

	for (size_t i = 0; k && i < NROWS && !rows[i].groups; i++) {
		const struct dt_derived *row = &k->rows[i];
		struct dt_attach *at;
		struct dt_probe *p;

		if (dt_probes_find(w->ps, s->provname, s->mod, row->func, row->name) ||
		    !dt_derived_is_here(w->ps, row))
			continue;
		at = dt_derived_attach(w->ps, s->prov, row);
		p = at ? dt_probes_add(w->ps, s->prov, 0, s->mod, row->func, row->name, at, 0, NULL) :
			 NULL;
		if (!p)
			return -1;
		p->provider = s->provname;
		p->derived = row;
	}
	return k ? 0 : -1;
}

/* Where glibc has its locks: of a program that is linked statically, itself. */
static bool has_locks(const struct walk *w, struct dt_ufile *f, bool exe)
{
	const struct dt_user *u = w->ps->user;
	const char *sign = "__lll_lock_wait";
	u64 vaddr;

	if (!exe)
		return dt_umod_matches(f, "libc") || dt_umod_matches(f, "libpthread");
	return u->symbol(u->arg, f, sign, strlen(sign), &vaddr) == 0;
}

static int see_object(struct dt_ufile *f, bool exe, void *arg)
{
	struct walk *w = arg;
	const struct dt_user *u = w->ps->user;
	bool named = dt_umod_matches(f, w->d->mod) || (exe && strcmp(w->d->mod, "a.out") == 0);

	if (!named || !has_locks(w, f, exe))
		return 0;
	w->scope.file = f;
	w->scope.mod = exe ? "a.out" : f->name;
	w->scope.program = exe;
	if (dt_field_match(&w->func, "futex") && add_waits(w) < 0)
		return -1;
	return u->functions(u->arg, f, see_function, w);
}

static int provide_process(pid_t pid, void *arg)
{
	struct walk *w = arg;
	const struct dt_user *u = w->ps->user;

	w->scope.pid = pid;
	w->scope.provname = dt_arena_printf(&w->ps->arena, "plockstat%d", (int)pid);
	if (!w->scope.provname)
		return dt_fail(w->ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	return u->objects(u->arg, pid, see_object, w);
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct walk w = { .ps = ps,
			  .d = d,
			  .func = dt_field_of(d->func),
			  .name = dt_field_of(d->name),
			  .scope.prov = self };

	ps->tag = D_PROC_GRAB;
	return dt_uprov_provide(ps, self, d, provide_process, &w);
}

static bool mod_matches(const struct dt_probe *p, const char *pattern)
{
	return p->priv && dt_uprobe_mod_matches(p, pattern);
}

const struct dt_provider dt_provider_plockstat = {
	.name = "plockstat",
	.attr = { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON },
	.provide = provide,
	.args = dt_derived_args,
	.accepts = dt_uprov_accepts,
	.mod_matches = mod_matches,
};
