/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - what the compiler sees of the world, the same on every machine: the kernel of kernel.h, the
 * built-in probes, the process of processes.h.
 */
#ifndef WORLD_H
#define WORLD_H

#include "codegen/object.h"
#include "lang/lang.h"

#define WORLD_MAX_ARGS 16

struct world {
	struct dt_types types;
	struct dt_error err;
	struct dt_probes probes;
	struct dt_user user;
	struct dt_symtab syms;
	struct dt_env env;
	struct dt_genopts opts;
	char *argv[WORLD_MAX_ARGS + 1];
	char *args_line;
};

int world_init(struct world *w); /* 0, or -1 */
void world_fini(struct world *w);
/* A program's names and arguments: a first line "// args: one two" in text gives $1 and $2. */
void world_begin(struct world *w, const char *text);
void world_end(struct world *w);
/* Options of the generator, after the program was compiled: it may have set some. */
const struct dt_genopts *world_genopts(struct world *w);

#endif
