/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbols.h - what the files of this folder share below proc.h: tables of named addresses, ELF files, the
 * text formats of /proc/PID/maps and /tmp/perf-PID.map, and the cache of files that processes map.
 *
 * Everything here may have been written by the traced process: all readers are bounded in time and memory,
 * and no name leaves with control characters in it.
 */
#ifndef DT_SYMBOLS_H
#define DT_SYMBOLS_H

#include <sys/stat.h>
#include <sys/types.h>
#include "base/base.h"
#include "proc/cfi.h"

/* ---- addrtab.c: a sorted table of named addresses ---------------------------------------------- */

struct dt_addrsym {
	u64 addr;
	u32 size; /* 0: up to the next symbol */
	u32 name; /* offset in names */
	u32 tag;  /* the owner's: the kernel's module */
	u32 rank; /* which of several names of one address is shown: the highest */
};
struct dt_addrtab {
	struct dt_addrsym *v;
	u32 n, cap;
	char *names;
	u32 len, room;
	bool newest; /* where symbols overlap, the one of the highest rank holds, not the nearest */
};
void dt_addrtab_fini(struct dt_addrtab *t);
/* Adds a copy of the name (cut at DT_ADDRTAB_NAME, control characters replaced).  -1: no memory, or a
 * table that has become absurdly large. */
#define DT_ADDRTAB_NAME 4096
int dt_addrtab_add(struct dt_addrtab *t, const struct dt_addrsym *model, const char *name,
		   size_t len);
/* Needed between adding and finding; cheap when what was added came in order. */
void dt_addrtab_sort(struct dt_addrtab *t);
const struct dt_addrsym *dt_addrtab_find(const struct dt_addrtab *t, u64 addr);
u64 dt_addrtab_size(const struct dt_addrtab *t, const struct dt_addrsym *s);
size_t dt_addrtab_bytes(const struct dt_addrtab *t);
static inline const char *dt_addrtab_name(const struct dt_addrtab *t, const struct dt_addrsym *s)
{
	return t->names + s->name;
}
/* Replaces control characters (C0, DEL, and C1 in UTF-8) by '?'. */
void dt_text_clean(char *s, size_t len);

/* ---- demangle.c ------------------------------------------------------------------------------------ */

/* A C++ or Rust name in readable form, without control characters; false: it is none, or too long, or there is no
 * demangler in this build. */
bool dt_demangle(const char *name, char *buf, size_t size);

/* ---- elf.c: symbols and segments of an ELF file ---------------------------------------------------- */

struct dt_bytes { /* where an ELF image is read from */
	int fd;   /* -1: mem */
	const u8 *mem;
	u64 size;
	bool unwind; /* call frame information is wanted too */
};
struct dt_elfseg {
	u64 off, filesz, memsz, vaddr;
	bool exec;
};
struct dt_elf {
	struct dt_elfseg *seg; /* PT_LOAD */
	u32 nsegs;
	struct dt_addrtab syms;
	bool is64;
	bool stripped; /* there was no .symtab */
	u8 build_id[64];
	u32 build_id_len;
	struct dt_cfi *cfi;  /* NULL: not wanted, or there is none */
	char debuglink[256]; /* a file name without '/'; "" none */
	u32 debuglink_crc;
};
/* NULL: not an ELF file we can read, or no memory.  What is damaged behind the headers is left out. */
struct dt_elf *dt_elf_read(const struct dt_bytes *in);
void dt_elf_free(struct dt_elf *e);
/* File offset -> virtual address, by the segment that maps it; -1: none does. */
int dt_elf_vaddr(const struct dt_elf *e, u64 off, bool exec, u64 *vaddr);
/* The other way round. */
int dt_elf_offset(const struct dt_elf *e, u64 vaddr, bool exec, u64 *off);
/* The notes of a file, in sections of notes; a callback's value that is not 0 ends it and is returned. */
struct dt_elfnote {
	u32 type, namesz, descsz;
	const char *name; /* namesz bytes */
	const u8 *desc;   /* descsz bytes */
	u64 base;         /* where the section .stapsdt.base is; 0: there is none */
};
int dt_elf_notes(const struct dt_bytes *in, int (*cb)(const struct dt_elfnote *n, void *arg),
		 void *arg);

/* ---- usdt.c: a note about a static probe ---------------------------------------------------------------- */

struct dt_usdtnote {
	const char *prov, *name, *args; /* in the note */
	u64 vaddr, counter;             /* 0: no counter */
	u64 shift;
};
int dt_usdt_note(const struct dt_elfnote *note,
		 struct dt_usdtnote *out); /* -1: it is about something else */

/* In the rank of symbols: a function, called where its address says. */
#define DT_ELF_FUNC (1u << 16)

/* ---- maps.c: text ------------------------------------------------------------------------------------- */

struct dt_maprow {
	u64 start, end, off, ino;
	u32 major, minor;
	bool exec, deleted;
	const char *path; /* unescaped, without " (deleted)"; "" anonymous, "[heap]" ...; until the next row */
};
/* Calls back for each well-formed line of /proc/PID/maps; the callback's non-zero value ends it and is
 * returned. */
int dt_maps_parse(const char *text, size_t len, int (*cb)(const struct dt_maprow *row, void *arg),
		  void *arg);
/* Adds the lines "START SIZE NAME" of a perf map to t, later ones over earlier ones.  Gives the bytes
 * used: up to the last newline. */
size_t dt_perfmap_parse(const char *text, size_t len, struct dt_addrtab *t);
/* A small text file of /proc (or the first `limit` bytes of it) on the heap, NUL terminated. */
char *dt_read_text(const char *path, size_t limit, size_t *len);

/* ---- image.c: the files that processes map ------------------------------------------------------------ */

struct dt_image;
struct dt_images;
struct dt_images *dt_images_new(void);
/* From now on files are read for unwinding too. */
void dt_images_unwind(struct dt_images *c);
void dt_images_free(struct dt_images *c);
/* The file behind a mapping of a living process, with a reference.  It is opened now and read when first
 * needed, so it stays readable after the process.  NULL: no regular file, gone, not allowed. */
struct dt_image *dt_images_open(struct dt_images *c, pid_t pid, const struct dt_maprow *row);
/* The same for the vDSO, read out of the process. */
struct dt_image *dt_images_vdso(struct dt_images *c, pid_t pid, const struct dt_maprow *row);
void dt_image_ref(struct dt_image *i);
void dt_image_put(struct dt_images *c, struct dt_image *i);
/* Its contents; NULL when it is no ELF file. */
const struct dt_elf *dt_image_elf(struct dt_images *c, struct dt_image *i);
/* A file below the root directory of a process, opened for reading; must be regular.  Symbolic links are
 * followed inside that root, unless nolinks. */
int dt_open_in_root(pid_t pid, const char *path, bool nolinks);
/* The memory of a living process for reading; -1 with errno.  Reads all of n bytes, or gives false. */
int dt_open_memory(pid_t pid);
bool dt_read_memory(int fd, u64 at, void *to, size_t n);
/* The path only (O_PATH) of a regular file, with what it is: one that a living process maps, one below the root
 * directory of a process (0: ours).  -1 with errno. */
int dt_locate_mapped(pid_t pid, const struct dt_maprow *row, struct stat *st);
int dt_locate_in_root(pid_t pid, const char *path, struct stat *st);
/* The same file for reading; -1. */
int dt_reopen(int pathfd);
/* Symbols of an open file, those of its debug file when it is stripped; NULL: not an ELF file. */
struct dt_elf *dt_elf_open(int fd, const char *path, bool unwind);

/* ---- picture.c: what is mapped where in a process -------------------------------------------------- */

struct dt_mapping {
	u64 start, end, off;
	u32 path, object; /* offsets in the picture's text; 0: anonymous */
	u32 major, minor;
	u64 ino;
	bool exec;
	struct dt_image *image;
};
struct dt_picture {
	struct dt_mapping *v; /* in the order of addresses */
	u32 n, cap;
	char *text; /* names, clean */
	u32 len, room;
	struct dt_picture *older;
};
/* From the text of maps; files that `before`, a picture of the same program, has are not opened again. */
struct dt_picture *dt_picture_take(struct dt_images *c, pid_t pid, const struct dt_picture *before,
				   const char *text, size_t len);
void dt_picture_free(struct dt_images *c, struct dt_picture *p);
const struct dt_mapping *dt_picture_find(const struct dt_picture *p, u64 addr);
/* The same files with code at the same places?  Heaps and stacks grow all the time. */
bool dt_picture_same_code(const struct dt_picture *a, const struct dt_picture *b);

#endif
