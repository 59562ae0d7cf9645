/* SPDX-License-Identifier: Apache-2.0 */
#include "processes.h"

#include <string.h>

struct file {
	struct dt_ufile pub;
	bool exe;
	struct dt_ufunc fn[8];
	struct dt_unote note[8];
};

static struct file files[] = {
	{ .pub = { .name = "server", .path = "/opt/server", .fd = -1 },
	  .exe = true,
	  .fn = { { "main", 0x1000, 0x1000, 0x80, 9, false },
		  { "serve", 0x1100, 0x1100, 0x40, 9, false },
		  { "vector", 0x1200, 0x1200, 0x40, 9, true },
		  { "wait_all", 0x1300, 0x1300, 0x10, 9, false },
		  { "__wait_all", 0x1300, 0x1300, 0x10, 8, false } },
	  .note = { { "server", "request__start", "8@%rdi -4@%esi", 0x1110, 0x1110, 0x4010 },
		    { "server", "request__start", "8@%rbx -4@$7", 0x1120, 0x1120, 0x4010 },
		    { "server", "request__done", "8@%rdi 1@-3(%rbp,%rcx,2)", 0x1130, 0x1130, 0 } } },
	{ .pub = { .name = "libc.so.6", .path = "/lib/libc.so.6", .fd = -1 },
	  .fn = { { "malloc", 0x2000, 0x2000, 0x80, 9, false },
		  { "free", 0x2100, 0x2100, 0x80, 9, false },
		  { "pthread_mutex_lock", 0x2200, 0x2200, 0x80, 9, false },
		  { "pthread_mutex_unlock", 0x2300, 0x2300, 0x10, 9, false },
		  { "pthread_cond_wait", 0x2400, 0x2400, 0x80, 9, false } } },
};

static int processes(void *arg, int (*cb)(pid_t pid, void *x), void *x)
{
	return cb(PROCESS_PID, x);
}

static int objects(void *arg, pid_t pid, int (*cb)(struct dt_ufile *f, bool exe, void *x), void *x)
{
	int rv = 0;

	if (pid != PROCESS_PID)
		return dt_fail(arg, EDT_NOENT,
			       "cannot look at process %d: there is no such process", (int)pid);
	for (size_t i = 0; i < DT_NELEM(files) && !rv; i++)
		rv = cb(&files[i].pub, files[i].exe, x);
	return rv;
}

static struct dt_ufile *open_file(void *arg, pid_t pid, const char *path)
{
	for (size_t i = 0; i < DT_NELEM(files); i++)
		if (strcmp(files[i].pub.path, path) == 0)
			return &files[i].pub;
	return dt_fail_null(arg, EDT_NOENT, "cannot open '%s': No such file or directory", path);
}

static int functions(void *arg, struct dt_ufile *f, int (*cb)(const struct dt_ufunc *fn, void *x),
		     void *x)
{
	const struct file *file = (const struct file *)f;
	int rv = 0;

	for (size_t i = 0; i < DT_NELEM(file->fn) && file->fn[i].name && !rv; i++)
		rv = cb(&file->fn[i], x);
	return rv;
}

static int notes(void *arg, struct dt_ufile *f, int (*cb)(const struct dt_unote *n, void *x), void *x)
{
	const struct file *file = (const struct file *)f;
	int rv = 0;

	for (size_t i = 0; i < DT_NELEM(file->note) && file->note[i].name && !rv; i++)
		rv = cb(&file->note[i], x);
	return rv;
}

static int function_at(void *arg, struct dt_ufile *f, u64 vaddr, struct dt_ufunc *out)
{
	const struct file *file = (const struct file *)f;

	for (size_t i = 0; i < DT_NELEM(file->fn) && file->fn[i].name; i++)
		if (vaddr - file->fn[i].vaddr < file->fn[i].size) {
			*out = file->fn[i];
			return 0;
		}
	return -1;
}

static int symbol(void *arg, struct dt_ufile *f, const char *name, size_t len, u64 *vaddr)
{
	*vaddr = 0x4040;
	return strncmp(name, "counter", len) == 0 ? 0 : -1;
}

/* push %rbp; mov %rsp,%rbp; nop ... */
static size_t code(void *arg, struct dt_ufile *f, u64 vaddr, u8 *buf, size_t n)
{
	memset(buf, 0x90, n);
	if (n >= 4)
		memcpy(buf, "\x55\x48\x89\xe5", 4);
	return n;
}

struct dt_user processes_ops(struct dt_error *err)
{
	return (struct dt_user){ .arg = err,
				 .processes = processes,
				 .objects = objects,
				 .open = open_file,
				 .functions = functions,
				 .notes = notes,
				 .function_at = function_at,
				 .symbol = symbol,
				 .code = code };
}
