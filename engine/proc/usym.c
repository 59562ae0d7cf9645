/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usym.c - names of user addresses: which file is mapped there, and which symbol of it that is.
 *
 * A process's picture is its mappings, taken from /proc/PID/maps while it lives and kept afterwards.  When it
 * changes (exec, dlopen, another process with its number) the new picture goes in front of the old ones, which
 * still answer for addresses recorded before.  A picture is taken again when an address is not in it, or when
 * it has become old; never more often than every MISS_WAIT, nor for more than a twentieth of the time.
 *
 * Addresses that no file explains are looked up in the perf map (/tmp/perf-PID.map of the process's own root,
 * with its number in its own pid namespace), which just-in-time compilers write and append to.  It counts only
 * when it is a regular file owned by the process's user or by root, and not behind a symbolic link.
 */
#include "proc/proc.h"
#include "proc/symbols.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define CHECK_WAIT (5 * MS)  /* between two looks for another program because of misses */
#define MISS_WAIT (100 * MS) /* between two pictures because of misses */
#define FRESH (50 * MS)      /* a picture younger than this is not doubted */
#define OLD (10000 * MS)     /* one older than this is taken again even without a sign of change */
#define MAX_PICTURES 4       /* per process */
#define MAX_PROCS 4096
#define NBUCKETS 1024
#define MAX_MAPS_TEXT ((size_t)32 << 20)
#define MAX_PERF_MAP ((off_t)128 << 20)
#define PERF_CHUNK (256u << 10)
#define MAX_PERF_FDS 64 /* perf maps held open for what they may still get */

/* Changes when the process becomes another one: its start, and what exec lays anew. */
struct identity {
	u64 start, code, stack;
};

struct perfmap {
	int fd; /* -1: none */
	off_t used;
	struct dt_addrtab tab;
};

struct process {
	pid_t pid;
	struct identity id;
	struct dt_picture *now;
	struct perfmap perf;
	u64 looked, checked; /* when: the picture was taken, the identity was read */
	u64 missed;          /* when: an address was last looked for in vain */
	u64 cost;            /* ns that the picture took */
	u64 perf_looked;     /* when: the perf map was looked for, or at */
	u64 used;            /* turn */
	struct process *next;
};

struct dt_usyms {
	struct process *bucket[NBUCKETS];
	struct dt_images *images;
	u32 n, perf_fds;
	u64 turn;
	char readable[4096];  /* the name that was last asked for */
	struct dt_htab texts; /* of dt_usyms_text(): text -> its number */
	char **text;
	u32 ntexts, captexts;
	size_t textbytes;
};

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* ---- processes -------------------------------------------------------------------------------------------- */

static struct process *process_find(struct dt_usyms *u, pid_t pid)
{
	struct process *p = u->bucket[(u32)pid % NBUCKETS];

	while (p && p->pid != pid)
		p = p->next;
	if (p)
		p->used = ++u->turn;
	return p;
}

static void perf_forget(struct dt_usyms *u, struct process *p)
{
	if (p->perf.fd >= 0)
		close(p->perf.fd);
	u->perf_fds -= p->perf.fd >= 0;
	dt_addrtab_fini(&p->perf.tab);
	p->perf = (struct perfmap){ .fd = -1 };
	p->perf_looked = 0;
}

static void process_free(struct dt_usyms *u, struct process *p)
{
	struct dt_picture *older;

	for (struct dt_picture *i = p->now; i; i = older) {
		older = i->older;
		dt_picture_free(u->images, i);
	}
	perf_forget(u, p);
	free(p);
}

static void process_drop(struct dt_usyms *u, struct process *p)
{
	struct process **at = &u->bucket[(u32)p->pid % NBUCKETS];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	u->n--;
	process_free(u, p);
}

static void drop_oldest(struct dt_usyms *u)
{
	struct process *worst = NULL;

	for (u32 i = 0; i < NBUCKETS; i++)
		for (struct process *p = u->bucket[i]; p; p = p->next)
			if (!worst || p->used < worst->used)
				worst = p;
	if (worst)
		process_drop(u, worst);
}

static struct process *process_add(struct dt_usyms *u, pid_t pid)
{
	struct process *p;

	if (u->n >= MAX_PROCS)
		drop_oldest(u);
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->pid = pid;
	p->perf.fd = -1;
	p->used = ++u->turn;
	p->next = u->bucket[(u32)pid % NBUCKETS];
	u->bucket[(u32)pid % NBUCKETS] = p;
	u->n++;
	return p;
}

struct dt_usyms *dt_usyms_new(void)
{
	struct dt_usyms *u = calloc(1, sizeof(*u));

	if (u && !(u->images = dt_images_new())) {
		free(u);
		u = NULL;
	}
	return u;
}

void dt_usyms_free(struct dt_usyms *u)
{
	if (!u)
		return;
	for (u32 i = 0; i < NBUCKETS; i++) {
		while (u->bucket[i])
			process_drop(u, u->bucket[i]);
	}
	dt_images_free(u->images);
	dt_htab_fini(&u->texts);
	for (u32 i = 0; i < u->ntexts; i++)
		free(u->text[i]);
	free(u->text);
	free(u);
}

static void picture_push(struct dt_usyms *u, struct process *proc, struct dt_picture *p, bool same)
{
	struct dt_picture *before = proc->now;
	u32 n = 1;

	proc->now = p;
	if (before && same && dt_picture_same_code(before, p)) {
		p->older = before->older;
		dt_picture_free(u->images, before);
		return;
	}
	p->older = before;
	for (; p; p = p->older, n++) {
		if (n == MAX_PICTURES && p->older) {
			dt_picture_free(u->images, p->older);
			p->older = NULL;
		}
	}
}

/* ---- what /proc says about a process ------------------------------------------------------------------------- */

static char *proc_text(pid_t pid, const char *what, size_t limit, size_t *len)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return dt_read_text(path, limit, len);
}

/* The numbers of /proc/PID/stat behind the name, which ends at the last ')'. */
static int read_identity(pid_t pid, struct identity *id)
{
	size_t len;
	_cleanup_free_ char *text = proc_text(pid, "stat", 4096, &len);
	char *p = text ? strrchr(text, ')') : NULL, *save = NULL;
	u32 field = 3; /* of the first word behind it */

	if (!p)
		return -1;
	memset(id, 0, sizeof(*id));
	for (p = strtok_r(p + 1, " \n", &save); p; p = strtok_r(NULL, " \n", &save), field++) {
		if (field == 22)
			id->start = strtoull(p, NULL, 10);
		else if (field == 26)
			id->code = strtoull(p, NULL, 10);
		else if (field == 28)
			id->stack = strtoull(p, NULL, 10);
	}
	return id->start ? 0 : -1;
}

/* The line of /proc/PID/status that starts with key, behind it; "" none. */
static const char *status_line(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, key, n) == 0)
			return p + n;
	}
	return "";
}

/* The user it runs as, and its number in the innermost pid namespace: the last one of the line. */
static int read_status(pid_t pid, uid_t *uid, pid_t *nspid)
{
	size_t len;
	_cleanup_free_ char *text = proc_text(pid, "status", 16384, &len);
	const char *s;
	char *end;

	if (!text)
		return -1;
	s = status_line(text, "Uid:");
	strtoul(s, &end, 10); /* the real one; the effective one follows */
	*uid = (uid_t)strtoul(end, NULL, 10);
	*nspid = pid;
	s = status_line(text, "NSpid:");
	for (s += strspn(s, " \t"); *s >= '0' && *s <= '9'; s = end + strspn(end, " \t"))
		*nspid = (pid_t)strtol(s, &end, 10);
	return 0;
}

/* ---- the perf map ------------------------------------------------------------------------------------------------ */

/* What was appended since the last time, in whole lines. */
static void perf_read(struct perfmap *m)
{
	_cleanup_free_ char *buf = malloc(PERF_CHUNK);
	ssize_t got;
	size_t used;

	while (buf && m->used < MAX_PERF_MAP && (got = pread(m->fd, buf, PERF_CHUNK, m->used)) > 0) {
		used = dt_perfmap_parse(buf, (size_t)got, &m->tab);
		if (!used)
			return;
		m->used += (off_t)used;
	}
}

static void perf_close(struct dt_usyms *u, struct perfmap *m)
{
	close(m->fd);
	m->fd = -1;
	u->perf_fds--;
}

/* Opened while the process lives, read when it is needed. */
static void perf_open(struct dt_usyms *u, struct process *p)
{
	char path[48];
	struct stat st;
	pid_t nspid;
	uid_t uid;

	if (p->perf.fd >= 0 || p->perf.used || read_status(p->pid, &uid, &nspid) < 0)
		return;
	snprintf(path, sizeof(path), "tmp/perf-%d.map", (int)nspid);
	p->perf.fd = dt_open_in_root(p->pid, path, true);
	if (p->perf.fd < 0)
		return;
	u->perf_fds++;
	if (fstat(p->perf.fd, &st) < 0 || (st.st_uid != uid && st.st_uid != 0)) {
		perf_close(u, &p->perf);
	} else if (u->perf_fds > MAX_PERF_FDS) {
		perf_read(&p->perf);
		perf_close(u, &p->perf);
	}
}

static bool perf_refresh(struct dt_usyms *u, struct process *p, u64 now)
{
	off_t before = p->perf.used;

	if (p->perf_looked && now - p->perf_looked < MISS_WAIT)
		return false;
	p->perf_looked = now;
	perf_open(u, p);
	if (p->perf.fd >= 0)
		perf_read(&p->perf);
	return p->perf.used > before;
}

static const struct dt_addrsym *perf_find(struct dt_usyms *u, struct process *p, u64 addr)
{
	const struct dt_addrsym *s = dt_addrtab_find(&p->perf.tab, addr);

	if (!s && perf_refresh(u, p, now_ns()))
		s = dt_addrtab_find(&p->perf.tab, addr);
	return s;
}

/* ---- learning ------------------------------------------------------------------------------------------------------- */

/* A new picture, when the process still has mappings. */
static int look(struct dt_usyms *u, struct process *p, const struct identity *id, u64 now)
{
	bool same = memcmp(id, &p->id, sizeof(*id)) == 0;
	size_t len;
	_cleanup_free_ char *text = proc_text(p->pid, "maps", MAX_MAPS_TEXT, &len);
	struct dt_picture *new;

	if (!text)
		return -1;
	p->looked = p->checked = now;
	if (p->now && len == 0) /* about to be gone */
		return 0;
	if (!same)
		perf_forget(u, p);
	p->id = *id;
	new = dt_picture_take(u->images, p->pid, same ? p->now : NULL, text, len);
	if (!new)
		return -1;
	picture_push(u, p, new, same);
	perf_open(u, p);
	p->cost = now_ns() - now;
	return 0;
}

static int learn(struct dt_usyms *u, pid_t pid, struct process **out)
{
	struct process *p = *out = process_find(u, pid);
	u64 now = now_ns();
	struct identity id;

	if (p && now - p->checked < FRESH)
		return 0;
	if (p)
		p->checked = now;
	if (read_identity(pid, &id) < 0)
		return p ? 0 : -1;
	if (p && now - p->looked < OLD && memcmp(&id, &p->id, sizeof(id)) == 0)
		return 0;
	if (!p && !(p = process_add(u, pid)))
		return -1;
	*out = p;
	if (look(u, p, &id, now) == 0 || p->now)
		return 0;
	process_drop(u, p);
	return -1;
}

int dt_usyms_learn(struct dt_usyms *u, pid_t pid)
{
	struct process *p;

	return learn(u, pid, &p);
}

int dt_usyms_look(struct dt_usyms *u, pid_t pid)
{
	struct process *p = process_find(u, pid);

	if (p)
		p->looked = p->checked = 0;
	return learn(u, pid, &p);
}

/* ---- resolving ---------------------------------------------------------------------------------------------------------- */

static const struct dt_mapping *find_in(const struct process *p, u64 addr,
					const struct dt_picture **in)
{
	const struct dt_mapping *m = NULL;

	for (*in = p->now; *in; *in = (*in)->older) {
		m = dt_picture_find(*in, addr);
		if (m)
			break;
	}
	return m;
}

/* A miss: something may have been mapped since. */
static bool look_again(struct dt_usyms *u, struct process *p)
{
	u64 now = now_ns();
	struct identity id;

	if (now - p->missed < CHECK_WAIT || read_identity(p->pid, &id) < 0)
		return false;
	p->missed = p->checked = now;
	if (now - p->looked < DT_MAX(MISS_WAIT, 20 * p->cost) && memcmp(&id, &p->id, sizeof(id)) == 0)
		return false;
	return look(u, p, &id, now) == 0;
}

static bool name_by_image(struct dt_usyms *u, const struct dt_mapping *m, u64 addr,
			  struct dt_usym *out)
{
	const struct dt_elf *e = m->image ? dt_image_elf(u->images, m->image) : NULL;
	const struct dt_addrsym *s;
	u64 vaddr;

	if (!e || dt_elf_vaddr(e, addr - m->start + m->off, m->exec, &vaddr) < 0)
		return false;
	s = dt_addrtab_find(&e->syms, vaddr);
	if (!s)
		return false;
	out->name = dt_addrtab_name(&e->syms, s);
	out->offset = vaddr - s->addr;
	return true;
}

static int resolve(struct dt_usyms *u, pid_t pid, u64 addr, struct dt_usym *out)
{
	const struct dt_addrsym *s;
	const struct dt_picture *in;
	const struct dt_mapping *m;
	struct process *p;

	*out = (struct dt_usym){ .object = "", .path = "", .name = "" };
	if (learn(u, pid, &p) < 0)
		return -1;
	m = find_in(p, addr, &in);
	if (!m && look_again(u, p))
		m = find_in(p, addr, &in);
	if (m) {
		out->object = in->text + m->object;
		out->path = in->text + m->path;
		out->known_object = m->object != 0;
		out->offset = addr - m->start + m->off;
		if (name_by_image(u, m, addr, out))
			return 0;
	}
	s = m && !m->exec ? NULL : perf_find(u, p, addr);
	if (s) {
		out->object = "perf";
		out->name = dt_addrtab_name(&p->perf.tab, s);
		out->offset = addr - s->addr;
		out->known_object = true;
	}
	return out->known_object ? 0 : -1;
}

int dt_usyms_resolve(struct dt_usyms *u, pid_t pid, u64 addr, struct dt_usym *out)
{
	int rv = resolve(u, pid, addr, out);

	if (*out->name && dt_demangle(out->name, u->readable, sizeof(u->readable)))
		out->name = u->readable;
	return rv;
}

/* ---- texts in place of addresses ------------------------------------------------------------------------------ */

#define TEXT_BASE (UINT64_C(0x8001) << 48)
#define MAX_TEXTS (1u << 20)
#define MAX_TEXT_BYTES ((size_t)64 << 20)

static bool add_text(struct dt_usyms *u, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy;

	if (u->ntexts == MAX_TEXTS || u->textbytes + len > MAX_TEXT_BYTES)
		return false;
	if (u->ntexts == u->captexts) {
		u32 cap = u->captexts ? u->captexts * 2 : 64;
		void *v = realloc(u->text, cap * sizeof(*u->text));

		if (!v)
			return false;
		u->text = v;
		u->captexts = cap;
	}
	copy = strdup(text);
	if (!copy || dt_htab_put(&u->texts, copy, (void *)(uintptr_t)(u->ntexts + 1)) < 0) {
		free(copy);
		return false;
	}
	u->text[u->ntexts++] = copy;
	u->textbytes += len;
	return true;
}

u64 dt_usyms_text(struct dt_usyms *u, const char *text)
{
	uintptr_t n = (uintptr_t)dt_htab_get(&u->texts, text);

	if (!n && add_text(u, text))
		n = u->ntexts;
	return TEXT_BASE | n;
}

static const char *text_of(const struct dt_usyms *u, u64 addr)
{
	u64 n = addr & ~(UINT64_C(0xffff) << 48);

	return n && n <= u->ntexts ? u->text[n - 1] : "[ ... ]";
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

int dt_uaddr_str(struct dt_usyms *u, pid_t pid, u64 addr, char *buf, size_t size)
{
	unsigned long long a = addr;
	struct dt_usym s;

	if (u && DT_UADDR_IS_TEXT(addr))
		return snprintf(buf, size, "%s", text_of(u, addr));
	if (!u || dt_usyms_resolve(u, pid, addr, &s) < 0)
		return snprintf(buf, size, "0x%llx", a);
	if (!*s.name)
		return snprintf(buf, size, "%s`0x%llx", s.object, a);
	if (!s.offset)
		return snprintf(buf, size, "%s`%s", s.object, s.name);
	return snprintf(buf, size, "%s`%s+0x%llx", s.object, s.name, (unsigned long long)s.offset);
}

/* ---- addresses of symbols --------------------------------------------------------------------------------------- */

static const struct dt_addrsym *find_name(const struct dt_elf *e, const char *name)
{
	for (u32 i = 0; i < e->syms.n; i++)
		if (strcmp(dt_addrtab_name(&e->syms, &e->syms.v[i]), name) == 0)
			return &e->syms.v[i];
	return NULL;
}

int dt_usyms_address(struct dt_usyms *u, pid_t pid, bool (*object)(const char *name),
		     const char *symbol, u64 *addr)
{
	struct process *p;

	if (learn(u, pid, &p) < 0 || !p->now)
		return -1;
	for (u32 i = 0; i < p->now->n; i++) {
		const struct dt_mapping *m = &p->now->v[i];
		const struct dt_addrsym *s;
		const struct dt_elf *e;
		u64 vaddr;

		if (!m->exec || !m->image || !object(p->now->text + m->object))
			continue;
		e = dt_image_elf(u->images, m->image);
		s = e ? find_name(e, symbol) : NULL;
		if (s && dt_elf_vaddr(e, m->off, true, &vaddr) == 0) {
			*addr = m->start - vaddr + s->addr;
			return 0;
		}
	}
	return -1;
}

/* ---- unwinding ---------------------------------------------------------------------------------------------- */

void dt_usyms_unwind_on(struct dt_usyms *u)
{
	dt_images_unwind(u->images);
}

/* Where registers of DWARF's numbering are in struct pt_regs. */
static const u8 pt_regs_index[DT_CFI_NREGS] = { 10, 12, 11, 5, 13, 14, 4, 19, 9,
						8,  7,  6,  3, 2,  1,  0, 16 };

/* One frame up: by the rules of the file that is mapped there. */
static int step(struct dt_usyms *u, struct process *p, const struct dt_cfi_stack *s,
		struct dt_cfi_frame *f, bool innermost)
{
	/* behind a call is perhaps another function */
	u64 pc = f->reg[DT_CFI_PC] - !(innermost || f->interrupted), vaddr;
	const struct dt_picture *in;
	const struct dt_mapping *m = find_in(p, pc, &in);
	const struct dt_elf *e;
	int rv = -1;

	if (!m && look_again(u, p)) /* mapped since */
		m = find_in(p, pc, &in);
	e = m && m->image ? dt_image_elf(u->images, m->image) : NULL;
	if (e && e->cfi && dt_elf_vaddr(e, pc - m->start + m->off, m->exec, &vaddr) == 0)
		rv = dt_cfi_step(e->cfi, vaddr, s, f);
	return rv < 0 ? dt_cfi_step_fp(s, f) : rv;
}

u32 dt_usyms_unwind(struct dt_usyms *u, pid_t pid, const u64 regs[21], u64 base, const void *stack,
		    size_t size, u64 *pcs, u32 max)
{
	struct dt_cfi_stack s = { .data = stack, .base = base, .size = size };
	struct dt_cfi_frame f = { .known = (1u << DT_CFI_NREGS) - 1 };
	struct process *p;
	u32 n = 0;

	if (learn(u, pid, &p) < 0)
		return 0;
	for (u32 i = 0; i < DT_CFI_NREGS; i++)
		f.reg[i] = regs[pt_regs_index[i]];
	while (n < max) {
		u64 sp = f.reg[DT_CFI_RSP];

		pcs[n++] = f.reg[DT_CFI_PC];
		/* the stack shrinks with each step, so there is an end */
		if (step(u, p, &s, &f, n == 1) != 0 || f.reg[DT_CFI_RSP] <= sp)
			break;
	}
	return n;
}
