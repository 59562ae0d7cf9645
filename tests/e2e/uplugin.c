/* SPDX-License-Identifier: Apache-2.0 */
/* A library that the program of utarget.c loads when it is told to. */
#include "usdt.h"

COUNTER(plugin_work_counter);

static volatile long calls;

__attribute__((noinline, noclone)) long plugin_inner(long x)
{
	calls++;
	return x + 1;
}

long plugin_work(long x)
{
	if (plugin_work_counter)
		PROBE(plugin, work__done, plugin_work_counter, "-8@%0 8@calls(%%rip)", "r"(x));
	return plugin_inner(x);
}
