/* SPDX-License-Identifier: Apache-2.0 */
/* test_fmt.c - the parser of printf() formats. */
#include "base/fmt.h"
#include "test.h"

static struct dt_fmt *parse(const char *text)
{
	char err[256] = "";
	struct dt_fmt *f = dt_fmt_parse(text, err, sizeof(err));

	CHECK(f || err[0]);
	return f;
}

static void refuse(const char *text, const char *why)
{
	char err[256] = "";
	struct dt_fmt *f = dt_fmt_parse(text, err, sizeof(err));

	CHECK(!f);
	CHECK_STR(err, why);
	dt_fmt_free(f);
}

static void test_literals(void)
{
	struct dt_fmt *f = parse("100%% of %d%%\n");

	CHECK_INT(f->n, 2);
	CHECK_INT(f->nargs, 1);
	CHECK_INT(f->conv[0].textlen, 8);
	CHECK(!memcmp(f->conv[0].text, "100% of ", 8));
	CHECK_INT(f->conv[0].off, 9);
	CHECK_INT(f->conv[1].cls, DT_CONV_LITERAL);
	CHECK_INT(f->conv[1].textlen, 2);
	CHECK(!memcmp(f->conv[1].text, "%\n", 2));
	dt_fmt_free(f);
	f = parse("");
	CHECK_INT(f->nargs, 0);
	dt_fmt_free(f);
	f = parse("%%%%");
	CHECK_INT(f->n, 1);
	CHECK_INT(f->conv[0].textlen, 2);
	dt_fmt_free(f);
}

static void test_flags(void)
{
	struct dt_fmt *f = parse("%-+ #0'12.7lld|%?p|%*.*s|%@5u|%.f");

	CHECK(f->conv[0].left && f->conv[0].plus && f->conv[0].space && f->conv[0].alt &&
	      f->conv[0].zero && f->conv[0].group);
	CHECK_INT(f->conv[0].width, 12);
	CHECK_INT(f->conv[0].prec, 7);
	CHECK_STR(f->conv[0].size, "ll");
	CHECK_INT(f->conv[0].conv, 'd');
	CHECK(f->conv[1].ptrwidth);
	CHECK_INT(f->conv[1].cls, DT_CONV_PTR);
	CHECK(f->conv[2].dynwidth && f->conv[2].dynprec);
	CHECK(f->conv[3].agg);
	CHECK_INT(f->conv[3].width, 5);
	CHECK_INT(f->conv[3].prec, -1);
	CHECK_INT(f->conv[4].prec, 0);
	CHECK_INT(f->nargs, 1 + 1 + 3 + 0 + 1);
	dt_fmt_free(f);
}

static void test_classes(void)
{
	static const struct {
		const char *text;
		enum dt_conv_class cls;
	} rows[] = {
		{ "%d", DT_CONV_INT },     { "%hhx", DT_CONV_INT },  { "%c", DT_CONV_INT },
		{ "%C", DT_CONV_INT },     { "%p", DT_CONV_PTR },    { "%a", DT_CONV_ADDR },
		{ "%A", DT_CONV_UADDR },   { "%s", DT_CONV_STR },    { "%S", DT_CONV_STR },
		{ "%T", DT_CONV_TIME },    { "%Y", DT_CONV_TIME },   { "%k", DT_CONV_STACK },
		{ "%-8k", DT_CONV_STACK }, { "%Lg", DT_CONV_FLOAT }, { "%ws", DT_CONV_WIDE },
		{ "%lc", DT_CONV_WIDE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dt_fmt *f = parse(rows[i].text);

		if (CHECK(f))
			CHECK_INT(f->conv[0].cls, rows[i].cls);
		dt_fmt_free(f);
	}
}

static void test_refused(void)
{
	refuse("%", "the format ends within a conversion");
	refuse("a %-12.", "the format ends within a conversion");
	refuse("%v", "%v is not a conversion");
	refuse("%1$d", "%$ is not a conversion");
	refuse("%\x01", "byte 0x01 is not a conversion");
	refuse("%hs", "conversion %hs does not exist");
	refuse("%99999999999999999999d", "the width of a conversion is more than 65536");
}

int main(void)
{
	test_literals();
	test_flags();
	test_classes();
	test_refused();
	return test_status();
}
