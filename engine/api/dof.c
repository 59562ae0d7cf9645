/* SPDX-License-Identifier: Apache-2.0 */
/* dof.c - the file format that other implementations hand programs to their kernels in: not used here. */
#include <errno.h>
#include <stdlib.h>

#include "api/handle.h"

static void *no_dof(dtrace_hdl_t *h)
{
	return dt_fail_null(&h->err, ENOTSUP,
			    "There is no DOF: D programs are compiled to BPF programs");
}

void *dtrace_dof_create(dtrace_hdl_t *h, dtrace_prog_t *prog, unsigned int flags)
{
	return no_dof(h);
}

void dtrace_dof_destroy(dtrace_hdl_t *h, void *dof)
{
	free(dof);
}

void *dtrace_getopt_dof(dtrace_hdl_t *h)
{
	return no_dof(h);
}

void *dtrace_geterr_dof(dtrace_hdl_t *h)
{
	return no_dof(h);
}
