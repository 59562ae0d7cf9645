/* SPDX-License-Identifier: Apache-2.0 */
/* acts.c - actions that record nothing: a row each. */
#include <signal.h>

#include "codegen/gen.h"

/* To the current process, as kill(2) would. */
static void send(struct gen *g, vreg sig, struct dt_loc loc)
{
	vreg rc = e_call(g, BPF_FUNC_send_signal, a_reg(sig));

	g_fault_unless(g, BPF_JEQ, rc, 0, DTRACEFLT_ILLOP, 0, loc);
}

static void act_raise(struct gen *g, const struct dt_stmt *s)
{
	send(g, g_expr(g, s->args[0]), s->loc);
}

static void act_stop(struct gen *g, const struct dt_stmt *s)
{
	send(g, e_movi(g, SIGSTOP), s->loc);
}

static void (*const rows[DT_A_N])(struct gen *g, const struct dt_stmt *s) = {
	[DT_A_RAISE] = act_raise,         [DT_A_STOP] = act_stop,
	[DT_A_COPYOUT] = act_copyout,     [DT_A_COPYOUTSTR] = act_copyoutstr,
	[DT_A_SPECULATE] = act_speculate, [DT_A_COMMIT] = act_commit,
	[DT_A_DISCARD] = act_discard,
};

void g_act(struct gen *g, const struct dt_stmt *s)
{
	if (rows[s->act->id])
		rows[s->act->id](g, s);
	else
		g_fail(g, &s->loc, "%s() is not available in this version", s->act->name);
}
