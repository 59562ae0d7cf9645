/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that leave no frame pointers behind: built with -O2 -fomit-frame-pointer.  For each line on standard input it
 * makes a getppid() below nofp_top(), nofp_again() (three times over), nofp_big() and nofp_leaf(), then one from a signal
 * handler, and says "ok".
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile int one = 1;

NOINLINE int nofp_leaf(volatile const char *p, int n)
{
	long r = SYS_getppid;
	char buf[64];

	memset(buf, n, sizeof(buf));
	__asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
	return buf[n % 64] + p[0];
}

/* A frame whose size is not known when compiling. */
NOINLINE int nofp_big(int n)
{
	volatile char *p = __builtin_alloca((size_t)n * 100 + 16);

	p[0] = 1;
	return nofp_leaf(p, n) + one;
}

NOINLINE int nofp_again(int n)
{
	return n ? nofp_again(n - 1) * 3 + one : nofp_big(3 * one);
}

static void on_signal(int sig)
{
	nofp_again(0);
	one = 1;
}

NOINLINE int nofp_top(int n)
{
	int sum = nofp_again(n) + one;

	raise(SIGUSR1);
	return sum + one;
}

int main(void)
{
	char line[64];

	signal(SIGUSR1, on_signal);
	while (fgets(line, sizeof(line), stdin)) {
		nofp_top(2);
		puts("ok");
		fflush(stdout);
	}
	return 0;
}
