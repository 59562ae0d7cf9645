/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.c - a handle from dtrace_open() to dtrace_close().
 *
 * Opening reads nothing: types, symbols and probes are read when a program first needs them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/handle.h"

#define FLAGS (DTRACE_O_NODEV | DTRACE_O_NOSYS | DTRACE_O_LP64 | DTRACE_O_ILP32)
#define BTF_PATH "/sys/kernel/btf/vmlinux"

/* ---- the compiler's window on this handle -------------------------------------------------------------- */

static int env_ksym(void *arg, const char *mod, const char *name, u64 *addr)
{
	dtrace_hdl_t *h = arg;
	struct dt_ksym k;

	if (dt_ksyms_by_name(h->ksyms, mod, name, &k) < 0)
		return -1;
	*addr = k.addr;
	return 0;
}

/* The number in a file of sysfs. */
static int read_number(const char *path, u32 *n)
{
	FILE *f = fopen(path, "re");
	int ok;

	if (!f)
		return -1;
	ok = fscanf(f, "%u", n) == 1;
	fclose(f);
	return ok ? 0 : -1;
}

#define CPU_DIR "/sys/devices/system/cpu/cpu%u"
#define MAX_NODES 1024

static int env_cpu_place(void *arg, u32 cpu, u32 *chip, u32 *node)
{
	char path[96];

	(void)arg;
	*chip = *node = 0;
	snprintf(path, sizeof(path), CPU_DIR "/topology/physical_package_id", cpu);
	if (read_number(path, chip) < 0)
		return -1;
	for (u32 k = 0; k < MAX_NODES; k++) {
		snprintf(path, sizeof(path), CPU_DIR "/node%u", cpu, k);
		if (access(path, F_OK) == 0) {
			*node = k;
			break;
		}
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", k);
		if (access(path, F_OK) != 0)
			break;
	}
	return 0;
}

static int env_pragma_option(void *arg, const char *name, const char *value, const char **err)
{
	dtrace_hdl_t *h = arg;

	if (dtrace_setopt(h, name, value) == 0)
		return 0;
	*err = dtrace_errmsg(h, dtrace_errno(h));
	return -1;
}

static void env_refresh(void *arg, struct dt_env *env)
{
	dtrace_hdl_t *h = arg;

	env->strsize = dt_opt_u32(h, DT_OPT_STRSIZE, 8, 64 << 10);
	env->printsize = dt_opt_u32(h, DT_OPT_PRINTSIZE, 8, 64 << 10);
	env->cflags = h->cflags | dt_opt_cflags(h);
	env->destructive = dt_opt(h, DT_OPT_DESTRUCTIVE) != 0;
	env->version = h->opts.val[DT_OPT_VERSION] == DTRACEOPT_UNSET ? 0 : dt_version_number(h);
	env->has_amin = dt_opt_text(h, DT_OPT_AMIN) &&
			dt_attr_parse(dt_opt_text(h, DT_OPT_AMIN), &env->amin);
}

static void env_init(dtrace_hdl_t *h)
{
	h->env = (struct dt_env){
		.types = &h->types,
		.probes = &h->probes,
		.syms = &h->syms,
		.ksym = env_ksym,
		.cpu_place = env_cpu_place,
		.arg = h,
		.target = -1,
		.pid = getpid(),
		.ppid = getppid(),
		.pgid = getpgrp(),
		.sid = getsid(0),
		.uid = getuid(),
		.euid = geteuid(),
		.gid = getgid(),
		.egid = getegid(),
		.pragma_option = env_pragma_option,
		.refresh = env_refresh,
	};
	env_refresh(h, &h->env);
}

/* ---- what providers ask ---------------------------------------------------------------------------------------- */

static char *source_tracefs(void *arg, const char *file)
{
	(void)arg;
	return dt_tracefs_read(file);
}

static bool source_traces_functions(void *arg)
{
	dtrace_hdl_t *h = arg;

	/* the first is a look at a file */
	return access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0 ||
	       dt_feature(h, DT_FEAT_KPROBE_MULTI) || dt_feature(h, DT_FEAT_FENTRY);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int init(dtrace_hdl_t *h)
{
	size_t i;

	for (i = 0; i < DT_NOPTS; i++)
		h->opts.val[i] = DTRACEOPT_UNSET;
	dt_arena_init(&h->arena);
	dt_symtab_init(&h->syms);
	h->progs_tail = &h->progs;
	h->target = -1;
	h->owner = getpid();
	h->epoll_fd = h->saved_fd = -1;
	h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->wake_fd < 0)
		return dt_fail(&h->err, errno, "eventfd: %s", dt_errstr(errno));
	h->ksyms = dt_ksyms_new(&h->err);
	h->usyms = dt_usyms_new();
	h->users = dt_users_new(&h->err);
	if (!h->ksyms || !h->usyms || !h->users || dt_types_init(&h->types, BTF_PATH) < 0 ||
	    dt_probes_init(&h->probes, &h->err) < 0)
		return h->err.code ? -1 : dt_set_errno(h, EDT_NOMEM);
	h->probes.types = &h->types;
	h->probes.sources = (struct dt_sources){ .tracefs = source_tracefs,
						 .traces_functions = source_traces_functions,
						 .arg = h };
	dt_users_ops(h->users, &h->userops);
	dt_users_before(h->users, dt_procs_advance, h);
	h->probes.user = &h->userops;
	env_init(h);
	return 0;
}

static void *open_failed(int *errp, int code)
{
	if (errp)
		*errp = code;
	return NULL;
}

dtrace_hdl_t *dtrace_open(int version, int flags, int *errp)
{
	dtrace_hdl_t *h;
	int code;

	if (version != DTRACE_VERSION)
		return open_failed(errp, EDT_VERSION);
	if ((flags & ~FLAGS) || ((flags & DTRACE_O_LP64) && (flags & DTRACE_O_ILP32)))
		return open_failed(errp, EINVAL);
	if (flags & DTRACE_O_ILP32) /* the data model of programs is the kernel's */
		return open_failed(errp, EDT_DATAMODEL);
	h = calloc(1, sizeof(*h));
	if (!h)
		return open_failed(errp, EDT_NOMEM);
	h->flags = flags;
	if (init(h) < 0) {
		code = h->err.code;
		dtrace_close(h);
		return open_failed(errp, code);
	}
	return h;
}

int dtrace_init(dtrace_hdl_t *h)
{
	return 0;
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

static void free_programs(dtrace_hdl_t *h)
{
	struct dtrace_prog *p;

	while ((p = h->progs)) {
		h->progs = p->next;
		dt_stmts_free(p->stmts);
		dt_program_free(p->prog);
		free(p);
	}
	dt_program_free(h->failed);
}

void dtrace_close(dtrace_hdl_t *h)
{
	if (!h)
		return;
	dt_work_fini(h);
	dt_procs_free(h);
	free_programs(h);
	for (u32 i = 0; i < h->fmts.n; i++)
		dt_fmt_free(h->fmts.v[i]);
	dt_modlist_free(h->mods);
	dt_symtab_fini(&h->syms);
	dt_probes_fini(&h->probes);
	dt_types_fini(&h->types);
	dt_usyms_free(h->usyms);
	dt_users_free(h->users);
	dt_late_free(h);
	dt_ksyms_free(h->ksyms);
	dt_cleanup_close(&h->wake_fd);
	dt_cleanup_close(&h->saved_fd);
	if (h->redirect)
		fclose(h->redirect);
	dt_str_fini(&h->buffered);
	dt_str_fini(&h->msg);
	dt_str_fini(&h->diagtext);
	free(h->verifier_log);
	dt_arena_fini(&h->arena);
	free(h);
}

/* Modules may have come and gone: kernel symbols and what there is to probe are read again at the next need. */
int dtrace_update(dtrace_hdl_t *h)
{
	struct dt_ksyms *fresh = dt_ksyms_new(&h->err);

	if (!fresh)
		return -1;
	dt_ksyms_free(h->ksyms);
	h->ksyms = fresh;
	dt_probes_rescan(&h->probes);
	return 0;
}
