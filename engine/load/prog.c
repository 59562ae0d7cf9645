/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog.c - program specifications to loaded programs.
 *
 * The object stays as it was generated: map descriptors and the buffer's bounds are put into a copy of the
 * instructions.  A program is loaded without a log; when the verifier refuses it, it is loaded again with
 * one, and the last instruction that the log speaks of leads, through the program's table of
 * locations, to the line of D that it was made for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load/live.h"

#define LOG_MAX (16u << 20)

/* ---- what the generator left open ---------------------------------------------------------------------- */

static void patch(struct bpf_insn *insns, const struct dt_progspec *p, const struct dt_live *l)
{
	const u64 value[] = {
		[DT_PATCH_RING_MASK] = l->ring_cap - 1,
		[DT_PATCH_RING_CAP] = l->ring_cap,
		[DT_PATCH_RING_FILL] = l->ring_cap - l->obj->end_reserve,
		[DT_PATCH_SPEC_MASK] = l->spec_cap - 1,
		[DT_PATCH_SPEC_CAP] = l->spec_room,
	};
	u32 i;

	for (i = 0; i < p->nrelocs; i++)
		insns[p->relocs[i].insn].imm = l->maps[p->relocs[i].map].fd;
	for (i = 0; i < p->npatches; i++)
		insns[p->patches[i].insn].imm = (s32)value[p->patches[i].kind];
}

/* ---- the verifier's opinion ------------------------------------------------------------------------------ */

/* "12: (61) r0 = ..." tells which instruction was looked at; -1: another kind of line. */
static long log_insn(const char *line)
{
	char *end;
	unsigned long n = strtoul(line, &end, 10);

	return end > line && end[0] == ':' && end[1] == ' ' && end[2] == '(' ? (long)n : -1;
}

/* The last line that is a message: neither an instruction, nor a state, nor the closing statistics. */
static bool log_is_message(const char *line, size_t len)
{
	static const char *const other[] = {
		"processed ",
		"verification time",
		"stack depth",
		"max_states",
		"mark_precise",
		"from ",
		"caller",
		"callee",
		"; ",
		"frame",
		"last_idx",
		"regs=",
		"parent ",
		"propagating",
		"safe",
		"func#",
		"returning from",
	};
	size_t i;

	if (!len || (line[0] >= '0' && line[0] <= '9'))
		return false;
	for (i = 0; i < DT_NELEM(other); i++)
		if (!strncmp(line, other[i], strlen(other[i])))
			return false;
	/* "R2 max value is ..." is a message, "R1=ctx() R2_w=fp-8 ..." a state */
	return line[0] != 'R' || !memchr(line, '=', len);
}

struct refusal {
	long insn;       /* -1: unknown */
	const char *why; /* in the log */
	int len;
};

static struct refusal read_log(const char *log)
{
	struct refusal r = { -1, "", 0 };
	const char *line, *next;

	for (line = log; *line; line = next) {
		long insn = log_insn(line);
		size_t len;

		line += strspn(line, " ");
		len = strcspn(line, "\n");
		next = line + len + (line[len] == '\n');
		if (insn >= 0)
			r.insn = insn;
		else if (log_is_message(line, len)) {
			r.why = line;
			r.len = (int)DT_MIN(len, (size_t)400);
		}
	}
	return r;
}

/* The line of the instruction, or of the nearest one in front that has one: 0 when there is none. */
static int line_of(const struct dt_progspec *p, long insn)
{
	int line = 0, col;

	if (!p->locs || insn >= (long)p->ninsns)
		return 0;
	for (; insn >= 0 && !line; insn--)
		if (p->locs[insn].src)
			dt_loc_pos(&p->locs[insn], &line, &col);
	return line;
}

static const char *attach_str(const struct dt_progspec *p, char *buf, size_t size)
{
	const struct dt_attach *at = p->at;
	static const char *const fixed[] = {
		[DT_AT_BEGIN] = "dtrace:::BEGIN", [DT_AT_END] = "dtrace:::END", [DT_AT_ERROR] = "dtrace:::ERROR"
	};

	if ((size_t)at->kind < DT_NELEM(fixed))
		return fixed[at->kind];
	if (p->ntargets > 1)
		snprintf(buf, size, "%u attach points, %s among them", p->ntargets, at->target);
	else if (at->target)
		snprintf(buf, size, "attach point %s", at->target);
	else
		snprintf(buf, size, "timer of %llu ns", (unsigned long long)at->period_ns);
	return buf;
}

static int fail_refused(dtrace_hdl_t *h, const struct dt_progspec *p, int err)
{
	struct refusal r = read_log(h->verifier_log ? h->verifier_log : "");
	char buf[96], line[32] = "";
	const char *where = attach_str(p, buf, sizeof(buf));
	int n = line_of(p, r.insn);

	if (n)
		snprintf(line, sizeof(line), "line %d: ", n);
	if (!r.len && err == EPERM) {
		errno = err;
		return dt_live_fail(h, "program '%s'", p->name);
	}
	if (r.len)
		return dt_fail(&h->err, EDT_BPF, "%sthe kernel refused the program for %s: %.*s",
			       line, where, r.len, r.why);
	return dt_fail(&h->err, EDT_BPF,
		       "%sthe kernel refused the program for %s (%u instructions): %s", line, where,
		       p->ninsns, dt_errstr(err));
}

/* Newer kernels drop the start of a log that does not fit, older ones its end, where the verdict is. */
static bool log_has_end(const char *log)
{
	return strstr(log, "\nprocessed ") != NULL;
}

/* Load once more to hear why not.  A log that does not fit is asked for with more room; should the kernel
 * change its mind and take the program, its descriptor is given. */
static int load_with_log(dtrace_hdl_t *h, const struct dt_progspec *p, struct dt_bpf_prog *b)
{
	u32 size = (u32)DT_MIN(DT_MAX(dt_opt(h, DT_OPT_BPFLOGSIZE), 4096), (s64)LOG_MAX);
	int fd, err;

	for (;; size *= 2) {
		char *log = realloc(h->verifier_log, size);

		if (!log)
			return dt_fail(&h->err, EDT_NOMEM, "verifier log");
		h->verifier_log = log;
		log[0] = '\0';
		b->log = log;
		b->logsize = size;
		fd = dt_bpf_prog_load(b);
		err = errno;
		log[size - 1] = '\0';
		if (fd >= 0 || err != ENOSPC || size > LOG_MAX / 2 || log_has_end(log))
			break;
	}
	return fd >= 0 ? fd : fail_refused(h, p, err);
}

/* ---- loading ------------------------------------------------------------------------------------------------- */

/* Option bpflog: what the verifier says is shown, whatever its verdict. */
static int load_and_tell(dtrace_hdl_t *h, const struct dt_progspec *p, struct dt_bpf_prog *b)
{
	int fd = load_with_log(h, p, b);

	fprintf(stderr, "BPF verifier log of %s:\n%s\n", p->name,
		h->verifier_log ? h->verifier_log : "");
	return fd;
}

static int load_patched(dtrace_hdl_t *h, const struct dt_progspec *p, struct dt_bpf_prog *b)
{
	int fd;

	if (dt_opt(h, DT_OPT_BPFLOG))
		return load_and_tell(h, p, b);
	fd = dt_bpf_prog_load(b);
	if (fd >= 0)
		return fd;
	/* a program that uses what the process may not use is refused with EPERM or EACCES, but
	 * EACCES is also a plain verdict of the verifier */
	if ((errno == EPERM || errno == EACCES) && *dt_caps_missing())
		return dt_live_fail(h, "program '%s'", p->name);
	return load_with_log(h, p, b);
}

static const char *why_not(dtrace_hdl_t *h, enum dt_feature f)
{
	int err = h->features[f].refusal;

	return err ? dt_errstr(err) : "the kernel gave no reason";
}

/* Functions that fentry was not chosen for need one of the two kinds of kprobes. */
static int check_kprobes(dtrace_hdl_t *h, const struct dt_progspec *p)
{
	if (dt_feature(h, DT_FEAT_KPROBE_MULTI) || dt_feature(h, DT_FEAT_KPROBE))
		return 0;
	if (dt_feature(h, DT_FEAT_FENTRY))
		return dt_fail(
			&h->err, EDT_BPF,
			"function '%s' needs kprobes, which this kernel does not offer: kprobe_multi: %s; kprobes: %s",
			p->at->target, why_not(h, DT_FEAT_KPROBE_MULTI), why_not(h, DT_FEAT_KPROBE));
	return dt_fail(
		&h->err, EDT_BPF,
		"function '%s' needs kprobes or fentry, which this kernel does not offer: fentry: %s; kprobe_multi: %s; kprobes: %s",
		p->at->target, why_not(h, DT_FEAT_FENTRY), why_not(h, DT_FEAT_KPROBE_MULTI),
		why_not(h, DT_FEAT_KPROBE));
}

/* What the program is made for; *fd is to be closed after loading. */
static int set_place(dtrace_hdl_t *h, const struct dt_progspec *p, struct dt_bpf_prog *b, int *fd)
{
	bool kprobe = p->kind == DT_AT_KPROBE || p->kind == DT_AT_KRETPROBE;

	if (kprobe && check_kprobes(h, p) < 0)
		return -1;
	if (kprobe && dt_feature(h, DT_FEAT_KPROBE_MULTI))
		b->attach_type = BPF_TRACE_KPROBE_MULTI;
	if (!p->attach_type)
		return 0;
	b->attach_type = p->attach_type;
	b->attach_btf_id = p->at->btf_id;
	if (!p->at->module)
		return 0;
	*fd = dt_bpf_module_btf(p->at->module);
	if (*fd < 0)
		return dt_live_fail(h, "types of module '%s'", p->at->module);
	b->attach_btf_fd = (u32)*fd;
	return 0;
}

static int load(dtrace_hdl_t *h, struct dt_live *l, const struct dt_progspec *p)
{
	_cleanup_fd_ int module_fd = -1;
	_cleanup_free_ struct bpf_insn *insns = malloc(p->ninsns * sizeof(*insns));
	struct dt_bpf_prog b = {
		.type = p->prog_type,
		.attach_type = p->at->kind == DT_AT_UPROBE ? DT_BPF_UPROBE_MULTI : 0,
		.name = p->name,
		.sleepable = p->sleepable,
		.insns = insns,
		.ninsns = p->ninsns,
	};
	struct dt_funcs f;
	int fd;

	if (!insns)
		return dt_fail(&h->err, EDT_NOMEM, "program '%s'", p->name);
	memcpy(insns, p->insns, p->ninsns * sizeof(*insns));
	patch(insns, p, l);
	if (set_place(h, p, &b, &module_fd) < 0)
		return -1;
	if (dt_funcs_init(&f, insns, p->ninsns) < 0)
		return dt_live_fail(h, "program '%s': types of its functions", p->name);
	b.btf_fd = f.btf_fd;
	b.func_info = f.info;
	b.nfunc_info = f.n;
	fd = load_patched(h, p, &b);
	dt_funcs_fini(&f);
	return fd;
}

int dt_progs_load(dtrace_hdl_t *h, struct dt_live *l)
{
	u32 i;

	for (i = 0; i < l->obj->nprogs; i++) {
		if (l->obj->progs[i].kind == DT_AT_ERROR)
			continue;
		l->progs[i] = load(h, l, &l->obj->progs[i]);
		if (l->progs[i] < 0)
			return -1;
	}
	return 0;
}
