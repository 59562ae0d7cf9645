/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that looks like CPython 3.13 or 3.14 from outside: a runtime state that starts with the table of offsets,
 * thread states, frames and code objects, laid out at offsets of its own choice so that only the table tells them.
 *
 *	fakepython 13|14
 *
 * The chain of frames is inner <- outer <- (C called) <- main.  Says "ready", makes a getppid() for each line on standard
 * input and says "ok".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS 96

__attribute__((used)) uint64_t _PyRuntime[256];
__attribute__((used)) unsigned long Py_Version = 0x030d01f0;

struct offsets {
	uint32_t word, value;
};

/* word of the table, what it says */
static const struct offsets v13[] = {
	{ 5, 1024 }, { 9, 24 },  { 21, 48 },  { 23, 96 },  { 25, 32 }, { 29, 16 },
	{ 30, 40 },  { 33, 65 }, { 35, 88 },  { 37, 8 },   { 39, 52 }, { 68, 12 },
	{ 70, 56 },  { 31, 72 }, { 38, 104 }, { 43, 128 }, { 65, 16 }, { 66, 24 },
};
static const struct offsets v14[] = {
	{ 5, 1024 }, { 9, 24 },  { 24, 48 },  { 26, 96 },  { 28, 32 }, { 32, 16 },
	{ 33, 40 },  { 36, 65 }, { 40, 88 },  { 42, 8 },   { 44, 52 }, { 78, 12 },
	{ 80, 56 },  { 34, 72 }, { 43, 104 }, { 48, 128 }, { 75, 16 }, { 76, 24 },
};

static void put(void *base, uint64_t off, const void *p, size_t n)
{
	memcpy((char *)base + off, p, n);
}

static void put_pointer(void *base, uint64_t off, void *p)
{
	put(base, off, &p, sizeof(p));
}

static void *block(void)
{
	return calloc(1, 256);
}

static void *text(const char *s, int ascii)
{
	uint32_t state = ascii ? 1u << 6 : 0;
	void *o = block();

	put(o, 12, &state, 4);
	put(o, 56, s, strlen(s) + 1);
	return o;
}

/* Lines: the first instruction is at the function's first line, the next three are two lines further. */
static void *lines(void)
{
	static const unsigned char table[] = { 0x80 | 10 << 3, 1, 2, 0x80 | 12 << 3 | 2, 3, 4 };
	uint64_t n = sizeof(table);
	void *o = block();

	put(o, 16, &n, 8);
	put(o, 24, table, n);
	return o;
}

/* A frame in front of `previous`; name NULL: where C called the interpreter. */
static void *frame(const char *name, uint32_t line, void *previous, int ascii, int tag)
{
	char owner = name ? 0 : 3;
	void *f = block(), *code = block();

	put_pointer(f, 16, previous);
	put(f, 65, &owner, 1);
	if (!name)
		return f;
	put_pointer(f, 40, (char *)code + tag);
	put_pointer(code, 8, text(name, ascii));
	put_pointer(code, 88, text("/srv/app.py", 1));
	put(code, 52, &line, 4);
	put_pointer(code, 104, lines());
	put_pointer(f, 72, (char *)code + 128 + 2 * 3);
	return f;
}

int main(int argc, char **argv)
{
	int is14 = argc > 1 && !strcmp(argv[1], "14");
	const struct offsets *o = is14 ? v14 : v13;
	uint64_t tid = (uint64_t)syscall(SYS_gettid), version, other = 1;
	void *interp = block(), *thread = block(), *first = block(), *f;
	char line[64];

	Py_Version = is14 ? 0x030e00f0 : 0x030d01f0;
	version = Py_Version;
	memcpy(_PyRuntime, "xdebugpy", 8);
	_PyRuntime[1] = version;
	for (size_t i = 0; i < sizeof(v13) / sizeof(v13[0]); i++)
		_PyRuntime[o[i].word] = o[i].value;
	put_pointer(_PyRuntime, 1024 + 8, interp);
	put_pointer(interp, 24, first); /* another thread is in front */
	put(first, 32, &other, 8);
	put_pointer(first, 48, thread);
	put(thread, 32, &tid, 8);
	f = frame(NULL, 0, NULL, 1, 0);
	f = frame("main", 1, f, 1, 0);
	f = frame(NULL, 0, f, 1, 0);
	f = frame("Outer.run", 20, f, 1, is14 ? 1 : 0);
	f = frame(is14 ? "inner" : "unreadable", 30, f, is14, 0);
	put_pointer(thread, 96, f);

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		syscall(SYS_getppid);
		puts("ok");
		fflush(stdout);
	}
	return 0;
}
