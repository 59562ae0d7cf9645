/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries of the user's: found, ordered, left out, refused; the environment of new processes. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/handle.h"
#include "test.h"

static char dir[] = "/tmp/test_libdir.XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	CHECK(f && fputs(text, f) >= 0);
	if (f)
		fclose(f);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CHECK_INT(unlink(path), 0);
}

/* "" when the program compiles, else why not. */
static const char *compile(const char *option, const char *value, const char *text)
{
	static char why[512];
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, 0, NULL);

	CHECK_INT(dtrace_setopt(h, "errtags", NULL), 0);
	CHECK_INT(dtrace_setopt(h, option, value), 0);
	why[0] = '\0';
	if (!dtrace_program_strcompile(h, text, DTRACE_PROBESPEC_NAME, 0, 0, NULL))
		snprintf(why, sizeof(why), "%s", dtrace_errmsg(h, dtrace_errno(h)));
	dtrace_close(h);
	return why;
}

static void test_order(void)
{
	static const char text[] = "#pragma D depends_on library a.d\n"
				   "BEGIN { x = A; y = xlate <struct made> (3).n; }";

	write_file("a.d", "#pragma D depends_on library b.d\ninline int A = B + 1;\n");
	write_file("b.d", "inline int B = 41; struct made { int n; };\n"
			  "translator struct made < int i > { n = i; };\n");
	write_file("c.d", "#pragma D depends_on provider nobody\ninline int C = 1;\n");
	write_file(".hidden.d", "wrong");
	write_file("readme", "wrong");
	CHECK_STR(compile("libdir", dir, text), "");
	CHECK_STR(compile("syslibdir", dir, text), "");
	CHECK(strstr(compile("libdir", dir, "BEGIN { x = C; }"), "D_IDENT_UNDEF") != NULL);
	CHECK(strstr(compile("nolibs", NULL, text), "D_PRAGMA_DEPEND") != NULL);
	CHECK_STR(compile("libdir", "/no/such/folder", "BEGIN { }"), "");
	remove_file(".hidden.d");
	remove_file("readme");
}

static void test_wrong(void)
{
	const char *why;

	write_file("d.d", "\ninline int D = nobody;\n");
	why = compile("libdir", dir, "BEGIN { }");
	CHECK(strstr(why, "d.d\", line 2: ") && strstr(why, "D_IDENT_UNDEF"));
	write_file("d.d", "BEGIN { x = 1; }\n");
	CHECK(strstr(compile("libdir", dir, "BEGIN { }"), "no clauses") != NULL);
	write_file("d.d", "#pragma D depends_on library e.d\n");
	write_file("e.d", "#pragma D depends_on library d.d\n");
	CHECK(strstr(compile("libdir", dir, "BEGIN { }"), "depends on itself") != NULL);
	remove_file("d.d");
	remove_file("e.d");
}

static void test_environment(void)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"true", NULL };
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, 0, NULL);
	struct ps_prochandle *p;

	setenv("LIBDIR_A", "0", 1);
	setenv("LIBDIR_C", "3", 1);
	CHECK_INT(dtrace_setopt(h, "setenv", "LIBDIR_A=1"), 0);
	CHECK_INT(dtrace_setopt(h, "setenv", "LIBDIR_B=2"), 0);
	CHECK_INT(dtrace_setopt(h, "unsetenv", "LIBDIR_C"), 0);
	p = dtrace_proc_create(h, "sh", argv);
	if (CHECK(p != NULL)) {
		pid_t pid = dtrace_proc_getpid(h, p);
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
		FILE *f = fopen(path, "re");
		char env[65536];
		size_t n = f ? fread(env, 1, sizeof(env), f) : 0;

		CHECK(memmem(env, n, "LIBDIR_A=1", 11) && memmem(env, n, "LIBDIR_B=2", 11));
		CHECK(!memmem(env, n, "LIBDIR_C", 8) && !memmem(env, n, "LIBDIR_A=0", 10));
		if (f)
			fclose(f);
	}
	dtrace_close(h);
}

int main(void)
{
	if (!CHECK(mkdtemp(dir) != NULL))
		return test_status();
	test_order();
	test_wrong();
	test_environment();
	remove_file("a.d");
	remove_file("b.d");
	remove_file("c.d");
	rmdir(dir);
	return test_status();
}
