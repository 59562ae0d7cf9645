/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a D program: lexer, parser, binder and checker; what comes out is shown, be it a tree or findings.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lang/lang.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Making a world takes longer than most compilations.  A program that fails leaves nothing in it; after one that does
 * not, and now and then, it is made anew. */
static struct world world;
static int uses;

static struct world *begin(const char *text)
{
	if (!uses && world_init(&world))
		abort();
	uses++;
	world_begin(&world, text);
	return &world;
}

static void end(bool published)
{
	world_end(&world);
	if (!published && uses < 100)
		return;
	world_fini(&world);
	uses = 0;
}

static void compile(const char *text, size_t size, enum dt_stage upto)
{
	struct world *w = begin(text);
	struct dt_str out = { 0 };
	struct dt_program *p;
	bool ok;

	w->env.allow_pending = true;
	p = dt_program_new(&w->env, NULL, text, size, DTRACE_PROBESPEC_NAME);
	ok = p && dt_program_compile(p, upto) == 0;
	if (ok)
		dt_program_dump(p, &out);
	else if (p && !p->diags.list.n && !p->out_of_memory)
		__builtin_trap(); /* refused without a reason */
	for (u32 i = 0; p && i < p->diags.list.n; i++) {
		dt_diag_render(&p->diags.list.v[i], &out);
		dt_diag_oneline(&p->diags.list.v[i], true, &out);
	}
	dt_program_free(p);
	dt_str_fini(&out);
	end(ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	compile(text, size, DT_STAGE_PARSE);
	compile(text, size, DT_STAGE_CHECK);
	free(text);
	return 0;
}
