/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a D program; what the checker lets pass is generated, dumped at each stage and looked over: the
 * generator has no excuses, but for what is too large for the kernel.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/object.h"
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

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "broken: %s\n", what);
	__builtin_trap();
}

static bool is_wide(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_DW | BPF_IMM);
}

/* Jumps go forward, to instructions. */
static void check_jump(const struct dt_progspec *p, u32 k, const u8 *second)
{
	const struct bpf_insn *i = &p->insns[k];
	u8 op = BPF_OP(i->code);
	u32 to = k + 1 + (u32)i->off;

	if (BPF_CLASS(i->code) != BPF_JMP || op == BPF_CALL || op == BPF_EXIT)
		return;
	must(i->off >= 0 && to < p->ninsns && !second[to], "jump");
}

static void check_prog(const struct dt_object *o, const struct dt_progspec *p)
{
	u8 *second = calloc(p->ninsns + 1, 1); /* halves of 16-byte instructions */

	if (!second)
		return;
	for (u32 k = 0; k < p->ninsns; k++)
		if (is_wide(&p->insns[k]) && !second[k])
			second[k + 1] = 1;
	for (u32 k = 0; k < p->ninsns; k++) {
		if (second[k])
			continue;
		must(p->insns[k].dst_reg <= 10 && p->insns[k].src_reg <= 10, "register");
		check_jump(p, k, second);
	}
	for (u32 k = 0; k < p->nrelocs; k++)
		must(p->relocs[k].insn < p->ninsns && is_wide(&p->insns[p->relocs[k].insn]) &&
			     p->relocs[k].map < o->nmaps,
		     "relocation");
	for (u32 k = 0; k < p->npatches; k++)
		must(p->patches[k].insn < p->ninsns && !second[p->patches[k].insn], "patch");
	free(second);
}

static void check_object(const struct dt_object *o)
{
	for (u32 k = 0; k < o->nprogs; k++)
		check_prog(o, &o->progs[k]);
	for (u32 k = 0; k < o->nepids; k++) {
		const struct dt_epid *e = &o->epids[k];

		for (int r = 0; r < e->desc.dtepd_nrecs; r++) {
			const dtrace_recdesc_t *d = &e->desc.dtepd_rec[r];

			must(d->dtrd_offset + d->dtrd_size <= e->shown_size, "record");
		}
	}
}

/* Only what no checker can know: how much the kernel takes. */
static bool is_excuse(const char *why)
{
	return strstr(why, "stack of 512 bytes") || strstr(why, "too large") ||
	       strstr(why, "no memory") || strstr(why, "type information");
}

static void generate(struct world *w, struct dt_program *p, u32 variant)
{
	struct dt_genopts opts = *world_genopts(w);
	struct dt_str out = { 0 };
	struct dt_object *o;

	opts.no_direct = variant & 1;
	opts.temporal = !(variant & 2);
	o = dt_generate(p->clauses.v, p->clauses.n, &w->env, &opts, &w->err, "gra"[variant % 3],
			&out);
	if (o)
		check_object(o);
	else
		must(is_excuse(w->err.msg), w->err.msg);
	dt_object_free(o);
	dt_str_fini(&out);
}

static void compile(const char *text, size_t size)
{
	struct world *w = begin(text);
	struct dt_program *p = dt_program_new(&w->env, NULL, text, size, DTRACE_PROBESPEC_NAME);
	bool ok = p && dt_program_compile(p, DT_STAGE_CHECK) == 0;

	for (u32 k = 0; ok && k < 3; k++)
		generate(w, p, k);
	dt_program_free(p);
	end(ok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	compile(text, size);
	free(text);
	return 0;
}
