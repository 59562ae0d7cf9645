/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracefs.c - files of tracefs, wherever it is.
 *
 * Where it is not mounted, an instance without a place in the file system is made: it is seen through its
 * descriptor only, and gone with it.
 */
#include "proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_MAX (256u << 20)

static int open_mounted(const char *file)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char path[256];
	size_t i;
	int fd = -1;

	for (i = 0; i < DT_NELEM(places) && fd < 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], file);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

static int open_detached(const char *file)
{
	_cleanup_fd_ int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	_cleanup_fd_ int root = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return root < 0 ? -1 : openat(root, file, O_RDONLY | O_CLOEXEC);
}

char *dt_tracefs_read(const char *file)
{
	_cleanup_fd_ int fd = open_mounted(file);
	size_t len = 0, cap = 128u << 10;
	char *text, *more;
	ssize_t got;

	if (fd < 0 && errno == ENOENT)
		fd = open_detached(file);
	text = fd < 0 ? NULL : malloc(cap);
	while (text) {
		got = read(fd, text + len, cap - len - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
		if (cap - len > cap / 8)
			continue;
		more = cap < FILE_MAX ? realloc(text, cap *= 2) : NULL;
		if (!more)
			free(text);
		text = more;
	}
	if (text)
		text[len] = '\0';
	return text;
}
