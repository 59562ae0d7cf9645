/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derived.h - rows of derived probes, put short.
 */
#ifndef DT_DERIVED_H
#define DT_DERIVED_H

#include "probe/probe.h"

int dt_derived_provide(struct dt_probes *ps, const struct dt_provider *self,
		       const struct dt_pdesc *d);
/* Does this kernel have the row's event?  The attach point that the provider's probes of it share. */
bool dt_derived_is_here(struct dt_probes *ps, const struct dt_derived *row);
struct dt_attach *dt_derived_attach(struct dt_probes *ps, const struct dt_provider *self,
				    const struct dt_derived *row);
int dt_derived_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out);

#define DT_DERIVED_PROVIDER(ident, text, table) \
	const struct dt_provider dt_provider_##ident = { \
		.name = text, \
		.attr = { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, \
			  DTRACE_CLASS_COMMON }, \
		.provide = dt_derived_provide, \
		.args = dt_derived_args, \
		.rows = table, \
	}

/* The event: a tracepoint and the names of its arguments. */
#define TP(tracepoint, ...) .kind = DT_AT_TP_BTF, .target = tracepoint, .params = { __VA_ARGS__ }

/* The event: one that perf counts (PERF_COUNT_SW_*), each time. */
#define PERF(number, text) .kind = DT_AT_TIMER, .sw_event = number, .target = text

/* The event: a function of the kernel is entered. */
#define FUNCTION(function, ...) .kind = DT_AT_KPROBE, .target = function, .params = { __VA_ARGS__ }

/* args[n] that say which thread and process: from an expression of type struct task_struct *. */
#define LWP(expr) { "lwpsinfo_t *", "struct task_struct *", expr, NULL }
#define PROC(expr) { "psinfo_t *", "struct task_struct *", expr, NULL }
#define CPUINFO(expr) { "cpuinfo_t *", "int", expr, NULL }
#define VALUE(type, expr) { type, NULL, expr, NULL }

#endif
