/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test.h - just enough for the C tests: a check that goes on after a failure, and the exit status.
 *
 *	int main(void)
 *	{
 *		CHECK(1 + 1 == 2);
 *		CHECK_INT(dt_add(1, 1), 2);
 *		return test_status();
 *	}
 */
#ifndef TEST_H
#define TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;

#define CHECK(cond) \
	((cond) ? 1 : \
		  (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond), \
		   test_failures++, 0))

#define CHECK_INT(got, want) test_int(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define CHECK_STR(got, want) test_str(__FILE__, __LINE__, #got, (got), (want))

static inline int test_int(const char *file, int line, const char *what, int64_t got, int64_t want)
{
	if (got == want)
		return 1;
	fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, what, got, want);
	test_failures++;
	return 0;
}

static inline int test_str(const char *file, int line, const char *what, const char *got,
			   const char *want)
{
	if (got && want ? strcmp(got, want) == 0 : got == want)
		return 1;
	fprintf(stderr, "%s:%d: %s is\n  %s\nnot\n  %s\n", file, line, what, got ? got : "NULL",
		want ? want : "NULL");
	test_failures++;
	return 0;
}

/* For `return` in main(). */
static inline int test_status(void)
{
	if (test_failures)
		fprintf(stderr, "%d checks failed\n", test_failures);
	return test_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Ends the program as skipped, saying why. */
static inline void test_skip(const char *why)
{
	printf("SKIP: %s\n", why);
	exit(77);
}

#endif
