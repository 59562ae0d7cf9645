/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, text, names, globs, errors, and how findings about a D program are shown. */
#include <errno.h>

#include "base/base.h"
#include "test.h"

static void t_arena(void)
{
	struct dt_arena a;
	size_t i, j, n;
	char *p;

	dt_arena_init(&a);
	for (i = 0; i < 2000; i++) {
		n = i * 7 % 5000;
		p = dt_arena_alloc(&a, n);
		if (!CHECK(p && (uintptr_t)p % 16 == 0))
			return;
		for (j = 0; j < n; j++)
			if (!CHECK(p[j] == 0))
				return;
		memset(p, 0xff, n);
	}
	CHECK_STR(dt_arena_strdup(&a, "hello"), "hello");
	CHECK_STR(dt_arena_strndup(&a, "hello", 4), "hell");
	CHECK_STR(dt_arena_printf(&a, "%d-%s", 5, "x"), "5-x");
	CHECK(dt_arena_alloc(&a, SIZE_MAX) == NULL);
	dt_arena_fini(&a);
	CHECK(a.head == NULL);
}

static void t_oom(void)
{
	struct dt_arena a;
	jmp_buf env;
	volatile int caught = 0;

	dt_arena_init(&a);
	a.oom = &env;
	if (setjmp(env))
		caught = 1;
	else
		dt_arena_alloc(&a, SIZE_MAX / 2);
	CHECK(caught);
	dt_arena_fini(&a);
}

static void t_vec(void)
{
	struct dt_arena a;
	DT_VEC(u32) v = { 0 };
	u32 i;

	dt_arena_init(&a);
	for (i = 0; i < 1000; i++)
		*dt_vec_push(&a, &v) = i;
	CHECK_INT(v.n, 1000);
	for (i = 0; i < v.n; i++)
		if (!CHECK_INT(v.v[i], i))
			break;
	dt_arena_fini(&a);
}

static void t_str(void)
{
	struct dt_str b = { 0 };
	char *s;
	int i;

	CHECK_STR(dt_str_cstr(&b), "");
	dt_str_puts(&b, "a");
	dt_str_putc(&b, 'b');
	dt_str_putn(&b, "cdef", 2);
	dt_str_printf(&b, "%05d", 42);
	CHECK_STR(dt_str_cstr(&b), "abcd00042");
	dt_str_reset(&b);
	for (i = 0; i < 1000; i++)
		dt_str_printf(&b, "%0200d", i);
	CHECK_INT(b.len, 200000);
	CHECK_INT(strlen(b.s), 200000);
	s = dt_str_take(&b);
	CHECK(s && strlen(s) == 200000 && !b.s);
	free(s);
	s = dt_str_take(&b);
	CHECK_STR(s, "");
	free(s);
	dt_str_fini(&b);
}

static void t_htab(void)
{
	static char names[5000][8];
	struct dt_htab t = { 0 };
	size_t i;

	CHECK(dt_htab_get(&t, "x") == NULL);
	for (i = 0; i < DT_NELEM(names); i++) {
		snprintf(names[i], sizeof(names[i]), "n%zu", i);
		CHECK_INT(dt_htab_put(&t, names[i], names[i]), 0);
	}
	for (i = 0; i < DT_NELEM(names); i++)
		if (!CHECK(dt_htab_get(&t, names[i]) == names[i]))
			break;
	CHECK(dt_htab_get(&t, "n5000") == NULL);
	CHECK(dt_htab_get(&t, "") == NULL);
	dt_htab_put(&t, "n7", names[8]);
	CHECK(dt_htab_get(&t, "n7") == names[8]);
	CHECK_INT(t.n, DT_NELEM(names));
	dt_htab_fini(&t);
}

static void t_glob(void)
{
	static const struct {
		const char *pattern, *text;
		bool hit;
	} cases[] = {
		{ "", "", true },
		{ "", "anything", true },
		{ "abc", "abc", true },
		{ "abc", "abcd", false },
		{ "abcd", "abc", false },
		{ "*", "", true },
		{ "*", "x", true },
		{ "?", "", false },
		{ "?", "x", true },
		{ "a*c", "abbbc", true },
		{ "a*c", "abbbcd", false },
		{ "a*b*c", "axbxbxc", true },
		{ "*read*", "preadv", true },
		{ "**", "", true },
		{ "a**b", "ab", true },
		{ "[a-c]x", "bx", true },
		{ "[a-c]x", "dx", false },
		{ "[!a-c]", "d", true },
		{ "[!a-c]", "b", false },
		{ "[]]", "]", true },
		{ "[!]]", "]", false },
		{ "[a-]", "-", true },
		{ "[-a]", "-", true },
		{ "[a", "a", false },
		{ "[", "[", false },
		{ "[^a]", "^", true },
		{ "[^a]", "b", false },
		{ "\\*", "*", true },
		{ "\\*", "x", false },
		{ "a\\", "a", false },
		{ "[\\]]", "]", true },
		{ "[\\", "\\", false },
		{ "*[ab]*c", "xxbyyc", true },
		{ "[\x80-\xff]", "\xe4", true },
	};
	char many[64], text[2000];
	size_t i;

	for (i = 0; i < DT_NELEM(cases); i++)
		if (dt_glob_match(cases[i].pattern, cases[i].text) != cases[i].hit)
			CHECK_STR(cases[i].pattern, "to be otherwise");
	for (i = 0; i + 2 < sizeof(many); i += 2)
		memcpy(many + i, "*a", 2);
	many[i] = 'b';
	many[i + 1] = 0;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	CHECK(!dt_glob_match(many, text)); /* in no time */
	CHECK(dt_glob_is_literal("read"));
	CHECK(!dt_glob_is_literal(""));
	CHECK(!dt_glob_is_literal("r?ad"));
	CHECK(!dt_glob_is_literal("\\r"));
}

static void t_fail(void)
{
	struct dt_error e = { 0 };

	CHECK_INT(EDT_VERSION, 1000);
	CHECK_STR(dt_errstr(EDT_ACCESS), "DTrace requires additional privileges");
	CHECK_STR(dt_errstr(EDT_BADEPID), "No such enabled probe");
	CHECK_STR(dt_errstr(ENOENT), strerror(ENOENT));
	CHECK_STR(dt_errstr(EDT_END), "Unknown error");
	CHECK_STR(dt_errstr(EDT_BASE), "Unknown error");
	CHECK_STR(dt_errstr(-5), "Unknown error");
	errno = ENOSPC;
	CHECK_INT(dt_fail(&e, EDT_BPF, "map %d: %m", 5), -1);
	CHECK_INT(e.code, EDT_BPF);
	CHECK_STR(e.msg, "map 5: No space left on device");
	CHECK_INT(errno, ENOSPC);
	CHECK(dt_fail_null(&e, EDT_NOMEM, "x") == NULL);
	CHECK_STR(e.msg, "x");
}

static const char *render(const char *name, const char *text, u32 off, u32 len, struct dt_str *out)
{
	struct dt_source src = { name, text, strlen(text) };
	struct dt_diag d = { D_SYNTAX, { &src, off, len, 0 }, "no good" };

	dt_str_reset(out);
	dt_diag_render(&d, out);
	return dt_str_cstr(out);
}

static void t_render(void)
{
	struct dt_str o = { 0 };

	CHECK_STR(render(NULL, "one\ntwo three\nx", 8, 5, &o), "2:5: error: no good [D_SYNTAX]\n"
							       "   2 | two three\n"
							       "     |     ^~~~~\n");
	CHECK_STR(render("f.d", "\tab\tc\n", 4, 1, &o), "f.d:1:5: error: no good [D_SYNTAX]\n"
							"   1 | \tab\tc\n"
							"     | \t  \t^\n");
	CHECK_STR(render(NULL, "a\x1b[b\xc3\xa9 c", 7, 1, &o), "1:8: error: no good [D_SYNTAX]\n"
							       "   1 | a\\x1b[b\xc3\xa9 c\n"
							       "     |          ^\n");
	CHECK_STR(render(NULL, "x\xff\xe2\x80\xae y", 6, 1, &o), "1:7: error: no good [D_SYNTAX]\n"
								 "   1 | x\\xff\\xe2\\x80\\xae y\n"
								 "     |                   ^\n");
	/* past the end, over the end of the line, empty */
	CHECK_STR(render(NULL, "abc", 99, 4, &o), "1:4: error: no good [D_SYNTAX]\n"
						  "   1 | abc\n"
						  "     |    ^\n");
	CHECK_STR(render(NULL, "abc\ndef", 1, 6, &o), "1:2: error: no good [D_SYNTAX]\n"
						      "   1 | abc\n"
						      "     |  ^~\n");
	CHECK_STR(render(NULL, "", 0, 0, &o), "1:1: error: no good [D_SYNTAX]\n"
					      "   1 | \n"
					      "     | ^\n");
	CHECK_STR(render("\x1b]0;f", "abc\r\n", 0, 9, &o), "\\x1b]0;f:1:1: error: no good [D_SYNTAX]\n"
							   "   1 | abc\n"
							   "     | ^~~\n");
	dt_str_fini(&o);
}

static void t_diags(void)
{
	struct dt_source src = { NULL, "a\nb c", 5 };
	struct dt_loc b = { &src, 2, 1, 0 }, c = { &src, 4, 1, 0 }, span;
	struct dt_arena a;
	struct dt_diags d = { .arena = &a };
	struct dt_str o = { 0 };

	dt_arena_init(&a);
	span = dt_loc_span(b, c);
	CHECK_INT(span.off, 2);
	CHECK_INT(span.len, 3);
	dt_diag_add(&d, D_SYNTAX, span, "bad %s\x1b", "thing");
	CHECK_INT(d.list.n, 1);
	dt_diag_oneline(&d.list.v[0], true, &o);
	CHECK_STR(dt_str_cstr(&o), "[D_SYNTAX] line 2: bad thing\\x1b");
	dt_str_reset(&o);
	src.name = "f.d";
	d.list.v[0].loc.line = 77;
	dt_diag_oneline(&d.list.v[0], false, &o);
	CHECK_STR(dt_str_cstr(&o), "\"f.d\", line 77: bad thing\\x1b");
	dt_str_reset(&o);
	d.list.v[0].loc.src = NULL;
	dt_diag_render(&d.list.v[0], &o);
	CHECK_STR(dt_str_cstr(&o), "error: bad thing\\x1b [D_SYNTAX]\n");
	CHECK_STR(dt_tag_name(D_SYNTAX), "D_SYNTAX");
	dt_str_fini(&o);
	dt_arena_fini(&a);
}

int main(void)
{
	t_arena();
	t_oom();
	t_vec();
	t_str();
	t_htab();
	t_glob();
	t_fail();
	t_render();
	t_diags();
	return test_status();
}
