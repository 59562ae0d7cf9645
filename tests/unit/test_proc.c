/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols and processes: this program and its children are what is looked at.  The readers of files that
 * somebody else writes get damaged ones too.
 */
#include "proc/proc.h"
#include "proc/symbols.h"
#include "test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nap(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A child that waits to be killed. */
static pid_t idle_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- tables ------------------------------------------------------------------------------------------ */

static void add(struct dt_addrtab *t, u64 addr, u32 size, u32 rank, const char *name)
{
	struct dt_addrsym s = { .addr = addr, .size = size, .rank = rank };

	CHECK_INT(dt_addrtab_add(t, &s, name, strlen(name)), 0);
}

static const char *named(const struct dt_addrtab *t, u64 addr)
{
	const struct dt_addrsym *s = dt_addrtab_find(t, addr);

	return s ? dt_addrtab_name(t, s) : "-";
}

static void test_addrtab(void)
{
	struct dt_addrtab t = { 0 };

	CHECK_STR(named(&t, 0), "-");
	add(&t, 100, 50, 0, "outer");
	add(&t, 300, 0, 0, "label");
	add(&t, 400, 10, 1, "__alias");
	add(&t, 400, 10, 2, "alias");
	add(&t, 110, 5, 0, "inner");
	add(&t, 1, 1, 0, "one\033[2J\nx\302\233y");
	dt_addrtab_sort(&t);
	CHECK_STR(named(&t, 0), "-");
	CHECK_STR(named(&t, 1), "one?[2J?x??y");
	CHECK_STR(named(&t, 99), "-");
	CHECK_STR(named(&t, 100), "outer");
	CHECK_STR(named(&t, 112), "inner");
	CHECK_STR(named(&t, 149), "outer"); /* behind the inner one */
	CHECK_STR(named(&t, 150), "-");
	CHECK_STR(named(&t, 399), "label");
	CHECK_STR(named(&t, 400), "alias");
	CHECK_STR(named(&t, UINT64_MAX), "-");
	add(&t, 250, 10, 0, "late"); /* appended to a sorted table */
	add(&t, UINT64_MAX, 1, 0, "last");
	dt_addrtab_sort(&t);
	CHECK_STR(named(&t, 255), "late");
	CHECK_STR(named(&t, 112), "inner");
	CHECK_STR(named(&t, UINT64_MAX), "last");
	dt_addrtab_fini(&t);
}

static void test_addrtab_order(void)
{
	struct dt_addrtab t = { 0 };
	u32 x = 1;

	for (int i = 0; i < 5000; i++) {
		char name[16];

		x = x * 1664525 + 1013904223;
		snprintf(name, sizeof(name), "s%u", x >> 8);
		add(&t, x >> 8, 1, 0, name);
		if (i % 1000 == 0)
			dt_addrtab_sort(&t);
	}
	dt_addrtab_sort(&t);
	for (u32 i = 0; i < t.n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", (u32)t.v[i].addr);
		CHECK(i == 0 || t.v[i - 1].addr <= t.v[i].addr);
		CHECK_STR(named(&t, t.v[i].addr), name);
	}
	dt_addrtab_fini(&t);
}

/* ---- text formats --------------------------------------------------------------------------------------- */

struct rows {
	int n;
	char text[4096];
};

static int note_row(const struct dt_maprow *r, void *arg)
{
	struct rows *rows = arg;
	size_t n = strlen(rows->text);

	rows->n++;
	snprintf(rows->text + n, sizeof(rows->text) - n, "%llx+%llx@%llx %x:%x %llu%s%s '%s'\n",
		 (unsigned long long)r->start, (unsigned long long)(r->end - r->start),
		 (unsigned long long)r->off, r->major, r->minor, (unsigned long long)r->ino,
		 r->exec ? " x" : "", r->deleted ? " gone" : "", r->path);
	return 0;
}

static void test_maps(void)
{
	static const char text[] =
		"55efafc93000-55efafc98000 r-xp 00002000 fe:00 260131                     /usr/bin/cat\n"
		"7f01b2bae000-7f01b2bd0000 rw-p 00000000 00:00 0 \n"
		"7f01b2e26000-7f01b2e28000 r-xp 00000000 00:00 0                          [vdso]\n"
		"7f01b2e29000-7f01b2e4f000 r-xp 00001000 fe:00 338944  /tmp/a b\\012c (deleted)\n"
		"7f01b2e50000-7f01b2e51000 r--p 00000000 00:01 7    /memfd: (deleted) (deleted)\n"
		"7f01b2e51000-7f01b2e52000 r--p 00000000 00:01 7    (deleted)\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
		"\n"
		"nonsense\n"
		"100-50 r-xp 0 0:0 0 /backwards\n"
		"100-200 r-xp 0 0:0\n"
		"100-200 r-xp 0 0:0 5x /no\n"
		"11112222333344445-11112222333344446 r-xp 0 0:0 0 /too/long\n"
		"100-200 r-xp 0 0:0 0 /no/newline";
	struct rows rows = { 0 };

	CHECK_INT(dt_maps_parse(text, sizeof(text) - 1, note_row, &rows), 0);
	CHECK_STR(rows.text, "55efafc93000+5000@2000 fe:0 260131 x '/usr/bin/cat'\n"
			     "7f01b2bae000+22000@0 0:0 0 ''\n"
			     "7f01b2e26000+2000@0 0:0 0 x '[vdso]'\n"
			     "7f01b2e29000+26000@1000 fe:0 338944 x gone '/tmp/a b\nc'\n"
			     "7f01b2e50000+1000@0 0:1 7 gone '/memfd: (deleted)'\n"
			     "7f01b2e51000+1000@0 0:1 7 '(deleted)'\n"
			     "ffffffffff600000+1000@0 0:0 0 x '[vsyscall]'\n"
			     "100+100@0 0:0 0 x '/no/newline'\n");
	memset(&rows, 0, sizeof(rows));
	CHECK_INT(dt_maps_parse("", 0, note_row, &rows), 0);
	CHECK_INT(rows.n, 0);
}

static void test_perfmap(void)
{
	static const char text[] = "1000 100 old\n"
				   "0x1080 0x100 py::f:/a b.py\n"
				   "zz 10 bad\n"
				   "2000 0 empty\n"
				   "3000 10\n"
				   "3000 10 \n"
				   "4000 10 ctl\033]0;x\007\n"
				   "fffffffffffffff0 ffffffffffffffff top\n"
				   "5000 10 unfinished";
	struct dt_addrtab t = { 0 };
	size_t used = dt_perfmap_parse(text, sizeof(text) - 1, &t);

	CHECK_INT(used, strstr(text, "5000") - text);
	CHECK_STR(named(&t, 0x1000), "old");
	CHECK_STR(named(&t, 0x107f), "old");
	CHECK_STR(named(&t, 0x1080), "py::f:/a b.py");
	CHECK_STR(named(&t, 0x117f), "py::f:/a b.py");
	CHECK_STR(named(&t, 0x1180), "-");
	CHECK_STR(named(&t, 0x2000), "-");
	CHECK_STR(named(&t, 0x3000), "-");
	CHECK_STR(named(&t, 0x4001), "ctl?]0;x?");
	CHECK_STR(named(&t, UINT64_MAX), "top");
	/* Code that replaces code. */
	dt_perfmap_parse("f00 200 new\n", 12, &t);
	CHECK_STR(named(&t, 0x1000), "new");
	CHECK_STR(named(&t, 0x1090), "new");
	CHECK_STR(named(&t, 0x1100), "py::f:/a b.py");
	dt_addrtab_fini(&t);
}

/* ---- ELF -------------------------------------------------------------------------------------------------- */

/* A small file: header, one PT_LOAD and one PT_NOTE, .symtab and .strtab, .gnu_debuglink, .shstrtab. */
struct little_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Shdr sh[5];
	Elf64_Sym sym[4];
	char str[32];
	char shstr[64];
	struct {
		Elf64_Nhdr nh;
		char name[4], desc[8];
	} note;
	char link[16];
};

#define AT(field) offsetof(struct little_elf, field)

static void make_elf(struct little_elf *e)
{
	memset(e, 0, sizeof(*e));
	e->eh = (Elf64_Ehdr){ .e_type = ET_DYN,
			      .e_machine = EM_X86_64,
			      .e_phoff = AT(ph),
			      .e_shoff = AT(sh),
			      .e_phentsize = sizeof(e->ph[0]),
			      .e_phnum = 2,
			      .e_shentsize = sizeof(e->sh[0]),
			      .e_shnum = 5,
			      .e_shstrndx = 4 };
	memcpy(e->eh.e_ident, ELFMAG "\2\1\1", 7);
	e->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				 .p_flags = PF_R | PF_X,
				 .p_offset = 0x1000,
				 .p_vaddr = 0x401000,
				 .p_filesz = 0x1000,
				 .p_memsz = 0x1000 };
	e->ph[1] =
		(Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = AT(note), .p_filesz = sizeof(e->note) };
	e->sh[1] = (Elf64_Shdr){ .sh_name = 1,
				 .sh_type = SHT_DYNSYM,
				 .sh_offset = AT(sym),
				 .sh_size = sizeof(e->sym),
				 .sh_link = 2,
				 .sh_entsize = sizeof(e->sym[0]) };
	e->sh[2] = (Elf64_Shdr){
		.sh_name = 9, .sh_type = SHT_STRTAB, .sh_offset = AT(str), .sh_size = sizeof(e->str)
	};
	e->sh[3] = (Elf64_Shdr){ .sh_name = 17,
				 .sh_type = SHT_PROGBITS,
				 .sh_offset = AT(link),
				 .sh_size = sizeof(e->link) };
	e->sh[4] = (Elf64_Shdr){ .sh_name = 32,
				 .sh_type = SHT_STRTAB,
				 .sh_offset = AT(shstr),
				 .sh_size = sizeof(e->shstr) };
	e->sym[1] = (Elf64_Sym){ .st_name = 1,
				 .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				 .st_shndx = 1,
				 .st_value = 0x401010,
				 .st_size = 0x10 };
	e->sym[2] = (Elf64_Sym){ .st_name = 7,
				 .st_info = ELF64_ST_INFO(STB_WEAK, STT_FUNC),
				 .st_shndx = 1,
				 .st_value = 0x401010,
				 .st_size = 0x10 };
	e->sym[3] = (Elf64_Sym){ .st_name = 12,
				 .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				 .st_shndx = SHN_UNDEF,
				 .st_value = 0x401040,
				 .st_size = 0x10 };
	memcpy(e->str, "\0_read\0read@V1\0undef", 21);
	memcpy(e->shstr, "\0.dynsym\0.dynstr\0.gnu_debuglink\0.shstrtab", 42);
	e->note.nh = (Elf64_Nhdr){ 4, 8, NT_GNU_BUILD_ID };
	memcpy(e->note.name, "GNU", 4);
	memcpy(e->note.desc, "\1\2\3\4\5\6\7\10", 8);
	memcpy(e->link, "x.debug\0\x78\x56\x34\x12", 12);
}

static struct dt_elf *parse_elf(const void *mem, size_t size)
{
	/* Exactly as much memory as it may read, for the sanitizer to watch. */
	u8 *copy = malloc(size ? size : 1);
	struct dt_bytes in = { .fd = -1, .mem = copy, .size = size };
	struct dt_elf *e;

	memcpy(copy, mem, size);
	e = dt_elf_read(&in);
	free(copy);
	return e;
}

static void test_elf(void)
{
	struct little_elf file;
	struct dt_elf *e;
	u64 vaddr;

	make_elf(&file);
	e = parse_elf(&file, sizeof(file));
	if (!CHECK(e != NULL))
		return;
	CHECK_INT(e->nsegs, 1);
	CHECK_INT(e->syms.n, 2);
	CHECK(e->stripped);
	CHECK_STR(named(&e->syms, 0x401018), "read"); /* not _read, and without its version */
	CHECK_STR(named(&e->syms, 0x401040), "-");
	CHECK_INT(e->build_id_len, 8);
	CHECK_INT(e->build_id[7], 8);
	CHECK_STR(e->debuglink, "x.debug");
	CHECK_INT(e->debuglink_crc, 0x12345678);
	CHECK_INT(dt_elf_vaddr(e, 0x1234, true, &vaddr), 0);
	CHECK_INT(vaddr, 0x401234);
	CHECK_INT(dt_elf_vaddr(e, 0x2000, true, &vaddr), -1);
	CHECK_INT(dt_elf_vaddr(e, UINT64_MAX, true, &vaddr), -1);
	dt_elf_free(e);
}

/* Each field of the tables in turn takes values that no honest file has. */
static void test_hostile_elf(void)
{
	static const u64 evil[] = { 0,
				    1,
				    7,
				    0x7fffffff,
				    0x80000000,
				    0xffffffff,
				    0xfffffffff,
				    INT64_MAX,
				    UINT64_MAX,
				    UINT64_MAX - 63,
				    sizeof(struct little_elf),
				    sizeof(struct little_elf) - 1 };
	struct little_elf file;
	u32 x = 1;

	for (size_t size = 0; size <= sizeof(file); size++) {
		make_elf(&file);
		dt_elf_free(parse_elf(&file, size));
	}
	for (size_t at = 4; at + 8 <= sizeof(file); at += at < AT(ph) ? 1 : 4) {
		for (size_t i = 0; i < DT_NELEM(evil); i++) {
			for (size_t width = 2; width <= 8; width *= 2) {
				make_elf(&file);
				memcpy((u8 *)&file + at, &evil[i], width);
				dt_elf_free(parse_elf(&file, sizeof(file)));
			}
		}
	}
	for (int i = 0; i < 20000; i++) {
		make_elf(&file);
		for (int k = 0; k < 4; k++) {
			x = x * 1664525 + 1013904223;
			((u8 *)&file)[(x >> 8) % sizeof(file)] = (u8)(x >> 24);
		}
		dt_elf_free(parse_elf(&file, sizeof(file)));
	}
	/* Everything on top of each other. */
	make_elf(&file);
	for (int i = 1; i < 5; i++) {
		file.sh[i].sh_offset = 0;
		file.sh[i].sh_size = sizeof(file);
	}
	file.ph[1].p_offset = 0;
	file.ph[1].p_filesz = sizeof(file);
	dt_elf_free(parse_elf(&file, sizeof(file)));
}

/* What a header claims must not be allocated: a sparse file of 1 TB with tables all over it. */
static void test_sparse_elf(void)
{
	char name[] = "/tmp/test-proc-XXXXXX";
	int fd = mkstemp(name);
	struct dt_bytes in = { .fd = fd, .size = (u64)1 << 40 };
	struct little_elf file;
	struct dt_elf *e;

	unlink(name);
	make_elf(&file);
	file.eh.e_shnum = 0; /* then the first section has the number */
	file.sh[0].sh_size = UINT32_MAX;
	file.sh[1].sh_size = (u64)1 << 39;
	file.sh[2].sh_size = (u64)1 << 39;
	file.ph[1].p_filesz = (u64)1 << 39;
	if (ftruncate(fd, (off_t)in.size) < 0) { /* the file system may not have it */
		in.size = (u64)1 << 30;
		CHECK_INT(ftruncate(fd, (off_t)in.size), 0);
	}
	CHECK_INT(pwrite(fd, &file, sizeof(file), 0), sizeof(file));
	e = dt_elf_read(&in);
	CHECK(e != NULL);
	dt_elf_free(e);
	/* A file that is shorter than it was when we looked. */
	CHECK_INT(ftruncate(fd, 100), 0);
	dt_elf_free(dt_elf_read(&in));
	close(fd);
}

/* ---- the kernel ------------------------------------------------------------------------------------------------ */

static u64 kallsyms_addr(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], sym[256], type;
	unsigned long long addr = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %c %255s", &addr, &type, sym) == 3 && !strcmp(sym, name))
			break;
	if (f)
		fclose(f);
	return addr;
}

static void test_ksyms(void)
{
	struct dt_error err = { 0 };
	struct dt_ksyms *k = dt_ksyms_new(&err);
	struct dt_ksym s, same;
	char text[256], want[256];

	CHECK_INT(dt_ksyms_by_addr(k, 0x10, &s), -1);
	CHECK_INT(dt_ksyms_by_name(k, NULL, "no_such_symbol_anywhere", &s), -1);
	CHECK_INT(dt_kaddr_str(k, 0x10, text, sizeof(text)), 4);
	CHECK_STR(text, "0x10");
	if (dt_ksyms_hidden(k)) {
		printf("kernel symbols: not checked, the kernel hides their addresses\n");
		dt_ksyms_free(k);
		return;
	}
	if (CHECK_INT(dt_ksyms_by_name(k, "", "vfs_read", &s), 0)) {
		CHECK_STR(s.mod, "vmlinux");
		CHECK_INT(s.addr, kallsyms_addr("vfs_read"));
		CHECK(s.size > 0 && s.size < 65536);
		CHECK_INT(dt_ksyms_by_addr(k, s.addr + s.size - 1, &same), 0);
		CHECK_INT(same.addr, s.addr);
		snprintf(want, sizeof(want), "vmlinux`%s+0x4", same.name);
		CHECK_INT(dt_kaddr_str(k, s.addr + 4, text, sizeof(text)), strlen(want));
		CHECK_STR(text, want);
		CHECK_INT(dt_kaddr_str(k, s.addr + 4, text, 4), strlen(want)); /* cut, full length */
		CHECK_STR(text, "vml");
		CHECK_INT(dt_ksyms_by_name(k, "vmlinux", "vfs_read", &s), 0);
		CHECK_INT(dt_ksyms_by_name(k, "nomodule", "vfs_read", &s), -1);
	}
	dt_ksyms_free(k);
}

/* ---- this program ------------------------------------------------------------------------------------------------- */

static void *frames[32];
static int nframes;

__attribute__((noinline)) static void deepest(void)
{
	nframes = backtrace(frames, 32);
	__asm__ volatile("");
}

__attribute__((noinline)) static void middle(void)
{
	deepest();
	__asm__ volatile("");
}

static const char *own_name(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	return strrchr(path, '/') + 1;
}

static bool in_stack(struct dt_usyms *u, const char *fn)
{
	struct dt_usym s;

	for (int i = 0; i < nframes; i++)
		if (dt_usyms_resolve(u, getpid(), (uintptr_t)frames[i] - 1, &s) == 0 &&
		    strcmp(s.name, fn) == 0)
			return CHECK_STR(s.object, own_name());
	return false;
}

#ifdef HAVE_LIBIBERTY
static void test_demangle(void)
{
	static const struct {
		const char *name, *want; /* NULL: as it is */
	} rows[] = {
		{ "_ZN3foo3barEiPKc", "foo::bar(int, char const*)" },
		{ "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad" },
		{ "_RNvC6_123foo3bar", "123foo::bar" },
		{ "main", NULL },
		{ "_Zzz", NULL },
		{ "", NULL },
	};
	char big[3000] = "_Z", text[256];
	size_t i;

	for (i = 0; i < DT_NELEM(rows); i++) {
		bool is = dt_demangle(rows[i].name, text, sizeof(text));

		CHECK_STR(is ? text : NULL, rows[i].want);
	}
	CHECK(!dt_demangle("_ZN3foo3barEiPKc", text, 20)); /* no room */
	memset(big + 2, '1', sizeof(big) - 3);
	CHECK(!dt_demangle(big, text, sizeof(text)));
	/* each S_ doubles what is in front of it */
	strcpy(big, "_Z1fI1aE");
	for (i = 0; i < 30; i++)
		snprintf(big + strlen(big), sizeof(big) - strlen(big), "1bIS%c_S%c_E",
			 (char)('0' + i % 10), (char)('0' + i % 10));
	if (dt_demangle(big, text, sizeof(text)))
		CHECK(strlen(text) < sizeof(text));
}
#else
static void test_demangle(void)
{
}
#endif

static void test_own_stack(struct dt_usyms *u)
{
	middle();
	CHECK(in_stack(u, "deepest"));
	CHECK(in_stack(u, "middle"));
	CHECK(in_stack(u, "main"));
}

static void check_text(struct dt_usyms *u, pid_t pid, const void *addr, u64 off, const char *want)
{
	char text[512];

	CHECK_INT(dt_uaddr_str(u, pid, (uintptr_t)addr + off, text, sizeof(text)), strlen(want));
	CHECK_STR(text, want);
}

/* The basename of the file a library is mapped from, which may be more than its soname. */
static const char *object_of(const void *addr)
{
	static char path[4096];
	Dl_info info;

	if (!dladdr(addr, &info) || !realpath(info.dli_fname, path))
		return "?";
	return strrchr(path, '/') + 1;
}

static void test_libraries(struct dt_usyms *u, pid_t child)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *libz = dlopen("libz.so.1", RTLD_LAZY);
	void *fn = libc ? dlsym(libc, "read") : NULL;
	char want[256];

	if (CHECK(fn != NULL)) {
		check_text(u, getpid(), fn, 0, "libc.so.6`read");
		check_text(u, getpid(), fn, 0x10, "libc.so.6`read+0x10");
		check_text(u, child, fn, 0x10, "libc.so.6`read+0x10");
	}
	fn = libz ? dlsym(libz, "crc32") : NULL;
	if (fn) { /* Debian strips it: there is .dynsym alone */
		snprintf(want, sizeof(want), "%s`crc32+0x1", object_of(fn));
		nap(120); /* the address is new to it, and pictures are not taken too often */
		check_text(u, getpid(), fn, 1, want);
	}
	if (libz)
		dlclose(libz);
	if (libc)
		dlclose(libc);
}

static void test_special(struct dt_usyms *u)
{
	char want[64], *heap = malloc(16);
	struct dt_usym s;
	int local;

	snprintf(want, sizeof(want), "[stack]`0x%llx", (unsigned long long)(uintptr_t)&local);
	if (dt_usyms_resolve(u, getpid(), (uintptr_t)&local, &s) == 0) /* not with a fake stack */
		check_text(u, getpid(), &local, 0, want);
	check_text(u, getpid(), (void *)16, 0, "0x10");
	check_text(u, 0, &local, 0, strchr(want, '`') + 1);
	free(heap);
}

static void test_vdso(struct dt_usyms *u)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
	void *fn = vdso ? dlsym(vdso, "__vdso_clock_gettime") : NULL;
	struct dt_usym s;

	if (!fn)
		return;
	CHECK_INT(dt_usyms_resolve(u, getpid(), (uintptr_t)fn + 1, &s), 0);
	CHECK_STR(s.object, "[vdso]");
	CHECK(strstr(s.name, "clock_gettime") != NULL);
	dlclose(vdso);
}

static void test_exited(struct dt_usyms *u)
{
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *fn = dlsym(libc, "write");
	struct dt_usyms *fresh = dt_usyms_new();
	pid_t pid = idle_child();
	struct dt_usym s;

	CHECK_INT(dt_usyms_learn(fresh, pid), 0);
	end_child(pid);
	CHECK_INT(dt_usyms_learn(fresh, pid), 0);
	check_text(fresh, pid, fn, 2, "libc.so.6`write+0x2");
	nap(120);
	check_text(fresh, pid, fn, 3, "libc.so.6`write+0x3");
	CHECK_INT(dt_usyms_learn(u, pid), -1);
	CHECK_INT(dt_usyms_resolve(u, pid, (uintptr_t)fn, &s), -1);
	CHECK_STR(s.name, "");
	CHECK_STR(s.object, "");
	dt_usyms_free(fresh);
	dlclose(libc);
}

/* A program that is gone from the disk, with a terminal's commands in its name. */
static void test_deleted(struct dt_usyms *u)
{
	char dir[] = "/tmp/test-proc-XXXXXX", path[128], cmd[4400];
	struct dt_error err = { 0 };
	char *argv[] = { path, (char *)"60", NULL };
	struct dt_proc *p;
	struct dt_usym s;
	u64 pc = 0;
	FILE *f;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/a\nb\033c", dir);
	snprintf(cmd, sizeof(cmd), "cp /bin/sleep \"$(printf '%s/a\\nb\\033c')\"", dir);
	CHECK_INT(system(cmd), 0);
	p = dt_proc_create(&err, path, argv, NULL);
	if (CHECK(p != NULL)) {
		unlink(path);
		snprintf(cmd, sizeof(cmd), "/proc/%d/maps", (int)dt_proc_pid(p));
		f = fopen(cmd, "r");
		CHECK(f && fscanf(f, "%lx", &pc) == 1);
		if (f)
			fclose(f);
		CHECK_INT(dt_usyms_resolve(u, dt_proc_pid(p), pc, &s), 0);
		CHECK_STR(s.object, "a?b?c");
		dt_proc_release(p, true);
	}
	unlink(path);
	rmdir(dir);
}

/* ---- perf maps -------------------------------------------------------------------------------------------------------- */

static void perf_path(pid_t pid, char *path, size_t size)
{
	snprintf(path, size, "/tmp/perf-%d.map", (int)pid);
}

static void write_map(const char *path, const void *code, const char *name, const char *mode)
{
	FILE *f = fopen(path, mode);

	if (CHECK(f != NULL)) {
		fprintf(f, "%lx 10 %s\n", (unsigned long)(uintptr_t)code, name);
		fclose(f);
	}
}

static void test_perf_owner(struct dt_usyms *u, u8 *code)
{
	char path[64], other[64], hex[32];
	pid_t pid = idle_child();

	perf_path(pid, path, sizeof(path));
	perf_path(pid, other, sizeof(other));
	other[5] = 'x';
	snprintf(hex, sizeof(hex), "0x%lx", (unsigned long)(uintptr_t)code);
	write_map(other, code, "evil", "w");
	CHECK_INT(symlink(other, path), 0);
	check_text(u, pid, code, 0, hex); /* not through a link */
	unlink(path);
	CHECK_INT(mkfifo(path, 0600), 0);
	nap(120);
	check_text(u, pid, code, 0, hex); /* and this must not hang */
	unlink(path);
	CHECK_INT(rename(other, path), 0);
	if (geteuid() == 0) {
		CHECK_INT(chown(path, 12345, 12345), 0);
		nap(120);
		check_text(u, pid, code, 0, hex); /* another user's */
		CHECK_INT(chown(path, 0, 0), 0);
	}
	nap(120);
	check_text(u, pid, code, 0, "perf`evil");
	unlink(path);
	end_child(pid);
}

static void test_perf_maps(struct dt_usyms *u)
{
	u8 *code = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid = idle_child();
	char path[64];

	perf_path(pid, path, sizeof(path));
	write_map(path, code, "py::fib:/x.py", "w");
	check_text(u, pid, code, 4, "perf`py::fib:/x.py+0x4");
	write_map(path, code + 0x100, "py::late:/x.py", "a");
	nap(120);
	check_text(u, pid, code + 0x100, 0, "perf`py::late:/x.py");
	end_child(pid);
	write_map(path, code + 0x200, "last words", "a");
	unlink(path);
	nap(120);
	check_text(u, pid, code + 0x100, 1, "perf`py::late:/x.py+0x1");
	check_text(u, pid, code + 0x200, 1, "perf`last words+0x1");
	test_perf_owner(u, code);
	munmap(code, 8192);
}

/* ---- processes ------------------------------------------------------------------------------------------------------------ */

static char *const exit_3[] = { (char *)"sh", (char *)"-c", (char *)"exit 3", NULL };

static int wait_end(struct dt_proc *p)
{
	struct pollfd fd = { .fd = dt_proc_fd(p), .events = POLLIN };
	int status = 0;

	CHECK_INT(poll(&fd, 1, 10000), 1);
	CHECK_INT(dt_proc_poll(p, &status), DT_PROC_EXITED);
	return status;
}

/* The user program counter of a stopped process, which stays stopped; 0: not to be had. */
static u64 stopped_pc(pid_t pid)
{
	struct user_regs_struct regs = { 0 };
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return 0;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	waitpid(pid, &status, 0);
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return regs.rip;
}

static void test_create(struct dt_usyms *u)
{
	struct dt_error err = { 0 };
	struct dt_proc *p = dt_proc_create(&err, "sh", exit_3, NULL);
	char text[256];
	int status = 0;
	u64 pc;

	if (!CHECK(p != NULL)) {
		fprintf(stderr, "%s\n", err.msg);
		return;
	}
	CHECK_INT(dt_proc_poll(p, &status), DT_PROC_STOPPED);
	CHECK_INT(status, -1);
	pc = stopped_pc(dt_proc_pid(p));
	if (pc) {
		dt_uaddr_str(u, dt_proc_pid(p), pc, text, sizeof(text));
		/* Its name is known when debug files are installed. */
		CHECK(strcmp(text, "ld-linux-x86-64.so.2`_start") == 0 ||
		      strncmp(text, "ld-linux-x86-64.so.2`0x", 23) == 0);
	}
	nap(50);
	CHECK_INT(dt_proc_poll(p, &status), DT_PROC_STOPPED);
	CHECK_INT(dt_proc_continue(p), 0);
	status = wait_end(p);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	CHECK_INT(dt_proc_continue(p), 0);
	dt_proc_release(p, true);
}

static void test_create_fails(void)
{
	struct dt_error err = { 0 };
	pid_t pid;

	CHECK(dt_proc_create(&err, "/no/such/program", NULL, NULL) == NULL);
	CHECK_INT(err.code, ENOENT);
	CHECK_STR(err.msg, "cannot run '/no/such/program': No such file or directory");
	CHECK(dt_proc_create(&err, "no-such-program-in-path", exit_3, NULL) == NULL);
	CHECK_INT(err.code, ENOENT);
	CHECK(dt_proc_create(&err, "/etc/passwd", NULL, NULL) == NULL);
	CHECK_INT(err.code, EACCES);
	CHECK_STR(err.msg, "cannot run '/etc/passwd': Permission denied");
	pid = waitpid(-1, NULL, WNOHANG);
	CHECK(pid < 0 && errno == ECHILD); /* nothing is left behind */
}

static void test_release(void)
{
	char *const argv[] = { (char *)"sleep", (char *)"60", NULL };
	char *const quick[] = { (char *)"sh", (char *)"-c", (char *)"kill -INT $$; exit 0", NULL };
	struct dt_error err = { 0 };
	struct dt_proc *p = dt_proc_create(&err, "sleep", argv, NULL);
	int status;
	pid_t pid;

	if (!CHECK(p != NULL))
		return;
	pid = dt_proc_pid(p);
	dt_proc_release(p, true); /* still stopped */
	CHECK(kill(pid, 0) < 0 && errno == ESRCH);

	signal(SIGINT, SIG_IGN); /* not the child's affair */
	p = dt_proc_create(&err, "sh", quick, NULL);
	signal(SIGINT, SIG_DFL);
	if (!CHECK(p != NULL))
		return;
	pid = dt_proc_pid(p);
	CHECK_INT(getpgid(pid), getpgid(0));
	dt_proc_release(p, false); /* goes on without us */
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static void test_grab(void)
{
	struct dt_error err = { 0 };
	pid_t pid = idle_child();
	struct dt_proc *p = dt_proc_grab(&err, pid);
	int status = 0;

	if (CHECK(p != NULL)) {
		CHECK_INT(dt_proc_pid(p), pid);
		CHECK_INT(dt_proc_poll(p, &status), DT_PROC_RUNNING);
		end_child(pid);
		CHECK_INT(wait_end(p), -1);
		dt_proc_release(p, true);
	}
	CHECK(dt_proc_grab(&err, pid) == NULL);
	CHECK_INT(err.code, ESRCH);
	CHECK(dt_proc_grab(&err, -1) == NULL);
	CHECK(err.code != 0);
}

/* ---- lines of Python code ------------------------------------------------------------------------ */

/* What CPython 3.11 made of a function that begins at line 1: its table, and up to which instruction a line goes. */
static const u8 lines_of_f[] = {
	128, 0,  216, 9,   10,  216, 9,   10,  241, 3,   1,   10,  11,  128, 65,  229, 13,  18,
	144, 49, 137, 88,  140, 88,  240, 0,   4,   5,   19,  240, 0,   4,   5,   19,  136, 1,
	216, 8,  9,   224, 16,  17,  240, 5,   3,   14,  19,  240, 0,   2,   14,  10,  240, 0,
	2,   14, 10,  221, 23,  28,  152, 81,  145, 120, 148, 120, 240, 3,   2,   14,  10,  241,
	0,   2,  14,  10,  244, 0,   2,   14,  10,  224, 10,  11,  244, 5,   2,   14,  13,  240,
	0,   2,  14,  13,  224, 23,  25,  151, 119, 146, 119, 216, 13,  16,  136, 69,  241, 3,
	1,   24, 19,  244, 0,   1,   24,  19,  241, 5,   3,   9,   19,  136, 1,   136, 1,   240,
	88,  6,  3,   5,   14,  216, 15,  16,  224, 12,  13,  136, 1,   136, 1,   248, 136, 65,
	136, 1,  136, 5,   136, 5,   136, 5,   136, 5,
};
static const struct {
	u32 end, line;
} lines_expected[] = { { 1, 1 },    { 2, 2 },  { 3, 3 },   { 6, 2 },  { 23, 4 },   { 24, 5 },
		       { 25, 7 },   { 28, 5 }, { 42, 6 },  { 50, 5 }, { 51, 7 },   { 57, 5 },
		       { 69, 7 },   { 71, 8 }, { 78, 7 },  { 82, 5 }, { 83, 209 }, { 84, 210 },
		       { 87, 212 }, { 88, 0 }, { 94, 212 } };

static void test_python_lines(void)
{
	const size_t n = sizeof(lines_of_f);
	const u8 forward[] = { 0x80 | 14 << 3, 0x40 | 40, 62, 0, 0, 0 }; /* 2000 and a bit lines at once */
	const u8 endless[] = { 0x80 | 14 << 3, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f };
	u32 unit = 0;

	for (size_t i = 0; i < DT_NELEM(lines_expected); i++)
		for (; unit < lines_expected[i].end; unit++)
			CHECK_INT(dt_python_line(lines_of_f, n, 1, unit), lines_expected[i].line);
	CHECK_INT(dt_python_line(lines_of_f, n, 1, unit), 0); /* behind the last */
	CHECK_INT(dt_python_line(lines_of_f, 5, 1, unit - 1), 0);
	CHECK_INT(dt_python_line(lines_of_f, 0, 1, 0), 0);
	CHECK_INT(dt_python_line(forward, sizeof(forward), 7, 0), 7 + (40 + (62 << 6)) / 2);
	CHECK_INT(dt_python_line(forward, 2, 7, 0), 7 + 40 / 2);
	CHECK_INT(dt_python_line(endless, sizeof(endless), 7, 0), 0);
	CHECK_INT(dt_python_line(forward + 1, 4, 7, 0), 0); /* no entry starts there */
}

int main(void)
{
	struct dt_usyms *u = dt_usyms_new();
	int fds = open_fds();
	pid_t child;

	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("PATH", "/usr/bin:/bin", 1);
	test_addrtab();
	test_addrtab_order();
	test_maps();
	test_perfmap();
	test_python_lines();
	test_elf();
	test_hostile_elf();
	test_demangle();
	test_sparse_elf();
	test_ksyms();
	test_own_stack(u);
	child = idle_child();
	test_libraries(u, child);
	end_child(child);
	test_special(u);
	test_vdso(u);
	test_exited(u);
	test_deleted(u);
	test_perf_maps(u);
	test_create(u);
	test_create_fails();
	test_release();
	test_grab();
	dt_usyms_free(u);
	CHECK_INT(open_fds(), fds);
	return test_status();
}
