/* SPDX-License-Identifier: Apache-2.0 */
/* acts.c - actions that record nothing: a row each. */
#include "codegen/gen.h"

static void (*const rows[DT_A_N])(struct gen *g, const struct dt_stmt *s) = {
	[DT_A_SPECULATE] = act_speculate,
	[DT_A_COMMIT] = act_commit,
	[DT_A_DISCARD] = act_discard,
};

void g_act(struct gen *g, const struct dt_stmt *s)
{
	if (rows[s->act->id])
		rows[s->act->id](g, s);
	else
		g_fail(g, &s->loc, "%s() is not available in this version", s->act->name);
}
