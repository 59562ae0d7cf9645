/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.c - jstack(): which processes are CPython, and their frames among those of the machine.
 *
 * The programs find a process's frames with the help of a map that is filled here: with all Python processes as tracing
 * starts, and with each process as a jstack() of it is first seen.  So the first stack of a process that began later
 * may lack its Python frames.
 *
 * The interpreter runs calls between Python functions without calling itself, so one frame of its main function stands
 * for a stretch of Python frames, up to the one that C called.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "consume/consume.h"
#include "load/live.h"
#include "proc/symbols.h"

#define NTRIED 256
#define NLINES 1024
#define AGAIN_NS 100000000u /* a process that was none may have become one: exec() */
#define CHECK_NS 2000000000u
#define MAX_MAPS ((size_t)1 << 20)

struct dt_pythons {
	int map; /* index in the object's maps */
	struct {
		pid_t pid;
		u64 at;
		bool is;
	} tried[NTRIED];
	/* lines that were asked for: what a code object says does not change */
	struct known_line {
		u64 where;
		pid_t pid;
		u32 first, line;
	} lines[NLINES];
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

void dt_python_learn(dtrace_hdl_t *h, pid_t pid)
{
	struct dt_pythons *p = h->consumer ? h->consumer->pythons : NULL;
	struct dt_py_layout layout;
	u32 i = (u32)pid % NTRIED, key = (u32)pid;
	u64 now;

	if (!p || pid <= 0)
		return;
	now = now_ns();
	if (p->tried[i].pid == pid && now - p->tried[i].at < (p->tried[i].is ? CHECK_NS : AGAIN_NS))
		return;
	p->tried[i].pid = pid;
	p->tried[i].at = now;
	p->tried[i].is = dt_python_layout(h->usyms, pid, &layout) == 0;
	if (p->tried[i].is) /* if it fails, its stacks have no Python frames */
		dt_bpf_map_update(dt_live_map_fd(h->live, (u32)p->map), &key, &layout);
}

/* ---- as tracing starts --------------------------------------------------------------------------------------- */

/* Worth a look?  Programs that embed it map a library. */
static bool may_be_python(pid_t pid)
{
	_cleanup_free_ char *maps = NULL;
	char path[64], exe[4096];
	size_t len;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0) /* a kernel thread, or gone */
		return false;
	exe[n] = '\0';
	if (strstr(exe, "python"))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = dt_read_text(path, MAX_MAPS, &len);
	return maps && strstr(maps, "/libpython");
}

static void scan(dtrace_hdl_t *h)
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		pid_t pid = (pid_t)atoi(e->d_name);

		if (pid > 0 && may_be_python(pid))
			dt_python_learn(h, pid);
	}
	if (dir)
		closedir(dir);
}

int dt_python_start(dtrace_hdl_t *h)
{
	const struct dt_object *o = h->obj;

	for (u32 i = 0; i < o->nmaps; i++) {
		if (o->maps[i].role != DT_MAP_PYTHON)
			continue;
		h->consumer->pythons = calloc(1, sizeof(*h->consumer->pythons));
		if (!h->consumer->pythons)
			return dt_set_errno(h, EDT_NOMEM);
		h->consumer->pythons->map = (int)i;
		scan(h);
	}
	return 0;
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

/* What was stored, looked at bit by bit: it is the traced process's text. */
struct walk {
	const u8 *p;
	u32 left;
	/* the entry */
	u32 line, mark;
	u64 where;
	const char *name, *file;
};

static const char *take_string(const u8 **p, const u8 *end)
{
	const char *s = (const char *)*p;
	size_t n = strnlen(s, (size_t)(end - *p));

	if (*p + n == end)
		return NULL;
	*p += n + 1;
	return s;
}

static bool next(struct walk *w)
{
	const u8 *at = w->p + DT_PY_ENTRY, *end = w->p + w->left;
	u32 used;

	if (w->left < DT_PY_ENTRY)
		return false;
	memcpy(&w->line, w->p, 4);
	memcpy(&w->mark, w->p + 4, 4);
	memcpy(&w->where, w->p + 8, 8);
	if (w->mark != DT_PY_BOTTOM) {
		w->name = take_string(&at, end);
		w->file = w->name ? take_string(&at, end) : NULL;
		if (!w->file)
			return false;
	}
	used = DT_MIN(DT_ROUNDUP((u32)(at - w->p), 8), w->left);
	w->p += used;
	w->left -= used;
	return true;
}

/* The line that the frame is at: as long as the process is there, else the function's first. */
static u32 current_line(dtrace_hdl_t *h, pid_t pid, const struct walk *w)
{
	struct dt_pythons *p = h->consumer ? h->consumer->pythons : NULL;
	struct dt_py_layout layout;
	struct known_line *k;
	u32 key = (u32)pid;

	if (!p || !w->where)
		return w->line;
	k = &p->lines[(w->where ^ w->where >> 20 ^ (u64)pid << 4) % NLINES];
	if (k->pid == pid && k->where == w->where && k->first == w->line)
		return k->line;
	if (dt_bpf_map_lookup(dt_live_map_fd(h->live, (u32)p->map), &key, &layout) < 0)
		return w->line;
	*k = (struct known_line){ .where = w->where, .pid = pid, .first = w->line };
	k->line = dt_python_line_of(pid, &layout, w->where, w->line);
	if (!k->line)
		k->line = w->line;
	return k->line;
}

static u64 frame_text(dtrace_hdl_t *h, pid_t pid, const struct walk *w)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "[ %s (%s:%u) ]", w->name, w->file,
			 current_line(h, pid, w));

	dt_text_clean(text, (size_t)DT_MIN(n, (int)sizeof(text) - 1));
	return dt_usyms_text(h->usyms, text);
}

static bool is_interpreter(dtrace_hdl_t *h, pid_t pid, u64 pc)
{
	static const char name[] = "_PyEval_EvalFrameDefault";
	struct dt_usym s;

	return !dt_opt(h, DT_OPT_NORESOLVE) && dt_usyms_resolve(h->usyms, pid, pc, &s) == 0 &&
	       strncmp(s.name, name, sizeof(name) - 1) == 0;
}

struct merge {
	u64 *out;
	u32 n, max;
};

static void put(struct merge *m, u64 pc)
{
	if (m->n < m->max)
		m->out[m->n++] = pc;
}

/* Python's frames up to the one that C called; all of them when so asked. */
static void put_stretch(dtrace_hdl_t *h, pid_t pid, struct merge *m, struct walk *w, bool all)
{
	while (next(w)) {
		if (w->mark != DT_PY_BOTTOM)
			put(m, frame_text(h, pid, w));
		if (w->mark && !all)
			return;
	}
}

u32 dt_python_merge(dtrace_hdl_t *h, pid_t pid, const struct dt_raw_python *raw, u32 strsize,
		    const u64 *pcs, u32 npcs, u64 *out, u32 max)
{
	struct walk w = { .p = raw->text, .left = DT_MIN(raw->used, strsize) };
	struct merge m = { .out = out, .max = max };

	for (u32 i = 0; i < npcs && pcs[i]; i++) {
		put(&m, pcs[i]);
		if (w.left && is_interpreter(h, pid, pcs[i]))
			put_stretch(h, pid, &m, &w, false);
	}
	put_stretch(h, pid, &m, &w, true);
	return m.n;
}
