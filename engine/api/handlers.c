/* SPDX-License-Identifier: Apache-2.0 */
/* handlers.c - one handler of each kind per handle; a second one is refused. */
#include <errno.h>

#include "api/handle.h"

#define HANDLER(kind, slot) \
	int dtrace_handle_##kind(dtrace_hdl_t *h, dtrace_handle_##kind##_f *f, void *arg) \
	{ \
		if (h->slot##hdlr) \
			return dt_set_errno(h, EALREADY); \
		h->slot##hdlr = f; \
		h->slot##arg = arg; \
		return 0; \
	}

HANDLER(err, err)
HANDLER(drop, drop)
HANDLER(proc, proc)
HANDLER(setopt, setopt)
HANDLER(buffered, buf)
