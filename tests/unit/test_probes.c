/* SPDX-License-Identifier: Apache-2.0 */
/* Probe descriptions, rates, the registry, and what the providers make. */
#include <time.h>
#include <unistd.h>

#include "probe/probe.h"
#include "test.h"
#include "types/types.h"

static struct dt_probes ps;
static struct dt_error err;

/* ---- texts ----------------------------------------------------------------------------------- */

#define N DTRACE_PROBESPEC_NAME

static void t_pdesc(void)
{
	static const struct {
		const char *text;
		dtrace_probespec_t spec;
		u32 id;
		const char *prov, *mod, *func, *name; /* prov NULL: refused */
	} cases[] = {
		{ "a:b:c:d", N, 0, "a", "b", "c", "d" },
		{ "syscall:::entry", N, 0, "syscall", "", "", "entry" },
		{ "c:d", N, 0, "", "", "c", "d" },
		{ "BEGIN", N, 0, "", "", "", "BEGIN" },
		{ " \tfoo:  ", N, 0, "", "", "foo", "" },
		{ "", N, 0, "", "", "", "" },
		{ ":::", N, 0, "", "", "", "" },
		{ "a:b:c:d:e", N, 0, NULL, "", "", "" },
		{ "17", N, 17, "", "", "", "" },
		{ "0", N, 0, "", "", "", "0" },
		{ "4294967295", N, UINT32_MAX, "", "", "", "" },
		{ "4294967296", N, 0, "", "", "", "4294967296" },
		{ "b:c", DTRACE_PROBESPEC_FUNC, 0, "", "b", "c", "" },
		{ "a:b:c", DTRACE_PROBESPEC_FUNC, 0, "a", "b", "c", "" },
		{ "a:b:c:d", DTRACE_PROBESPEC_FUNC, 0, NULL, "", "", "" },
		{ "b", DTRACE_PROBESPEC_MOD, 0, "", "b", "", "" },
		{ "17", DTRACE_PROBESPEC_PROVIDER, 0, "17", "", "", "" },
		{ "a:b", DTRACE_PROBESPEC_PROVIDER, 0, NULL, "", "", "" },
		{ "a", DTRACE_PROBESPEC_NONE, 0, NULL, "", "", "" },
	};
	struct dt_arena a;
	struct dt_pdesc d;
	const char *why;
	char big[300];
	size_t i;

	dt_arena_init(&a);
	for (i = 0; i < DT_NELEM(cases); i++) {
		int rv = dt_pdesc_parse(&a, cases[i].text, cases[i].spec, &d, &why);

		if (!CHECK_INT(rv, cases[i].prov ? 0 : -1))
			fprintf(stderr, "(%s)\n", cases[i].text);
		if (rv) {
			CHECK(why != NULL);
			continue;
		}
		CHECK_INT(d.id, cases[i].id);
		CHECK_STR(d.prov, cases[i].prov);
		CHECK_STR(d.mod, cases[i].mod);
		CHECK_STR(d.func, cases[i].func);
		CHECK_STR(d.name, cases[i].name);
	}
	memset(big, 'x', sizeof(big));
	big[64] = 0;
	CHECK_INT(dt_pdesc_parse(&a, big, N, &d, &why), -1);
	CHECK_INT(dt_pdesc_parse(&a, big + 1, N, &d, &why), 0);
	dt_arena_fini(&a);
}

static void t_rates(void)
{
	static const struct {
		const char *text;
		u64 ns; /* 0: none */
	} cases[] = {
		{ "97", 10309278 },
		{ "1", 1000000000 },
		{ "97hz", 10309278 },
		{ "1000hz", 1000000 },
		{ "10ns", 10 },
		{ "10nsec", 10 },
		{ "7us", 7000 },
		{ "7usec", 7000 },
		{ "10ms", 10000000 },
		{ "10msec", 10000000 },
		{ "1s", 1000000000 },
		{ "1sec", 1000000000 },
		{ "2m", 120000000000 },
		{ "2min", 120000000000 },
		{ "1h", 3600000000000 },
		{ "1hour", 3600000000000 },
		{ "1d", 86400000000000 },
		{ "1day", 86400000000000 },
		{ "", 0 },
		{ "0", 0 },
		{ "0s", 0 },
		{ "s", 0 },
		{ "-1", 0 },
		{ "1 s", 0 },
		{ "1x", 0 },
		{ "1secs", 0 },
		{ "1.5s", 0 },
		{ "2000000000", 0 },
		{ "99999999999999999999", 0 },
		{ "9999999999d", 0 },
		{ "1HZ", 0 },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(cases); i++) {
		u64 ns = 0;

		CHECK_INT(dt_rate_parse(cases[i].text, &ns), cases[i].ns ? 0 : -1);
		if (!CHECK_INT(ns, cases[i].ns))
			fprintf(stderr, "(%s)\n", cases[i].text);
	}
}

/* ---- matching -------------------------------------------------------------------------------- */

struct seen {
	u32 n, last_id, stop_at;
	struct dt_probe *first;
	bool ordered;
};

static int note(struct dt_probe *p, void *arg)
{
	struct seen *s = arg;

	if (!s->n++)
		s->first = p;
	s->ordered &= p->id > s->last_id;
	s->last_id = p->id;
	return s->stop_at && s->n == s->stop_at ? 77 : 0;
}

static u32 match(const char *text, struct seen *s)
{
	struct dt_arena a;
	struct dt_pdesc d;
	const char *why;

	*s = (struct seen){ .ordered = true, .stop_at = s->stop_at };
	dt_arena_init(&a);
	if (CHECK_INT(dt_pdesc_parse(&a, text, N, &d, &why), 0))
		CHECK_INT(dt_probes_match(&ps, &d, note, s), s->stop_at ? 77 : 0);
	dt_arena_fini(&a);
	CHECK(s->ordered);
	return s->n;
}

static u32 count(const char *text)
{
	struct seen s = { 0 };

	return match(text, &s);
}

static struct dt_probe *only(const char *text)
{
	struct seen s = { 0 };

	CHECK_INT(match(text, &s), 1);
	return s.first;
}

static void t_dtrace(void)
{
	struct dt_probe_args args;
	struct dt_probe *p;

	p = only("BEGIN");
	CHECK(p && p->id == 1 && p->at->kind == DT_AT_BEGIN && p->at->nkeys == 1);
	p = only("dtrace:::END");
	CHECK(p && p->id == 2 && p->at->kind == DT_AT_END);
	p = only("dtrace:::E[!N]*");
	CHECK(p && p->id == 3 && p->at->kind == DT_AT_ERROR && p->at->abi == DT_ABI_ERROR);
	CHECK(p && dt_probe_args(&ps, p, &args) == 0 && args.argc == 6);
	CHECK_INT(count("dtrace:::"), 3);
	CHECK(dt_probes_byid(&ps, 2) == only("END"));
	CHECK_INT(count("foo:::BEGIN"), 0);
	CHECK_INT(count("dtrace:x::BEGIN"), 0);
}

static void t_syscall(void)
{
	struct dt_probe *in, *out;
	struct dt_probe_args args;
	dtrace_probedesc_t d;
	struct seen s = { 0 };
	u32 n;

	out = only("syscall::write:return");
	in = only("syscall:vmlinux:write:entry");
	CHECK(in && in->id == 6 && in->key == 1 && strcmp(in->at->target, "sys_enter") == 0);
	CHECK(out && out->id == 7 && out->key == 1 && out->at->abi == DT_ABI_SYS_EXIT);
	CHECK(in && in->at->nkeys == 512 && in->at != out->at);
	CHECK_INT(count("syscall::read[alv]*:return"), 4);
	n = count("syscall:::entry");
	CHECK(n > 350);
	CHECK_INT(count("syscall:::return"), n);
	CHECK_INT(count("syscall::*:"), 2 * n);
	CHECK_INT(count("syscall:vm*:[!x]*:entry"), n);
	CHECK_INT(count("syscall:nope::"), 0);
	CHECK_INT(count("syscall::nope:entry"), 0);
	CHECK_INT(count("syscall::write:ent"), 0);
	CHECK(dt_probes_find(&ps, "syscall", "vmlinux", "write", "entry") == in);
	CHECK(dt_probes_find(&ps, "syscall", "", "write", "entry") == NULL);
	CHECK(only("write:entry") == in);
	CHECK(dt_probe_args(&ps, in, &args) == 0 && args.argc == 3);
	CHECK_STR(args.type[1], "const char *");
	CHECK(args.userland[1] && !args.userland[0] && args.from[2] == 2);
	CHECK(dt_probe_args(&ps, out, &args) == 0 && args.argc == 2);
	CHECK_STR(args.type[1], "long");
	dt_probe_desc(in, &d);
	CHECK_INT(d.dtpd_id, 6);
	CHECK_STR(d.dtpd_func, "write");
	s.stop_at = 3;
	CHECK_INT(match("syscall:::entry", &s), 3);
}

static void t_profile(void)
{
	struct dt_probe *a, *b;

	CHECK_INT(count("profile:::"), 13);
	CHECK_INT(count("tick-*"), 6);
	a = only("tick-10ms");
	CHECK(a && a->at->kind == DT_AT_TIMER && a->at->period_ns == 10000000 && !a->at->all_cpus);
	CHECK(a && a->id >= 4096 && a->key == 0 && a->at->nkeys == 1);
	b = only("profile-97hz");
	CHECK(b && b->at->all_cpus && b->at->period_ns == 10309278 && b->at != a->at);
	CHECK(only("profile:::tick-10ms") == a);
	CHECK(only("tick-5000") != NULL && only("profile-200us") != NULL);
	CHECK_INT(count("tick-5001"), 0);
	CHECK_INT(count("tick-199us"), 0);
	CHECK_INT(count("profile-"), 0);
	CHECK_INT(count("tick-1secs"), 0);
	CHECK_INT(count("profile:x::tick-3s"), 0);
	CHECK_INT(count("syscall:::tick-3s"), 0);
	CHECK_INT(count("tick-7?"), 0);
	CHECK_INT(count("profile:::tick-*"), 7);
	a = only("tick-1");
	CHECK(a && a->id == DT_ID_PROFILE + 7 && a->at->period_ns == 1000000000);
	CHECK_INT(count("profile:::"), 16);
}

static void t_all(void)
{
	struct seen s = { 0 };
	u32 n = match(":::", &s);

	CHECK_INT(s.first->id, 1);
	CHECK_INT(n, 3 + 2 * dt_nsyscalls + 16);
	CHECK(dt_probes_byid(&ps, 0) == NULL && dt_probes_byid(&ps, UINT32_MAX) == NULL);
	CHECK_INT(count("4"), 1);
	CHECK_INT(count("3999"), 0);
	CHECK(dt_probes_add(&ps, &dt_provider_dtrace, 1, "", "", "x", NULL, 0, NULL) == NULL);
	CHECK_INT(err.code, EDT_BADPROBE);
}

/* Asked for by number before anything was made. */
static void t_fresh(void)
{
	struct dt_probe *p;

	CHECK_INT(dt_probes_init(&ps, &err), 0);
	p = dt_probes_byid(&ps, 4);
	CHECK(p && strcmp(p->func, "read") == 0);
	dt_probes_fini(&ps);
}

/* Numbers ascend below the number of keys, and every type of an argument is one that the kernel
 * knows. */
static void t_table(void)
{
	struct dt_types ts;
	u32 i, a, unknown = 0;

	CHECK_INT(dt_types_init(&ts, "/sys/kernel/btf/vmlinux"), 0);
	for (i = 0; i < dt_nsyscalls; i++) {
		CHECK(!i || dt_syscalls[i].nr > dt_syscalls[i - 1].nr);
		CHECK(dt_syscalls[i].nr < 512 && dt_syscalls[i].nargs <= 6);
		for (a = 0; a < 6; a++)
			CHECK((dt_syscalls[i].arg[a] != NULL) == (a < dt_syscalls[i].nargs));
		for (a = 0; a < dt_syscalls[i].nargs; a++) {
			if (dt_types_btf(&ts) && !dt_types_lookup(&ts, dt_syscalls[i].arg[a])) {
				printf("type %s of %s is not known here\n", dt_syscalls[i].arg[a],
				       dt_syscalls[i].name);
				unknown++;
			}
		}
	}
	CHECK(unknown <= 20); /* structs of calls that a kernel was built without */
	dt_types_fini(&ts);
}

static void t_speed(void)
{
	struct timespec a, b;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 200; i++) {
		struct seen s = { .ordered = true };
		struct dt_pdesc d = { .prov = "syscall", .mod = "", .func = "", .name = "entry" };

		dt_probes_init(&ps, &err);
		dt_probes_match(&ps, &d, note, &s);
		dt_probes_fini(&ps);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("syscall:::entry in a new registry: %.1f us\n",
	       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 200e3);
}

int main(void)
{
	t_pdesc();
	t_rates();
	CHECK_INT(dt_probes_init(&ps, &err), 0);
	t_dtrace();
	t_syscall();
	t_profile();
	t_all();
	dt_probes_fini(&ps);
	t_fresh();
	t_table();
	t_speed();
	return test_status();
}
