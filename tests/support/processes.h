/* SPDX-License-Identifier: Apache-2.0 */
/* processes.h - one process that is the same on every machine: /opt/server with libc. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "probe/probe.h"

#define PROCESS_PID 1234 /* $target of the world */

struct dt_user processes_ops(struct dt_error *err);

#endif
