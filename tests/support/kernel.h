/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - a small kernel that is the same on every machine: type information with a structure, some tracepoints and
 * functions, a module that has some too, and the files that providers read.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "probe/probe.h"
#include "types/types.h"

/* For types without a path.  0, or -1. */
int kernel_init(struct dt_types *ts, struct dt_probes *ps);

#endif
