/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user.c - files with code, as the providers of user level ask for them: which ones a process maps, which functions
 * and static probes they hold.
 *
 * A file is known by device and inode, so libc is one file for all processes that map it, in whatever mount
 * namespace.  It is held open by path only, from the first sight of it to the end: attaching goes by that
 * descriptor, so that neither a name that stands for another file elsewhere, nor one that is gone, matters.
 */
#include "proc/proc.h"
#include "proc/symbols.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/probe.h"

#define MAX_MAPS_TEXT ((size_t)32 << 20)

struct file {
	struct dt_ufile pub; /* first */
	char *path, *asked;
	u64 dev, ino;
	/* as maps show it, which is not what stat says on some file systems */
	u32 major, minor;
	u64 mapino;
	struct dt_elf *elf;
	bool read;
	u32 turn; /* of the last walk that met it */
	struct file *next;
};

struct dt_users {
	struct dt_error *err;
	struct file *files, **tail;
	u32 turn;
	void (*before)(void *arg, pid_t pid);
	void *before_arg;
};

struct dt_users *dt_users_new(struct dt_error *err)
{
	struct dt_users *u = calloc(1, sizeof(*u));

	if (u) {
		u->err = err;
		u->tail = &u->files;
	}
	return u;
}

static void file_free(struct file *f)
{
	dt_cleanup_close(&f->pub.fd);
	dt_elf_free(f->elf);
	free(f->path);
	free(f->asked);
	free(f);
}

void dt_users_free(struct dt_users *u)
{
	struct file *next;

	if (!u)
		return;
	for (struct file *f = u->files; f; f = next) {
		next = f->next;
		file_free(f);
	}
	free(u);
}

/* ---- files -------------------------------------------------------------------------------------------------- */

/* Takes fd. */
static struct file *file_new(struct dt_users *u, int fd, const struct stat *st, const char *path)
{
	struct file *f = calloc(1, sizeof(*f));
	const char *slash;

	if (!f || !(f->path = strdup(path))) {
		free(f);
		close(fd);
		return dt_fail_null(u->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	}
	dt_text_clean(f->path, strlen(f->path));
	slash = strrchr(f->path, '/');
	f->pub = (struct dt_ufile){ .name = slash ? slash + 1 : f->path, .path = f->path, .fd = fd };
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	*u->tail = f;
	u->tail = &f->next;
	return f;
}

static struct file *file_of(struct dt_users *u, int fd, const struct stat *st, const char *path)
{
	for (struct file *f = u->files; f; f = f->next)
		if (f->dev == st->st_dev && f->ino == st->st_ino) {
			close(fd);
			return f;
		}
	return file_new(u, fd, st, path);
}

static struct dt_ufile *op_open(void *arg, pid_t pid, const char *path)
{
	struct dt_users *u = arg;
	struct stat st;
	struct file *f;
	int fd = dt_locate_in_root(pid, path, &st);
	char *asked;

	if (fd < 0)
		return dt_fail_null(u->err, EDT_NOENT, "cannot open '%s': %s", path,
				    errno == EINVAL ? "not a regular file" : strerror(errno));
	f = file_of(u, fd, &st, path);
	asked = f ? strdup(path) : NULL;
	if (!asked)
		return NULL;
	free(f->asked);
	f->pub.asked = f->asked = asked;
	return &f->pub;
}

/* ---- what a process maps --------------------------------------------------------------------------------------- */

struct walk {
	struct dt_users *u;
	pid_t pid;
	struct stat exe;
	int (*cb)(struct dt_ufile *f, bool exe, void *x);
	void *x;
};

static struct file *mapped_file(struct walk *w, const struct dt_maprow *row)
{
	struct stat st;
	struct file *f;
	int fd;

	for (f = w->u->files; f; f = f->next)
		if (f->mapino == row->ino && f->major == row->major && f->minor == row->minor)
			return f;
	fd = dt_locate_mapped(w->pid, row, &st);
	if (fd < 0)
		return NULL;
	f = file_of(w->u, fd, &st, row->path);
	if (f) {
		f->mapino = row->ino;
		f->major = row->major;
		f->minor = row->minor;
	}
	return f;
}

static int see_row(const struct dt_maprow *row, void *arg)
{
	struct walk *w = arg;
	struct file *f;

	if (!row->exec || row->path[0] != '/' || !row->ino)
		return 0;
	f = mapped_file(w, row);
	if (!f || f->turn == w->u->turn)
		return 0;
	f->turn = w->u->turn;
	return w->cb(&f->pub, f->dev == w->exe.st_dev && f->ino == w->exe.st_ino, w->x);
}

static int op_objects(void *arg, pid_t pid, int (*cb)(struct dt_ufile *f, bool exe, void *x), void *x)
{
	struct dt_users *u = arg;
	struct walk w = { .u = u, .pid = pid, .cb = cb, .x = x };
	char name[32];
	size_t len;
	_cleanup_free_ char *text = NULL;

	if (u->before)
		u->before(u->before_arg, pid);
	snprintf(name, sizeof(name), "/proc/%d/exe", (int)pid);
	if (stat(name, &w.exe) < 0)
		memset(&w.exe, 0, sizeof(w.exe));
	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	errno = 0;
	text = dt_read_text(name, MAX_MAPS_TEXT, &len);
	if (!text)
		return dt_fail(u->err, EDT_NOENT, "cannot look at process %d: %s", (int)pid,
			       errno == ENOENT || !errno ? "there is no such process" :
							   strerror(errno));
	u->turn++;
	return dt_maps_parse(text, len, see_row, &w);
}

static int op_processes(void *arg, int (*cb)(pid_t pid, void *x), void *x)
{
	struct dt_users *u = arg;
	DIR *d = opendir("/proc");
	struct dirent *e;
	int rv = 0;

	if (!d)
		return dt_fail(u->err, EDT_NOENT, "cannot read /proc: %s", strerror(errno));
	while (!rv && (e = readdir(d))) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (pid > 0 && !*end)
			rv = cb((pid_t)pid, x);
	}
	closedir(d);
	return rv;
}

/* ---- what a file holds -------------------------------------------------------------------------------------------- */

/* NULL: it is no 64-bit ELF file. */
static const struct dt_elf *elf_of(struct dt_ufile *pub)
{
	struct file *f = (struct file *)pub;
	_cleanup_fd_ int fd = -1;

	if (!f->read) {
		f->read = true;
		fd = dt_reopen(f->pub.fd);
		f->elf = fd < 0 ? NULL : dt_elf_open(fd, f->path, false);
	}
	return f->elf && f->elf->is64 ? f->elf : NULL;
}

static bool function_of(const struct dt_elf *e, const struct dt_addrsym *s, struct dt_ufunc *out)
{
	*out = (struct dt_ufunc){ .name = dt_addrtab_name(&e->syms, s),
				  .vaddr = s->addr,
				  .size = s->size,
				  .rank = s->rank };
	return (s->rank & DT_ELF_FUNC) && dt_elf_offset(e, s->addr, true, &out->off) == 0;
}

/* Bytes of a file that is read from its start to its end, more or less. */
struct window {
	int fd;
	u64 off;
	size_t len;
	u8 buf[65536];
};

#define INSN_MAX 16

/* Up to INSN_MAX bytes at off; NULL: there are none. */
static const u8 *look(struct window *w, u64 off, size_t *n)
{
	if (off < w->off || off + INSN_MAX > w->off + w->len) {
		ssize_t got = pread(w->fd, w->buf, sizeof(w->buf), (off_t)off);

		w->off = off;
		w->len = got > 0 ? (size_t)got : 0;
	}
	*n = DT_MIN((size_t)INSN_MAX, w->len - (size_t)(off - w->off));
	return *n ? w->buf + (off - w->off) : NULL;
}

static int each_function(const struct dt_elf *e, struct window *w,
			 int (*cb)(const struct dt_ufunc *fn, void *x), void *x)
{
	struct dt_ufunc fn;
	int rv = 0;

	for (u32 i = 0; i < e->syms.n && !rv; i++) {
		const u8 *code;
		size_t n;

		if (!function_of(e, &e->syms.v[i], &fn))
			continue;
		code = look(w, fn.off, &n);
		fn.unsafe = !code || !dt_insn_probeable(code, n);
		rv = cb(&fn, x);
	}
	return rv;
}

static int op_functions(void *arg, struct dt_ufile *f,
			int (*cb)(const struct dt_ufunc *fn, void *x), void *x)
{
	const struct dt_elf *e = elf_of(f);
	struct window *w = e ? calloc(1, sizeof(*w)) : NULL;
	int rv = 0;

	if (w) {
		w->fd = dt_reopen(f->fd);
		rv = w->fd < 0 ? 0 : each_function(e, w, cb, x);
		dt_cleanup_close(&w->fd);
	}
	free(w);
	return rv;
}

static int op_function_at(void *arg, struct dt_ufile *f, u64 vaddr, struct dt_ufunc *out)
{
	const struct dt_elf *e = elf_of(f);
	const struct dt_addrsym *s = e ? dt_addrtab_find(&e->syms, vaddr) : NULL;

	return s && function_of(e, s, out) ? 0 : -1;
}

static int op_symbol(void *arg, struct dt_ufile *f, const char *name, size_t len, u64 *vaddr)
{
	const struct dt_elf *e = elf_of(f);

	for (u32 i = 0; e && i < e->syms.n; i++) {
		const char *s = dt_addrtab_name(&e->syms, &e->syms.v[i]);

		if (strncmp(s, name, len) == 0 && !s[len]) {
			*vaddr = e->syms.v[i].addr;
			return 0;
		}
	}
	return -1;
}

static size_t op_code(void *arg, struct dt_ufile *f, u64 vaddr, u8 *buf, size_t n)
{
	const struct dt_elf *e = elf_of(f);
	_cleanup_fd_ int fd = e ? dt_reopen(f->fd) : -1;
	ssize_t got;
	u64 off;

	if (fd < 0 || dt_elf_offset(e, vaddr, true, &off) < 0)
		return 0;
	got = pread(fd, buf, n, (off_t)off);
	return got > 0 ? (size_t)got : 0;
}

/* Notes are read again for each question: few are asked for, and most files have none. */
struct noting {
	const struct dt_elf *e;
	int (*cb)(const struct dt_unote *n, void *x);
	void *x;
};

static void clean(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
	dt_text_clean(to, strlen(to));
}

static int see_note(const struct dt_elfnote *note, void *arg)
{
	struct noting *w = arg;
	char prov[DTRACE_PROVNAMELEN], name[DTRACE_NAMELEN];
	struct dt_unote n = { .prov = prov, .name = name };
	struct dt_usdtnote u;

	if (dt_usdt_note(note, &u) < 0)
		return 0;
	clean(prov, sizeof(prov), u.prov);
	clean(name, sizeof(name), u.name);
	n.args = u.args;
	n.vaddr = u.vaddr;
	if (dt_elf_offset(w->e, u.vaddr, true, &n.off) < 0)
		return 0;
	if (u.counter && dt_elf_offset(w->e, u.counter, false, &n.counter) < 0)
		return 0; /* never enabled: the program would not get there */
	return w->cb(&n, w->x);
}

static int op_notes(void *arg, struct dt_ufile *f, int (*cb)(const struct dt_unote *n, void *x),
		    void *x)
{
	struct noting w = { .e = elf_of(f), .cb = cb, .x = x };
	_cleanup_fd_ int fd = w.e ? dt_reopen(f->fd) : -1;
	struct dt_bytes in = { .fd = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	in.size = (u64)st.st_size;
	return dt_elf_notes(&in, see_note, &w);
}

void dt_users_before(struct dt_users *u, void (*fn)(void *arg, pid_t pid), void *arg)
{
	u->before = fn;
	u->before_arg = arg;
}

static int add_row(const struct dt_maprow *row, void *arg)
{
	u64 *sum = arg;

	if (row->exec && row->path[0] == '/' && row->ino)
		*sum += (row->ino + ((u64)row->major << 48) + ((u64)row->minor << 32)) *
			UINT64_C(0x9e3779b97f4a7c15);
	return 0;
}

u64 dt_users_files(struct dt_users *u, pid_t pid)
{
	char name[32];
	size_t len;
	_cleanup_free_ char *text = NULL;
	u64 sum = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	text = dt_read_text(name, MAX_MAPS_TEXT, &len);
	if (text)
		dt_maps_parse(text, len, add_row, &sum);
	return sum;
}

void dt_users_ops(struct dt_users *u, struct dt_user *ops)
{
	*ops = (struct dt_user){ .arg = u,
				 .processes = op_processes,
				 .objects = op_objects,
				 .open = op_open,
				 .functions = op_functions,
				 .notes = op_notes,
				 .function_at = op_function_at,
				 .symbol = op_symbol,
				 .code = op_code };
}
