/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "kernel.h"
#include "processes.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	u32 cflag;
} options[] = {
	{ "argref", DTRACE_C_ARGREF }, { "defaultargs", DTRACE_C_DEFARG },
	{ "empty", DTRACE_C_EMPTY },   { "zdefs", DTRACE_C_ZDEFS },
	{ "cpp", DTRACE_C_CPP },       { "quiet", 0 },
	{ "destructive", 0 },          { "bufsize", 0 },
	{ "nolibs", DTRACE_C_NOLIBS },
};

static int set_option(void *arg, const char *name, const char *value, const char **err)
{
	struct world *w = arg;

	if (strcmp(name, "strsize") == 0) {
		w->env.strsize = value ? (u32)strtoul(value, NULL, 10) % 65537 : 256;
		return 0;
	}
	if (strcmp(name, "amin") == 0) {
		w->env.has_amin = value && dt_attr_parse(value, &w->env.amin);
		return 0;
	}
	for (size_t i = 0; i < DT_NELEM(options); i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		w->env.cflags |= options[i].cflag;
		w->env.destructive |= strcmp(name, "destructive") == 0;
		return 0;
	}
	*err = "invalid option name";
	return -1;
}

static int find_symbol(void *arg, const char *mod, const char *name, u64 *addr)
{
	(void)arg;
	if (*mod && strcmp(mod, "vmlinux") != 0)
		return -1;
	if (strncmp(name, "no_", 3) == 0)
		return -1;
	*addr = 0xffffffff81000000;
	return 0;
}

static void set_args(struct world *w, const char *text)
{
	static const char mark[] = "// args: ";
	char *word, *save = NULL;

	w->env.argv = w->argv;
	w->argv[0] = (char *)"dt-golden";
	w->env.argc = 1;
	if (strncmp(text, mark, sizeof(mark) - 1) != 0)
		return;
	text += sizeof(mark) - 1;
	w->args_line = strndup(text, strcspn(text, "\n"));
	if (!w->args_line)
		return;
	for (word = strtok_r(w->args_line, " ", &save); word && w->env.argc < WORLD_MAX_ARGS;
	     word = strtok_r(NULL, " ", &save))
		w->argv[w->env.argc++] = word;
}

int world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	if (dt_types_init(&w->types, NULL))
		return -1;
	if (dt_probes_init(&w->probes, &w->err))
		return -1;
	w->user = processes_ops(&w->err);
	w->probes.user = &w->user;
	return kernel_init(&w->types, &w->probes);
}

void world_fini(struct world *w)
{
	dt_probes_fini(&w->probes);
	dt_types_fini(&w->types);
}

void world_begin(struct world *w, const char *text)
{
	dt_symtab_init(&w->syms);
	w->err = (struct dt_error){ 0 };
	w->env = (struct dt_env){ .types = &w->types, .probes = &w->probes, .syms = &w->syms };
	w->env.arg = w;
	w->env.ksym = find_symbol;
	w->env.pragma_option = set_option;
	w->env.target = 1234;
	w->env.pid = 100;
	w->env.ppid = 1;
	w->env.pgid = 100;
	w->env.sid = 100;
	w->env.strsize = 256;
	w->env.printsize = 8192;
	set_args(w, text);
}

void world_end(struct world *w)
{
	dt_symtab_fini(&w->syms);
	free(w->args_line);
	w->args_line = NULL;
}

const struct dt_genopts *world_genopts(struct world *w)
{
	w->opts = (struct dt_genopts){
		.strsize = DT_MAX(w->env.strsize, 8u),
		.stackframes = 20,
		.ustackframes = 20,
		.jstackframes = 20,
		.jstackstrsize = 512,
		.maxframes = 127,
		.dynvarsize = 1 << 20,
		.aggsize = 4 << 20,
		.temporal = true,
		.nspec = 4,
		.bufpolicy = DT_BUFPOLICY_SWITCH,
		.cpu = -1,
		.ncpus = 2,
		.has_task_btf = true,
		.has_loop = true,
		.preempt_disable = 1001,
		.preempt_enable = 1002,
		.typed = 1u << DT_AT_TP_BTF | 1u << DT_AT_FENTRY | 1u << DT_AT_FEXIT,
		.cookies = 1u << DT_AT_RAW_TP | 1u << DT_AT_KPROBE | 1u << DT_AT_KRETPROBE
	};
	return &w->opts;
}
