/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public entry points in the order that consumers call them: compile, go, work, stop, and what each
 * refuses.  The first half runs anywhere; the second needs the privilege to trace and is skipped without.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "dtrace.h"
#include "dtrace_ext.h"
#include "test.h"

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static dtrace_hdl_t *open_or_die(int flags)
{
	int err = 0;
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, flags, &err);

	if (!h) {
		fprintf(stderr, "dtrace_open: %s\n", dtrace_errmsg(NULL, err));
		exit(1);
	}
	return h;
}

static dtrace_prog_t *compile(dtrace_hdl_t *h, const char *text)
{
	return dtrace_program_strcompile(h, text, DTRACE_PROBESPEC_NAME, 0, 0, NULL);
}

/* ---- without the kernel --------------------------------------------------------------------------------- */

static void test_open(void)
{
	int err = 0;

	CHECK(dtrace_open(2, 0, &err) == NULL);
	CHECK_INT(err, EDT_VERSION);
	CHECK(dtrace_open(DTRACE_VERSION, 0x1000, &err) == NULL);
	CHECK_INT(err, EINVAL);
	CHECK(strlen(dtrace_errmsg(NULL, EDT_VERSION)) > 0);
	dtrace_close(NULL);
}

static void test_compile_error(void)
{
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);
	dtrace_diag_t d;

	CHECK(dtrace_diag_get(h, 0, &d) < 0);
	CHECK(compile(h, "BEGIN\n{\n\ttrace(nosuch);\n}\n") == NULL);
	CHECK_INT(dtrace_errno(h), EDT_COMPILER);
	CHECK(strstr(dtrace_errmsg(h, EDT_COMPILER), "line 3: ") != NULL);
	if (CHECK_INT(dtrace_diag_get(h, 0, &d), 0)) {
		CHECK_STR(d.dtdg_tag, "D_IDENT_UNDEF");
		CHECK_INT(d.dtdg_line, 3);
		CHECK_INT(d.dtdg_column, 8);
		CHECK_INT(d.dtdg_length, 6);
		CHECK(strstr(d.dtdg_text, "^~~~~~") != NULL);
	}
	CHECK(dtrace_diag_get(h, 1000, &d) < 0);
	CHECK_INT(dtrace_setopt(h, "errtags", NULL), 0);
	CHECK(compile(h, "this is no D") == NULL);
	CHECK(!strncmp(dtrace_errmsg(h, dtrace_errno(h)), "[D_", 3));
	CHECK(compile(h, "BEGIN { trace(1); }") != NULL);
	CHECK(dtrace_diag_get(h, 0, &d) < 0);
	CHECK(dtrace_go(h) < 0);
	CHECK(dtrace_stop(h) < 0 && dtrace_errno(h) == EINVAL);
	CHECK_INT(dtrace_status(h), DTRACE_STATUS_NONE);
	CHECK_INT(dtrace_work(h, NULL, NULL, NULL, NULL), DTRACE_WORKSTATUS_ERROR);
	CHECK_INT(dtrace_pollfd(h), -1);
	dtrace_sleep(h);
	dtrace_close(h);
}

static void test_fcompile(void)
{
	static const char text[] =
		"BEGIN { trace($1); trace($$2); }\nsyscall::read:entry { @ = count(); }\n";
	char *argv[] = { (char *)"prog", (char *)"42", (char *)"words" };
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);
	FILE *fp = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	dtrace_proginfo_t info;
	dtrace_prog_t *p = dtrace_program_fcompile(h, fp, 0, 3, argv);

	fclose(fp);
	if (!CHECK(p != NULL))
		fprintf(stderr, "%s\n", dtrace_errmsg(h, dtrace_errno(h)));
	else {
		dtrace_program_info(h, p, &info);
		CHECK_INT(info.dpi_matches, 2);
		CHECK_INT(info.dpi_aggregates, 1);
		CHECK_INT(dtrace_program_exec(h, p, NULL), 0);
		CHECK(dtrace_program_exec(h, p, NULL) < 0);
	}
	dtrace_close(h);
}

static int count_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *pd, void *arg)
{
	++*(int *)arg;
	return 0;
}

static int first_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *pd, void *arg)
{
	*(dtrace_probedesc_t *)arg = *pd;
	return 7;
}

static void test_probes(void)
{
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);
	dtrace_probedesc_t pd, got;
	dtrace_probeinfo_t info;
	char buf[DTRACE_FULLNAMELEN];
	char *argv[] = { (char *)"x", (char *)"read" };
	int n = 0;

	CHECK_INT(dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, "syscall::read:entry", &pd), 0);
	CHECK_STR(dtrace_desc2str(&pd, buf, sizeof(buf)), "syscall::read:entry");
	CHECK_INT(dtrace_probe_iter(h, &pd, first_probe, &got), 7);
	CHECK_STR(got.dtpd_func, "read");
	CHECK(got.dtpd_id > 0);
	CHECK_INT(dtrace_probe_info(h, &got, &info), 0);
	CHECK_INT(info.dtp_argc, 3);
	CHECK_INT(dtrace_id2desc(h, got.dtpd_id, &pd), 0);
	CHECK_STR(pd.dtpd_name, "entry");
	CHECK(dtrace_id2desc(h, 1u << 30, &pd) < 0 && dtrace_errno(h) == EDT_BADID);
	CHECK_INT(dtrace_xstr2desc(h, DTRACE_PROBESPEC_NAME, "syscall::$1:entry", 2, argv, &pd), 0);
	CHECK_STR(pd.dtpd_func, "read");
	CHECK_INT(dtrace_xstr2desc(h, DTRACE_PROBESPEC_NAME, "p$pid:::$$1", 2, argv, &pd), 0);
	snprintf(buf, sizeof(buf), "p%d", (int)getpid());
	CHECK_STR(pd.dtpd_provider, buf);
	CHECK_STR(pd.dtpd_name, "read");
	CHECK(dtrace_xstr2desc(h, DTRACE_PROBESPEC_NAME, "syscall::$2:entry", 2, argv, &pd) < 0);
	CHECK_INT(dtrace_errno(h), EDT_BADSPCV);
	CHECK(dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, "p$target:::x", &pd) < 0);
	CHECK_INT(dtrace_probe_iter(h, NULL, count_probe, &n), 0);
	CHECK(n > 600);
	CHECK_INT(dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, "nosuch:::", &pd), 0);
	CHECK(dtrace_probe_iter(h, &pd, count_probe, &n) < 0 && dtrace_errno(h) == EDT_NOPROBE);
	memset(buf, 'x', 200);
	buf[200] = '\0';
	CHECK(dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, buf, &pd) < 0);
	dtrace_close(h);
}

static void test_names(void)
{
	dtrace_attribute_t a;
	char buf[64];

	CHECK_INT(dtrace_str2attr("Evolving/stable/ISA", &a), 0);
	CHECK_STR(dtrace_attr2str(a, buf, sizeof(buf)), "Evolving/Stable/ISA");
	CHECK_INT(dtrace_str2attr("Evolving/Stable", &a), -1);
	CHECK_INT(dtrace_str2attr("Evolving/Stable/ISA/x", &a), -1);
	CHECK_INT(dtrace_str2attr("", &a), -1);
	CHECK(dtrace_stability_name(99) == NULL);
	CHECK_STR(dtrace_faultstr(NULL, DTRACEFLT_DIVZERO), "divide-by-zero");
	CHECK_STR(dtrace_faultstr(NULL, 99), "unknown fault");
	CHECK_STR(dtrace_subrstr(NULL, -1), "unknown");
	CHECK(!strncmp(_dtrace_version, "Sun D 1.", 8));
}

static int list_stmt(dtrace_hdl_t *h, dtrace_prog_t *p, dtrace_stmtdesc_t *s, void *arg)
{
	const dtrace_actdesc_t *a;
	char probe[DTRACE_FULLNAMELEN];
	FILE *f = arg;

	fprintf(f, "%s%s", dtrace_desc2str(&s->dtsd_ecbdesc->dted_probe, probe, sizeof(probe)),
		s->dtsd_ecbdesc->dted_pred ? " if" : "");
	for (a = s->dtsd_action; a; a = a->dtad_next)
		fprintf(f, " %x:%u:%" PRIu64 "[%s]", a->dtad_kind, a->dtad_ntuple, a->dtad_arg,
			a->dtad_text);
	fputc('\n', f);
	return s->dtsd_data ? 5 : 0;
}

static void statements_are(dtrace_hdl_t *h, dtrace_prog_t *p, const char *want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	CHECK_INT(dtrace_stmt_iter(h, p, list_stmt, f), 0);
	fclose(f);
	CHECK_STR(text, want);
	free(text);
}

static int end_now(dtrace_hdl_t *h, dtrace_prog_t *p, dtrace_stmtdesc_t *s, void *arg)
{
	dtrace_stmt_destroy(h, s); /* it is the program's: nothing happens */
	CHECK(dtrace_stmt_add(h, p, s) < 0 && dtrace_errno(h) == EINVAL);
	return 9;
}

static void test_statements(void)
{
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);
	dtrace_prog_t *p =
		compile(h, "BEGIN, tick-1s { trace(1); @a[2, 3] = sum(4); x = 5; }\n"
			   "END /1/ { if (pid) { clear(@a); } else { exit(0); } }\nERROR\n");
	dtrace_ecbdesc_t ecb = { 0 };
	dtrace_stmtdesc_t *s;
	dtrace_proginfo_t info;

	if (!CHECK(p != NULL))
		return;
	statements_are(h, p,
		       ":::BEGIN 1:0:0[trace(1)] 705:2:1[@a[2, 3] = sum(4)] 0:0:0[x = 5]\n"
		       ":::tick-1s 1:0:0[trace(1)] 705:2:1[@a[2, 3] = sum(4)] 0:0:0[x = 5]\n"
		       ":::END if 5:0:1[clear(@a)] 2:0:0[exit(0)]\n"
		       ":::ERROR\n");
	CHECK_INT(dtrace_stmt_iter(h, p, end_now, NULL), 9);

	snprintf(ecb.dted_probe.dtpd_provider, DTRACE_PROVNAMELEN, "nosuch");
	s = dtrace_stmt_create(h, &ecb);
	CHECK(dtrace_stmt_add(h, p, s) < 0 && dtrace_errno(h) == EDT_COMPILER);
	dtrace_stmt_destroy(h, s);
	dtrace_stmt_destroy(h, NULL);
	snprintf(ecb.dted_probe.dtpd_provider, DTRACE_PROVNAMELEN, "syscall");
	snprintf(ecb.dted_probe.dtpd_func, DTRACE_FUNCNAMELEN, "getppid");
	s = dtrace_stmt_create(h, &ecb);
	CHECK_INT(dtrace_stmt_add(h, p, s), 0);
	CHECK_INT(dtrace_program_exec(h, p, &info), 0);
	CHECK_INT(info.dpi_matches, 6);
	s = dtrace_stmt_create(h, &ecb);
	CHECK(dtrace_stmt_add(h, p, s) < 0 && dtrace_errno(h) == EALREADY);
	dtrace_stmt_destroy(h, s);
	dtrace_close(h);
}

static void test_formats(void)
{
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);
	dtrace_recdesc_t rec[] = {
		{ .dtrd_action = DTRACEACT_PRINTF, .dtrd_size = 4 },
		{ .dtrd_action = DTRACEACT_PRINTF, .dtrd_size = 4, .dtrd_offset = 4 }
	};
	static const int32_t data[] = { -7, 255 };
	char *text = NULL, buf[32];
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	void *one = dtrace_printf_create(h, "<%d>\n"), *two = dtrace_printf_create(h, "%d %#x\n");
	void *three = dtrace_printa_create(h, "%d %d %d");

	CHECK(dtrace_printf_create(h, "%") == NULL && dtrace_errno(h) == EDT_BADCONV);
	CHECK_INT(dtrace_fprintf(h, f, one, NULL, rec, 2, data, sizeof(data)), 1);
	CHECK_INT(dtrace_fprintf(h, f, two, NULL, rec, 2, data, sizeof(data)), 2);
	CHECK(dtrace_fprintf(h, f, three, NULL, rec, 2, data, sizeof(data)) < 0);
	CHECK_INT(dtrace_errno(h), EDT_DMISMATCH);
	CHECK(dtrace_fprintf(h, f, two, NULL, rec, 2, data, 7) < 0);
	CHECK_INT(dtrace_errno(h), EDT_DOFFSET);
	CHECK(dtrace_fprintf(h, f, NULL, NULL, rec, 2, data, sizeof(data)) < 0);
	CHECK(dtrace_fprintf(h, NULL, one, NULL, rec, 2, data, sizeof(data)) < 0);
	CHECK_INT(dtrace_errno(h), EDT_NOBUFFERED);
	CHECK(dtrace_fprinta(h, f, three, NULL, rec, 2, data, sizeof(data)) < 0);
	CHECK_INT(dtrace_errno(h), EDT_BADAGG);
	fclose(f);
	CHECK_STR(text, "<-7>\n-7 0xff\n");
	free(text);
	CHECK_INT(dtrace_printf_format(h, two, buf, sizeof(buf)), 7);
	CHECK_STR(buf, "%d %#x\n");
	CHECK_INT(dtrace_printf_format(h, two, buf, 3), 7);
	CHECK_STR(buf, "%d");
	dtrace_close(h);
}

static int handler(const dtrace_dropdata_t *d, void *arg)
{
	return DTRACE_HANDLE_OK;
}

static void test_handlers(void)
{
	dtrace_hdl_t *h = open_or_die(DTRACE_O_NODEV);

	CHECK_INT(dtrace_handle_drop(h, handler, NULL), 0);
	CHECK_INT(dtrace_handle_drop(h, handler, NULL), -1);
	CHECK_INT(dtrace_errno(h), EALREADY);
	dtrace_close(h);
}

/* ---- with it ------------------------------------------------------------------------------------------------- */

struct seen {
	char probes[256]; /* names, each with a blank */
	s64 sum;
	int recs, ends;
};

static int on_probe(const dtrace_probedata_t *d, void *arg)
{
	struct seen *s = arg;
	size_t n = strlen(s->probes);

	snprintf(s->probes + n, sizeof(s->probes) - n, "%s ", d->dtpda_pdesc->dtpd_name);
	return DTRACE_CONSUME_THIS;
}

static int on_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	struct seen *s = arg;
	s32 v;

	if (!rec) {
		s->ends++;
		return DTRACE_CONSUME_NEXT;
	}
	s->recs++;
	if (rec->dtrd_action == DTRACEACT_DIFEXPR && rec->dtrd_size == 4) {
		memcpy(&v, d->dtpda_data + rec->dtrd_offset, 4);
		s->sum += v;
	}
	return DTRACE_CONSUME_NEXT;
}

static int start(dtrace_hdl_t *h, const char *text)
{
	dtrace_prog_t *p = compile(h, text);

	if (p && dtrace_program_exec(h, p, NULL) == 0 && dtrace_go(h) == 0)
		return 0;
	if (dtrace_errno(h) == EDT_ACCESS)
		test_skip(dtrace_errmsg(h, EDT_ACCESS));
	fprintf(stderr, "%s: %s\n", text, dtrace_errmsg(h, dtrace_errno(h)));
	if (dtrace_verifier_log(h))
		fprintf(stderr, "%s\n", dtrace_verifier_log(h));
	test_failures++;
	return -1;
}

static int work(dtrace_hdl_t *h, struct seen *s)
{
	int rv = dtrace_work(h, NULL, on_probe, on_rec, s);

	if (rv == DTRACE_WORKSTATUS_ERROR)
		fprintf(stderr, "dtrace_work: %s\n", dtrace_errmsg(h, dtrace_errno(h)));
	return rv;
}

static void test_begin_end(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	dtrace_diag_t d;

	if (!CHECK(dtrace_program_exec(h, compile(h, "BEGIN { trace(9904); } END { trace(1); }"),
				       NULL) == 0))
		goto out;
	CHECK(compile(h, "nonsense") == NULL && dtrace_diag_get(h, 0, &d) == 0);
	if (!CHECK_INT(dtrace_go(h), 0))
		goto out;
	CHECK(dtrace_go(h) < 0 && dtrace_errno(h) == EDT_ACTIVE);
	CHECK(compile(h, "BEGIN { }") == NULL && dtrace_errno(h) == EDT_ACTIVE);
	CHECK(dtrace_diag_get(h, 0, &d) < 0); /* those of a compilation before are gone */
	CHECK(dtrace_setopt(h, "bufsize", "1m") < 0 && dtrace_errno(h) == EDT_ACTIVE);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK_STR(s.probes, "BEGIN ");
	CHECK_INT(s.sum, 9904);
	CHECK_INT(s.ends, 1);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK_INT(s.recs, 1);
	CHECK_INT(dtrace_stop(h), 0);
	CHECK_INT(dtrace_stop(h), 0);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_DONE);
	CHECK_STR(s.probes, "BEGIN END ");
	CHECK_INT(s.sum, 9905);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_DONE);
	CHECK_INT(s.recs, 2);
out:
	dtrace_close(h);
}

static void test_exit(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	double t = now_ms();

	/* seconds of rates must not delay an exit() */
	if (start(h, "BEGIN { exit(0); } END { trace(5); } syscall:::entry { trace(1000); }") < 0)
		goto out;
	dtrace_sleep(h);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_DONE);
	CHECK_STR(s.probes, "BEGIN END ");
	CHECK_INT(s.sum, 5);
	CHECK_INT(dtrace_status(h), DTRACE_STATUS_STOPPED);
	CHECK(now_ms() - t < 500);
out:
	dtrace_close(h);
}

/* exit() in a probe wakes the sleeper. */
static void test_exit_wakes(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	double t = now_ms();
	int n = 0;

	dtrace_setopt(h, "switchrate", "30s");
	dtrace_setopt(h, "statusrate", "30s");
	if (start(h, "tick-100ms { exit(0); }") < 0)
		goto out;
	while (work(h, &s) == DTRACE_WORKSTATUS_OKAY && n++ < 100)
		dtrace_sleep(h);
	CHECK_INT(dtrace_status(h), DTRACE_STATUS_STOPPED);
	CHECK(now_ms() - t < 5000);
	CHECK(n < 10);
out:
	dtrace_close(h);
}

static void *waker(void *arg)
{
	usleep(50000);
	dtrace_wakeup(arg);
	return NULL;
}

static void test_wakeup(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	struct pollfd p = { .events = POLLIN };
	pthread_t t;
	double from;

	dtrace_setopt(h, "switchrate", "30s");
	dtrace_setopt(h, "statusrate", "30s");
	if (start(h, "END { }") < 0)
		goto out;
	CHECK_INT(dtrace_work_due(h), 0);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK(dtrace_work_due(h) > INT64_C(20000000000));
	from = now_ms();
	pthread_create(&t, NULL, waker, h);
	dtrace_sleep(h);
	CHECK(now_ms() - from > 30 && now_ms() - from < 5000);
	pthread_join(t, NULL);
	dtrace_wakeup(h); /* the next one */
	dtrace_sleep(h);
	CHECK(now_ms() - from < 5000);

	p.fd = dtrace_pollfd(h);
	CHECK_INT(poll(&p, 1, 0), 0);
	dtrace_wakeup(h);
	CHECK_INT(poll(&p, 1, 5000), 1);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK_INT(poll(&p, 1, 0), 0);
out:
	dtrace_close(h);
}

/* A buffer half full wakes the sleeper. */
static void test_half_full(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	char text[128];
	double from = now_ms();
	pid_t pid;

	dtrace_setopt(h, "switchrate", "30s");
	dtrace_setopt(h, "statusrate", "30s");
	dtrace_setopt(h, "bufsize", "64k");
	pid = fork();
	if (pid == 0)
		for (;;) {
			syscall(SYS_getppid);
			usleep(10);
		}
	snprintf(text, sizeof(text), "syscall::getppid:entry /pid == %d/ { trace((int)1); }",
		 (int)pid);
	if (start(h, text) == 0) {
		work(h, &s);
		s.recs = 0;
		dtrace_sleep(h);
		CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
		CHECK(s.recs > 100);
		CHECK(now_ms() - from < 20000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	dtrace_close(h);
}

static int on_agg(const dtrace_aggdata_t *d, void *arg)
{
	const dtrace_aggdesc_t *desc = d->dtada_desc;
	const dtrace_recdesc_t *val = &desc->dtagd_rec[desc->dtagd_nrecs - 1];
	u64 v;

	memcpy(&v, d->dtada_data + val->dtrd_offset, 8);
	*(u64 *)arg += v;
	return DTRACE_AGGWALK_NEXT;
}

static void test_aggregate(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	char text[128];
	u64 sum = 0;
	int i;

	snprintf(text, sizeof(text),
		 "syscall::getppid:entry /pid == %d/ { @[probefunc] = count(); }", (int)getpid());
	if (start(h, text) < 0)
		goto out;
	for (i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	CHECK_INT(dtrace_stop(h), 0);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_DONE);
	CHECK_INT(dtrace_aggregate_walk(h, on_agg, &sum), 0);
	CHECK_INT(sum, 1000);
out:
	dtrace_close(h);
}

/* A consumer that shows records in formats of its own. */
struct own {
	FILE *f;
	void *printf_format, *printa_format;
};

static int on_own_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	const struct own *own = arg;
	unsigned int n;

	if (!rec)
		return DTRACE_CONSUME_NEXT;
	n = (unsigned int)(d->dtpda_edesc->dtepd_nrecs - (rec - d->dtpda_edesc->dtepd_rec));
	if (rec->dtrd_action == DTRACEACT_PRINTF) {
		CHECK(rec->dtrd_format != NULL);
		CHECK_INT(dtrace_fprintf(d->dtpda_handle, own->f, own->printf_format, d, rec, n,
					 d->dtpda_data, d->dtpda_edesc->dtepd_size),
			  2);
	} else if (rec->dtrd_action == DTRACEACT_PRINTA) {
		CHECK_INT(dtrace_fprinta(d->dtpda_handle, own->f, own->printa_format, d, rec, n,
					 d->dtpda_data, d->dtpda_edesc->dtepd_size),
			  1);
	}
	return DTRACE_CONSUME_NEXT;
}

/* freopen() in the place of a printf(), then a command. */
static int on_act_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	const struct own *own = arg;

	if (!rec || rec->dtrd_action != DTRACEACT_PRINTF)
		return DTRACE_CONSUME_NEXT;
	CHECK_INT(dtrace_freopen(d->dtpda_handle, own->f, own->printa_format, d, rec, 1,
				 d->dtpda_data, d->dtpda_edesc->dtepd_size),
		  1);
	fprintf(own->f, "first ");
	CHECK_INT(dtrace_system(d->dtpda_handle, own->f, own->printf_format, d, rec, 1,
				d->dtpda_data, d->dtpda_edesc->dtepd_size),
		  1);
	CHECK(dtrace_system(d->dtpda_handle, own->f, NULL, d, rec, 1, d->dtpda_data, 8) < 0);
	CHECK(dtrace_system(d->dtpda_handle, own->f, own->printf_format, d, rec, 1, d->dtpda_data,
			    0) < 0);
	CHECK_INT(dtrace_errno(d->dtpda_handle), EDT_DOFFSET);
	return DTRACE_CONSUME_NEXT;
}

static void test_own_commands(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	char path[] = "/tmp/dtrace-api-XXXXXX", format[128], text[64] = "";
	int fd = mkstemp(path);
	struct own own = { fdopen(dup(fd), "w"), NULL, NULL };

	snprintf(format, sizeof(format), "echo second %%d >>%s", path);
	own.printf_format = dtrace_printf_create(h, format);
	own.printa_format = dtrace_printf_create(h, path);
	dtrace_setopt(h, "quiet", NULL);
	if (start(h, "BEGIN { printf(\"%d\", 7); exit(0); }") == 0)
		CHECK_INT(dtrace_work(h, own.f, NULL, on_act_rec, &own), DTRACE_WORKSTATUS_DONE);
	dtrace_close(h);
	fclose(own.f);
	CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
	CHECK_STR(text, "first second 7\n");
	close(fd);
	unlink(path);
}

static void test_own_formats(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct own own = { NULL, dtrace_printf_create(h, "%x|%s."),
			   dtrace_printa_create(h, "%d=%@d;") };
	char *text = NULL;
	size_t n = 0;

	own.f = open_memstream(&text, &n);
	if (start(h,
		  "BEGIN { @[7] = sum(3); printf(\"%d %s\\n\", 255, \"abc\"); printa(@); exit(0); }") ==
	    0) {
		CHECK_INT(dtrace_work(h, own.f, NULL, on_own_rec, &own), DTRACE_WORKSTATUS_DONE);
		fflush(own.f);
		CHECK_STR(text, "ff|abc.7=3;");
	}
	fclose(own.f);
	free(text);
	dtrace_close(h);
}

static int on_proc(struct ps_prochandle *p, const char *msg, void *arg)
{
	++*(int *)arg;
	return DTRACE_HANDLE_OK;
}

static void test_target(void)
{
	char *argv[] = { (char *)"sleep", (char *)"0.1", NULL };
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	struct ps_prochandle *p;
	double from;
	int n = 0, gone = 0;

	CHECK_INT(dtrace_handle_proc(h, on_proc, &gone), 0);
	p = dtrace_proc_create(h, argv[0], argv);
	if (!CHECK(p != NULL) ||
	    start(h, "syscall::clock_nanosleep:entry /pid == $target/ { trace((int)1); }") < 0)
		goto out;
	CHECK(dtrace_proc_getpid(h, p) > 0);
	from = now_ms();
	dtrace_proc_continue(h, p);
	while (work(h, &s) == DTRACE_WORKSTATUS_OKAY && n++ < 100)
		dtrace_sleep(h);
	CHECK_INT(s.sum, 1);
	CHECK_INT(gone, 1);
	CHECK(now_ms() - from < 5000);
	dtrace_proc_release(h, p);
out:
	dtrace_close(h);
}

/* Options setenv and unsetenv: what the command finds in its environment. */
static void test_environment(void)
{
	char *argv[] = { (char *)"sh", (char *)"-c",
			 (char *)"test \"$DT_A\" = 2 && test -z \"$DT_B$DT_C\" && test -n \"$PATH\"",
			 NULL };
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	struct ps_prochandle *p;
	int n = 0;

	setenv("DT_B", "inherited", 1);
	CHECK_INT(dtrace_setopt(h, "setenv", "DT_A=1"), 0);
	CHECK_INT(dtrace_setopt(h, "setenv", "DT_C=x"), 0);
	CHECK_INT(dtrace_setopt(h, "unsetenv", "DT_B"), 0);
	CHECK_INT(dtrace_setopt(h, "unsetenv", "DT_C"), 0);
	CHECK_INT(dtrace_setopt(h, "setenv", "DT_A=2"), 0);
	p = dtrace_proc_create(h, argv[0], argv);
	unsetenv("DT_B");
	if (!CHECK(p != NULL) || start(h, "BEGIN { trace((int)1); }") < 0)
		goto out;
	dtrace_proc_continue(h, p);
	while (work(h, &s) == DTRACE_WORKSTATUS_OKAY && n++ < 100)
		dtrace_sleep(h);
	CHECK_INT(dtrace_proc_status(h, p), 0);
	dtrace_proc_release(h, p);
out:
	dtrace_close(h);
}

/* ---- freopen(), setopt() --------------------------------------------------------------------------------- */

struct opened {
	FILE *fp;
	char changes[256];
	int errors;
};

static int own_line(const dtrace_probedata_t *d, void *arg)
{
	fputs("[", ((struct opened *)arg)->fp); /* what the consumer writes itself follows freopen() */
	return DTRACE_CONSUME_THIS;
}

static int print_all(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	return rec && rec->dtrd_action == DTRACEACT_EXIT ? DTRACE_CONSUME_NEXT : DTRACE_CONSUME_THIS;
}

static int on_setopt(const dtrace_setoptdata_t *d, void *arg)
{
	struct opened *o = arg;
	size_t n = strlen(o->changes);

	snprintf(o->changes + n, sizeof(o->changes) - n, "%s:%lld>%lld ", d->dtsda_option,
		 (long long)d->dtsda_oldval, (long long)d->dtsda_newval);
	return DTRACE_HANDLE_OK;
}

static int on_error(const dtrace_errdata_t *d, void *arg)
{
	((struct opened *)arg)->errors += d->dteda_fault == DTRACEFLT_LIBRARY;
	return DTRACE_HANDLE_OK;
}

static const char *contents(const char *path)
{
	static char text[256];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

static void test_freopen(void)
{
	char first[] = "/tmp/dt-first-XXXXXX", second[] = "/tmp/dt-second-XXXXXX", text[512];
	dtrace_hdl_t *h = open_or_die(0);
	struct opened o = { fdopen(mkstemp(first), "w"), "", 0 };
	int n = 0;

	close(mkstemp(second));
	snprintf(text, sizeof(text),
		 "BEGIN { printf(\"a\"); freopen(\"%s\"); printf(\"b\"); setopt(\"stackindent\", \"3\"); }"
		 "BEGIN { printf(\"c\"); setopt(\"bufsize\", \"1k\"); freopen(\"\"); } BEGIN { printf(\"d\"); "
		 "exit(0); }",
		 second);
	dtrace_setopt(h, "destructive", NULL);
	dtrace_handle_setopt(h, on_setopt, &o);
	dtrace_handle_err(h, on_error, &o);
	if (start(h, text) < 0)
		goto out;
	while (dtrace_work(h, o.fp, own_line, print_all, &o) == DTRACE_WORKSTATUS_OKAY && n++ < 100)
		dtrace_sleep(h);
	fflush(o.fp);
	CHECK_STR(contents(first), "[a[d");
	CHECK_STR(contents(second), "b[c");
	CHECK_STR(o.changes, "stackindent:14>3 ");
	CHECK_INT(o.errors, 1);
out:
	dtrace_close(h);
	fclose(o.fp);
	unlink(first);
	unlink(second);
}

static void test_fill(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	char text[128];
	int i;

	dtrace_setopt(h, "bufpolicy", "fill");
	dtrace_setopt(h, "bufsize", "4k");
	snprintf(text, sizeof(text), "syscall::getppid:entry /pid == %d/ { trace((int)1); }",
		 (int)getpid());
	if (start(h, text) < 0)
		goto out;
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	for (i = 0; i < 1000; i++)
		syscall(SYS_getppid);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_DONE);
	CHECK(s.sum > 50 && s.sum < 1000);
out:
	dtrace_close(h);
}

/* A forked child that cleans up leaves the parent's tracing alone. */
static void test_fork(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	char text[128];
	pid_t pid;

	snprintf(text, sizeof(text),
		 "syscall::getppid:entry /pid == %d/ { trace((int)1); } END { trace((int)5); }",
		 (int)getpid());
	if (start(h, text) < 0)
		goto out;
	pid = fork();
	if (pid == 0) {
		dtrace_stop(h);
		dtrace_close(h);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	syscall(SYS_getppid);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK_INT(s.sum, 1);
out:
	dtrace_close(h);
}

/* What a child has copies of ends with its parent; a pass under way can be walked to its end in it. */
static void test_forked(void)
{
	dtrace_hdl_t *h = open_or_die(0);
	struct seen s = { "" };
	char text[128];
	int status = -1;
	pid_t pid;

	snprintf(text, sizeof(text),
		 "syscall::getppid:entry /pid == %d/ { trace((int)1); @ = count(); }", (int)getpid());
	if (start(h, text) < 0)
		goto out;
	syscall(SYS_getppid);
	pid = fork();
	if (pid == 0) {
		int fds = 0;

		dtrace_forked(h);
		dtrace_forked(h);
		dtrace_wakeup(h);
		dtrace_sleep(h);
		work(h, &s);
		for (int fd = 3; fd < 256; fd++) {
			char path[64], where[64] = "";

			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			if (readlink(path, where, sizeof(where) - 1) > 0 &&
			    !strncmp(where, "anon_inode:", 11))
				fds++;
		}
		dtrace_stop(h);
		dtrace_close(h);
		_exit(s.recs || fds);
	}
	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
	syscall(SYS_getppid);
	CHECK_INT(work(h, &s), DTRACE_WORKSTATUS_OKAY);
	CHECK_INT(s.sum, 2);
out:
	dtrace_close(h);
}

static int see_feature(dtrace_hdl_t *h, const dtrace_feature_t *f, void *arg)
{
	int *n = arg;

	CHECK(*f->dtf_name && *f->dtf_use && *f->dtf_instead);
	CHECK(!f->dtf_available || !*f->dtf_refusal);
	++*n;
	return *n == 3 ? 7 : 0;
}

static int count_feature(dtrace_hdl_t *h, const dtrace_feature_t *f, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void test_features(void)
{
	int n = 0, err;
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, 0, &err);

	CHECK_INT(dtrace_feature_iter(h, see_feature, &n), 7);
	CHECK_INT(n, 3);
	n = 0;
	CHECK_INT(dtrace_feature_iter(h, count_feature, &n), 0);
	CHECK(n > 10);
	dtrace_close(h);
}

static void test_stability(void)
{
	static const struct {
		const char *probe, *attr, *args;
	} cases[] = {
		{ "BEGIN", "Stable/Stable/Common", "Stable/Stable/Common" },
		{ "tick-1", "Evolving/Evolving/Common", "Evolving/Evolving/Common" },
		{ "syscall::read:entry", "Private/Private/Unknown", "Private/Private/ISA" },
	};
	int err;
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, 0, &err);
	dtrace_probedesc_t pd;
	dtrace_probeinfo_t info;
	char buf[64];
	size_t i;

	for (i = 0; i < DT_NELEM(cases); i++) {
		CHECK_INT(dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, cases[i].probe, &pd), 0);
		if (!CHECK_INT(dtrace_probe_info(h, &pd, &info), 0))
			continue;
		CHECK_STR(dtrace_attr2str(info.dtp_attr, buf, sizeof(buf)), cases[i].attr);
		CHECK_STR(dtrace_attr2str(info.dtp_arga, buf, sizeof(buf)), cases[i].args);
	}
	dtrace_close(h);
}

int main(void)
{
	test_open();
	test_compile_error();
	test_fcompile();
	test_probes();
	test_names();
	test_handlers();
	test_statements();
	test_formats();

	if (test_failures)
		return test_status();
	test_stability();
	test_features();
	test_begin_end();
	test_exit();
	test_exit_wakes();
	test_wakeup();
	test_half_full();
	test_aggregate();
	test_own_formats();
	test_own_commands();
	test_target();
	test_environment();
	test_freopen();
	test_fill();
	test_fork();
	test_forked();
	return test_status();
}
