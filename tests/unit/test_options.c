/* SPDX-License-Identifier: Apache-2.0 */
/* Options: the values that each kind takes, refuses and gives back. */
#include "api/handle.h"
#include "test.h"

static dtrace_hdl_t h;

/* What dtrace_getopt() gives after setting; the error's code when it is refused. */
static s64 set(const char *name, const char *value)
{
	dtrace_optval_t got = 0;

	if (dtrace_setopt(&h, name, value) < 0)
		return dtrace_errno(&h);
	CHECK_INT(dtrace_getopt(&h, name, &got), 0);
	return got;
}

static const struct {
	const char *name, *value;
	s64 want;
} cases[] = {
	/* flags */
	{ "quiet", NULL, 0 },
	{ "quiet", "1", 1 },
	{ "quiet", "0", 0 },
	{ "quiet", "1024", 1024 },
	{ "quiet", "true", 1 },
	{ "quiet", "Yes", 1 },
	{ "quiet", "enable", 1 },
	{ "quiet", "enabled", 1 },
	{ "quiet", "on", 1 },
	{ "quiet", "set", 1 },
	{ "quiet", "false", DTRACEOPT_UNSET },
	{ "quiet", "no", DTRACEOPT_UNSET },
	{ "quiet", "DISABLE", DTRACEOPT_UNSET },
	{ "quiet", "disabled", DTRACEOPT_UNSET },
	{ "quiet", "off", DTRACEOPT_UNSET },
	{ "quiet", "unset", DTRACEOPT_UNSET },
	{ "quiet", "", DTRACEOPT_UNSET },
	{ "quiet", "1.024", EDT_BADOPTVAL },
	{ "quiet", "-1", EDT_BADOPTVAL },
	{ "quiet", "maybe", EDT_BADOPTVAL },
	{ "quiet", "{}", EDT_BADOPTVAL },
	{ "temporal", "off", DTRACEOPT_UNSET },
	{ "temporal", NULL, 0 },
	/* sizes */
	{ "bufsize", "0", 0 },
	{ "bufsize", "512", 512 },
	{ "bufsize", "0x10", 16 },
	{ "bufsize", "8k", 8 << 10 },
	{ "bufsize", "4M", 4 << 20 },
	{ "bufsize", "2g", INT64_C(2) << 30 },
	{ "bufsize", "1t", INT64_C(1) << 40 },
	{ "bufsize", "-1", EDT_BADOPTVAL },
	{ "bufsize", "4mb", EDT_BADOPTVAL },
	{ "bufsize", "m", EDT_BADOPTVAL },
	{ "bufsize", "", EDT_BADOPTVAL },
	{ "bufsize", NULL, EDT_BADOPTVAL },
	{ "bufsize", "99999999999t", EDT_BADOPTVAL },
	{ "bufsize", "99999999999999999999", EDT_BADOPTVAL },
	{ "dynvarsize", "true", EDT_BADOPTVAL },
	{ "dynvarsize", "1.23", EDT_BADOPTVAL },
	{ "dynvarsize", NULL, EDT_BADOPTVAL },
	/* rates */
	{ "switchrate", "100", 100 },
	{ "switchrate", "10ns", 10 },
	{ "switchrate", "10us", 10000 },
	{ "switchrate", "10msec", 10000000 },
	{ "switchrate", "2s", 2000000000 },
	{ "switchrate", "1min", 60000000000 },
	{ "switchrate", "1h", 3600000000000 },
	{ "switchrate", "1day", 86400000000000 },
	{ "switchrate", "10hz", 100000000 },
	{ "switchrate", "5000HZ", 200000 },
	{ "switchrate", "0hz", 0 },
	{ "switchrate", "1fortnight", EDT_BADOPTVAL },
	{ "switchrate", "9999999999d", EDT_BADOPTVAL },
	{ "switchrate", "hz", EDT_BADOPTVAL },
	/* versions and stability */
	{ "version", "1", EDT_VERSINVAL },
	{ "version", "1.0.0.0", EDT_VERSINVAL },
	{ "version", "x1.0", EDT_VERSINVAL },
	{ "version", "1.99", EDT_VERSUNDEF },
	{ "version", "2.0", EDT_VERSUNDEF },
	{ "version", NULL, EDT_BADOPTVAL },
	{ "amin", "Stable/Stable", EDT_BADOPTVAL },
	{ "amin", NULL, EDT_BADOPTVAL },
	{ "stdc", "x", EDT_BADOPTVAL },
	{ "define", NULL, EDT_BADOPTVAL },
	{ "incdir", "", EDT_BADOPTVAL },
	/* words */
	{ "bufpolicy", "switch", DT_BUFPOLICY_SWITCH },
	{ "bufpolicy", "fill", DT_BUFPOLICY_FILL },
	{ "bufpolicy", "true", EDT_BADOPTVAL },
	{ "bufpolicy", NULL, EDT_BADOPTVAL },
	{ "bufresize", "manual", DT_BUFRESIZE_MANUAL },
	{ "bufresize", "auto", DT_BUFRESIZE_AUTO },
	{ "bufresize", "never", EDT_BADOPTVAL },
	/* numbers */
	{ "stackframes", "5", 5 },
	{ "stackframes", "5k", EDT_BADOPTVAL },
	{ "stackframes", "many", EDT_BADOPTVAL },
	/* names */
	{ "no-such-option", "1", EDT_BADOPTNAME },
	{ "", "1", EDT_BADOPTNAME },
	{ NULL, NULL, EDT_BADOPTNAME },
	{ "cpu", "0", 0 },
	{ "cpu", "-1", EDT_BADOPTVAL },
	{ "bufpolicy", "ring", DT_BUFPOLICY_RING },
	{ "lockmem", "unlimited", INT64_MAX },
	{ "lockmem", "64m", 64 << 20 },
	{ "lockmem", "lots", EDT_BADOPTVAL },
};

static void test_defaults(void)
{
	dtrace_optval_t v;

	CHECK_INT(dt_opt(&h, DT_OPT_QUIET), 0);
	CHECK_INT(dt_opt(&h, DT_OPT_TEMPORAL), 1);
	CHECK_INT(dt_opt(&h, DT_OPT_STRSIZE), 256);
	CHECK_INT(dt_opt(&h, DT_OPT_STACKINDENT), 14);
	CHECK_INT(dt_opt(&h, DT_OPT_BUFPOLICY), DT_BUFPOLICY_SWITCH);
	CHECK_INT(dt_opt(&h, DT_OPT_SWITCHRATE), 1000000000);
	CHECK(dtrace_getopt(&h, "quiet", &v) == 0 && v == DTRACEOPT_UNSET);
	CHECK(dtrace_getopt(&h, "temporal", &v) == 0 && v == 0);
	CHECK(dtrace_getopt(&h, "bufsize", &v) == 0 && v == 4 << 20);
	CHECK(dtrace_getopt(&h, "zdefs", &v) < 0 && dtrace_errno(&h) == EDT_BADOPTNAME);
}

static void test_cflags(void)
{
	CHECK_INT(dt_opt_cflags(&h), 0);
	CHECK_INT(dtrace_setopt(&h, "zdefs", NULL), 0);
	CHECK_INT(dtrace_setopt(&h, "errtags", NULL), 0);
	CHECK_INT(dtrace_setopt(&h, "knodefs", NULL), 0);
	CHECK_INT(dt_opt_cflags(&h), DTRACE_C_ZDEFS | DTRACE_C_ETAGS | DTRACE_C_KNODEF);
	CHECK_INT(dtrace_setopt(&h, "kdefs", NULL), 0);
	CHECK_INT(dtrace_setopt(&h, "errtags", "no"), 0);
	CHECK_INT(dt_opt_cflags(&h), DTRACE_C_ZDEFS);
}

static void test_truth(void)
{
	CHECK_INT(dtrace_setopt(&h, "quiet", NULL), 0);
	CHECK_INT(dt_opt(&h, DT_OPT_QUIET), 1);
	CHECK_INT(dtrace_setopt(&h, "quiet", "off"), 0);
	CHECK_INT(dt_opt(&h, DT_OPT_QUIET), 0);
	CHECK_INT(dtrace_setopt(&h, "temporal", "off"), 0);
	CHECK_INT(dt_opt(&h, DT_OPT_TEMPORAL), 0);
	CHECK_INT(dtrace_setopt(&h, "strsize", "1g"), 0);
	CHECK_INT(dt_opt_u32(&h, DT_OPT_STRSIZE, 8, 1024), 1024);
	CHECK_INT(dtrace_setopt(&h, "strsize", "1"), 0);
	CHECK_INT(dt_opt_u32(&h, DT_OPT_STRSIZE, 8, 1024), 8);
}

static void test_active(void)
{
	h.active = true;
	CHECK_INT(set("bufsize", "1m"), EDT_ACTIVE);
	CHECK_INT(set("switchrate", "1s"), 1000000000);
	h.active = false;
}

static void test_env(void)
{
	dtrace_optval_t v;

	setenv("DTRACE_TEST_OPT_BUFSIZE", "64k", 1);
	setenv("DTRACE_TEST_OPT_QUIET", "", 1);
	CHECK_INT(dtrace_setoptenv(&h, "DTRACE_TEST_OPT_"), 0);
	CHECK(dtrace_getopt(&h, "bufsize", &v) == 0 && v == 64 << 10);
	CHECK_INT(dt_opt(&h, DT_OPT_QUIET), 1);
	setenv("DTRACE_TEST_OPT_BOGUS", "1", 1);
	CHECK_INT(dtrace_setoptenv(&h, "DTRACE_TEST_OPT_"), -1);
	CHECK_INT(dtrace_errno(&h), EDT_BADOPTNAME);
}

int main(void)
{
	size_t i;

	for (i = 0; i < DT_NOPTS; i++)
		h.opts.val[i] = DTRACEOPT_UNSET;
	test_defaults();
	test_cflags();
	for (i = 0; i < DT_NELEM(cases); i++) {
		s64 got = set(cases[i].name, cases[i].value);

		if (!CHECK_INT(got, cases[i].want))
			fprintf(stderr, "  %s=%s\n", cases[i].name,
				cases[i].value ? cases[i].value : "(none)");
	}
	test_truth();
	test_active();
	test_env();
	CHECK_STR(dtrace_errmsg(NULL, EDT_ACCESS), "DTrace requires additional privileges");
	return test_status();
}
