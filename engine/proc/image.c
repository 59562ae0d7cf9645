/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.c - the files that processes map: opened while the process lives, read when a symbol is wanted.
 *
 * An image is known by device, inode, size and time of change, so libc is read once for all processes.
 * /proc/PID/map_files gives the mapped file itself, even when its name is gone or stands for something
 * else in that process's root; where that is not allowed, the name is looked up inside that root.  Only
 * regular files are opened (opening a device or a FIFO has effects).  Unread images hold a descriptor; there
 * may be HELD of those, then the oldest is read at once.  Symbols of all images together keep to BUDGET
 * bytes: the least recently used are dropped.
 */
#include "proc/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#define HELD 64
#define UNUSED 256 /* images kept though no process has them any more */
#define BUDGET ((size_t)256 << 20)
#define MAX_VDSO (256u << 10)
#define MAX_CRC ((off_t)256 << 20)
#define DEBUG_DIR "/usr/lib/debug"

struct dt_image {
	u64 dev, ino, size;
	s64 mtime;  /* ns */
	char *path; /* as the process calls it */
	int fd;     /* not read yet; -1: was read */
	struct dt_elf *elf;
	bool dropped; /* was read, and lost its symbols to the budget */
	u32 refs;
	u64 used; /* turn of the last use */
	struct dt_image *next;
};

struct dt_images {
	struct dt_image *list; /* looked through in order: some tens of them */
	u32 n, held, unused;
	size_t bytes;
	u64 turn;
	bool unwind;
};

/* ---- opening ----------------------------------------------------------------------------------------- */

/* The path only, which has no effect on what is there; -1 unless a regular file. */
static int locate(int dir, const char *path, u64 resolve, struct stat *st)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	if (fd >= 0) {
		close(fd);
		errno = EINVAL; /* no regular file */
	}
	return -1;
}

/* The same file for reading. */
int dt_reopen(int pathfd)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", pathfd);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int locate_in_root(pid_t pid, const char *path, u64 resolve, struct stat *st)
{
	_cleanup_fd_ int root = -1;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d/root", (int)pid);
	root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : locate(root, path, resolve | RESOLVE_IN_ROOT, st);
}

int dt_open_in_root(pid_t pid, const char *path, bool nolinks)
{
	struct stat st;
	_cleanup_fd_ int fd = locate_in_root(pid, path, nolinks ? RESOLVE_NO_SYMLINKS : 0, &st);

	return fd < 0 ? -1 : dt_reopen(fd);
}

int dt_locate_in_root(pid_t pid, const char *path, struct stat *st)
{
	return pid ? locate_in_root(pid, path, 0, st) : locate(AT_FDCWD, path, 0, st);
}

int dt_locate_mapped(pid_t pid, const struct dt_maprow *row, struct stat *st)
{
	char name[96];
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/map_files/%llx-%llx", (int)pid,
		 (unsigned long long)row->start, (unsigned long long)row->end);
	fd = locate(AT_FDCWD, name, 0, st);
	/* Under the name of a deleted file there is nothing, or another file. */
	if (fd < 0 && !row->deleted)
		fd = locate_in_root(pid, row->path, 0, st);
	return fd;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static struct dt_elf *read_fd(int fd, bool unwind)
{
	struct dt_bytes in = { .fd = fd, .unwind = unwind };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	in.size = (u64)st.st_size;
	return dt_elf_read(&in);
}

static int open_regular(const char *path)
{
	struct stat st;
	_cleanup_fd_ int fd = locate(AT_FDCWD, path, 0, &st);

	return fd < 0 ? -1 : dt_reopen(fd);
}

static bool same_build(const struct dt_elf *a, const struct dt_elf *b)
{
	return a->build_id_len && a->build_id_len == b->build_id_len &&
	       memcmp(a->build_id, b->build_id, a->build_id_len) == 0;
}

static struct dt_elf *debug_by_id(const struct dt_elf *e)
{
	char path[sizeof(DEBUG_DIR) + sizeof(e->build_id) * 2 + 32];
	_cleanup_fd_ int fd = -1;
	int n;

	if (e->build_id_len < 2)
		return NULL;
	n = snprintf(path, sizeof(path), DEBUG_DIR "/.build-id/%02x/", e->build_id[0]);
	for (u32 i = 1; i < e->build_id_len; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%02x", e->build_id[i]);
	snprintf(path + n, sizeof(path) - (size_t)n, ".debug");
	fd = open_regular(path);
	return fd < 0 ? NULL : read_fd(fd, false);
}

static bool crc_is(int fd, u32 want)
{
	_cleanup_free_ u8 *buf = malloc(65536);
	uLong crc = crc32(0, NULL, 0);
	struct stat st;
	ssize_t n = -1;

	if (!buf || fstat(fd, &st) < 0 || st.st_size > MAX_CRC)
		return false;
	for (off_t at = 0; at < st.st_size; at += n) {
		n = pread(fd, buf, 65536, at);
		if (n <= 0)
			return false;
		crc = crc32(crc, buf, (uInt)n);
	}
	return crc == want;
}

static struct dt_elf *debug_at(const struct dt_elf *e, const char *dir, const char *path,
			       int dirlen, const char *sub)
{
	char name[4608];
	_cleanup_fd_ int fd = -1;
	struct dt_elf *d;
	int n = snprintf(name, sizeof(name), "%s%.*s/%s%s", dir, dirlen, path, sub, e->debuglink);

	if (n < 0 || (size_t)n >= sizeof(name))
		return NULL;
	fd = open_regular(name);
	d = fd < 0 ? NULL : read_fd(fd, false);
	if (!d || same_build(d, e) || (!e->build_id_len && crc_is(fd, e->debuglink_crc)))
		return d;
	dt_elf_free(d);
	return NULL;
}

/* The separate debug file of a stripped one, in this machine's own directories. */
static struct dt_elf *debug_file(const struct dt_elf *e, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct dt_elf *d = debug_by_id(e);

	if (d || !e->debuglink[0] || !slash)
		return d;
	d = debug_at(e, DEBUG_DIR, path, (int)(slash - path), "");
	return d ? d : debug_at(e, "", path, (int)(slash - path), ".debug/");
}

struct dt_elf *dt_elf_open(int fd, const char *path, bool unwind)
{
	struct dt_elf *e = read_fd(fd, unwind), *d;

	if (!e || !e->stripped || !(d = debug_file(e, path)))
		return e;
	/* Same addresses, more names. */
	if (d->syms.n > e->syms.n) {
		struct dt_addrtab t = e->syms;

		e->syms = d->syms;
		d->syms = t;
	}
	dt_elf_free(d);
	return e;
}

/* ---- the cache ------------------------------------------------------------------------------------------- */

struct dt_images *dt_images_new(void)
{
	return calloc(1, sizeof(struct dt_images));
}

void dt_images_unwind(struct dt_images *c)
{
	c->unwind = true;
}

static size_t elf_bytes(const struct dt_elf *e)
{
	return dt_addrtab_bytes(&e->syms) + dt_cfi_bytes(e->cfi);
}

static void drop_elf(struct dt_images *c, struct dt_image *i)
{
	if (i->elf)
		c->bytes -= elf_bytes(i->elf);
	dt_elf_free(i->elf);
	i->elf = NULL;
}

static void image_free(struct dt_images *c, struct dt_image *i)
{
	drop_elf(c, i);
	if (i->fd >= 0) {
		close(i->fd);
		c->held--;
	}
	free(i->path);
	free(i);
	c->n--;
}

void dt_images_free(struct dt_images *c)
{
	struct dt_image *i, *next;

	if (!c)
		return;
	for (i = c->list; i; i = next) {
		next = i->next;
		image_free(c, i);
	}
	free(c);
}

/* Frees the least recently used of those that nobody refers to. */
static void drop_unused(struct dt_images *c)
{
	struct dt_image **worst = NULL, *i;

	for (struct dt_image **p = &c->list; *p; p = &(*p)->next)
		if (!(*p)->refs && (!worst || (*p)->used < (*worst)->used))
			worst = p;
	if (!worst)
		return;
	i = *worst;
	*worst = i->next;
	image_free(c, i);
	c->unused--;
}

static void keep_budget(struct dt_images *c, const struct dt_image *but)
{
	while (c->bytes > BUDGET) {
		struct dt_image *worst = NULL;

		for (struct dt_image *i = c->list; i; i = i->next)
			if (i->elf && i != but && (!worst || i->used < worst->used))
				worst = i;
		if (!worst)
			return;
		drop_elf(c, worst);
		worst->dropped = true;
	}
}

static void load(struct dt_images *c, struct dt_image *i)
{
	if (i->fd < 0)
		return;
	i->elf = dt_elf_open(i->fd, i->path, c->unwind);
	close(i->fd);
	i->fd = -1;
	c->held--;
	if (i->elf)
		c->bytes += elf_bytes(i->elf);
	keep_budget(c, i);
}

static void load_oldest(struct dt_images *c)
{
	struct dt_image *oldest = NULL;

	for (struct dt_image *i = c->list; i; i = i->next)
		if (i->fd >= 0 && (!oldest || i->used < oldest->used))
			oldest = i;
	if (oldest)
		load(c, oldest);
}

const struct dt_elf *dt_image_elf(struct dt_images *c, struct dt_image *i)
{
	i->used = ++c->turn;
	load(c, i);
	return i->elf;
}

void dt_image_ref(struct dt_image *i)
{
	i->refs++;
}

void dt_image_put(struct dt_images *c, struct dt_image *i)
{
	if (!i || --i->refs)
		return;
	if (++c->unused > UNUSED)
		drop_unused(c);
}

/* The image of this identity with a new reference; NULL: not known. */
static struct dt_image *find(struct dt_images *c, const struct dt_image *key)
{
	for (struct dt_image *i = c->list; i; i = i->next) {
		if (i->ino != key->ino || i->dev != key->dev || i->size != key->size ||
		    i->mtime != key->mtime)
			continue;
		if (!i->refs++)
			c->unused--;
		i->used = ++c->turn;
		return i;
	}
	return NULL;
}

static struct dt_image *insert(struct dt_images *c, const struct dt_image *key, const char *path)
{
	struct dt_image *i = malloc(sizeof(*i));

	if (!i)
		return NULL;
	*i = *key;
	i->path = strdup(path);
	if (!i->path) {
		free(i);
		return NULL;
	}
	i->refs = 1;
	i->used = ++c->turn;
	i->next = c->list;
	c->list = i;
	c->n++;
	return i;
}

/* Opens a file for its later reading. */
static void hold(struct dt_images *c, struct dt_image *i, int pathfd)
{
	if (c->held >= HELD)
		load_oldest(c);
	i->dropped = false;
	i->fd = dt_reopen(pathfd);
	c->held += i->fd >= 0;
}

struct dt_image *dt_images_open(struct dt_images *c, pid_t pid, const struct dt_maprow *row)
{
	struct dt_image key = { .fd = -1 }, *i;
	struct stat st;
	_cleanup_fd_ int fd = dt_locate_mapped(pid, row, &st);

	if (fd < 0)
		return NULL;
	key.dev = st.st_dev;
	key.ino = st.st_ino;
	key.size = (u64)st.st_size;
	key.mtime = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
	i = find(c, &key);
	if (!i)
		i = insert(c, &key, row->path);
	else if (!i->dropped)
		return i;
	if (i)
		hold(c, i, fd);
	return i;
}

int dt_open_memory(pid_t pid)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)pid);
	return open(name, O_RDONLY | O_CLOEXEC);
}

bool dt_read_memory(int fd, u64 at, void *to, size_t n)
{
	return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

/* No file: known by its contents, which are the same in all processes of a kind. */
struct dt_image *dt_images_vdso(struct dt_images *c, pid_t pid, const struct dt_maprow *row)
{
	struct dt_image key = { .fd = -1, .dev = UINT64_MAX, .size = row->end - row->start }, *i;
	_cleanup_free_ u8 *mem = key.size <= MAX_VDSO ? malloc(key.size) : NULL;
	struct dt_bytes in = { .fd = -1, .mem = mem, .size = key.size, .unwind = c->unwind };
	_cleanup_fd_ int fd = -1;

	fd = dt_open_memory(pid);
	if (fd < 0 || !mem || !dt_read_memory(fd, row->start, mem, key.size))
		return NULL;
	key.ino = (u64)crc32(0, mem, (uInt)key.size) << 32 | adler32(1, mem, (uInt)key.size);
	i = find(c, &key);
	if (i)
		return i;
	i = insert(c, &key, row->path);
	if (i && (i->elf = dt_elf_read(&in)))
		c->bytes += elf_bytes(i->elf);
	return i;
}
