/* SPDX-License-Identifier: Apache-2.0 */
/*
 * functions.c - a process of 5,000 functions, to attach to: says `ready`, ends with its standard input.
 */
#include <stdio.h>

/* Each returns something else, lest the compiler makes one of them all. */
/* clang-format off */
#define F(n) long f##n(long x) { return x + 1##n; }
#define F10(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define F100(n) F10(n##0) F10(n##1) F10(n##2) F10(n##3) F10(n##4) F10(n##5) F10(n##6) F10(n##7) F10(n##8) F10(n##9)
#define F500(n) F100(n##0) F100(n##1) F100(n##2) F100(n##3) F100(n##4)
F500(0) F500(1) F500(2) F500(3) F500(4) F500(5) F500(6) F500(7) F500(8) F500(9)
	/* clang-format on */

	int main(void)
{
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
