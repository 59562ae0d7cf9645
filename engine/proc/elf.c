/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.c - symbols, load segments, build id and debug link of an ELF file.
 *
 * A file that a traced process maps is that process's to write, before and while we read it.  So it is never
 * mapped (a truncated mapping would kill us), nothing in it is believed before it is checked against the
 * file's size and a limit of our own, and memory is taken for what is read, not for what a header claims.
 * That is why this is a small reader of its own and not a library made for honest files.
 */
#include "proc/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SECTIONS 65536u
#define MAX_SEGMENTS 256u
#define MAX_STRTAB (128u << 20)
#define MAX_SHSTRTAB (1u << 20)
#define MAX_EH_FRAME (64u << 20)
#define MAX_NOTES (64u << 10)
#define MAX_NOTE_SECTION (16u << 20)
#define MAX_ELF_SYMS (4u << 20)
#define CHUNK_SYMS 4096u

/* Section headers, program headers and symbols of either class, widened. */
struct section {
	u32 name, type, link;
	u64 off, size, entsize, addr;
};
struct segment {
	u32 type, flags;
	u64 off, vaddr, filesz, memsz;
};
struct symbol {
	u32 name;
	u8 info;
	u16 shndx;
	u64 value, size;
};

struct reader {
	const struct dt_bytes *in;
	bool is64;
	u64 shoff, phoff;
	u32 shnum, shentsize, shstrndx, phnum, phentsize;
	struct section *sec;
	struct dt_elf *out;
};

static int bytes_read(const struct dt_bytes *in, u64 off, void *to, size_t n)
{
	if (off > in->size || n > in->size - off)
		return -1;
	if (in->fd < 0) {
		memcpy(to, in->mem + off, n);
		return 0;
	}
	for (u8 *p = to; n > 0;) {
		ssize_t got = pread(in->fd, p, n, (off_t)off);

		if (got <= 0)
			return -1;
		p += got;
		off += (u64)got;
		n -= (size_t)got;
	}
	return 0;
}

/* A piece of the file on the heap, with a NUL behind it; NULL when it is not there or over the limit. */
static char *bytes_dup(const struct dt_bytes *in, u64 off, u64 size, u64 limit)
{
	char *p;

	if (size > limit || off > in->size || size > in->size - off)
		return NULL;
	p = malloc(size + 1);
	if (!p)
		return NULL;
	p[size] = '\0';
	if (bytes_read(in, off, p, size) == 0)
		return p;
	free(p);
	return NULL;
}

/* ---- headers ------------------------------------------------------------------------------------------ */

#define WIDEN_HEADER(r, h) \
	do { \
		(r)->shoff = (h).e_shoff, (r)->shnum = (h).e_shnum; \
		(r)->shentsize = (h).e_shentsize, (r)->shstrndx = (h).e_shstrndx; \
		(r)->phoff = (h).e_phoff, (r)->phnum = (h).e_phnum; \
		(r)->phentsize = (h).e_phentsize; \
	} while (0)

static int read_header(struct reader *r)
{
	union {
		u8 ident[EI_NIDENT];
		Elf32_Ehdr h32;
		Elf64_Ehdr h64;
	} h = { 0 };

	if (bytes_read(r->in, 0, &h, sizeof(h.h32)) < 0 || memcmp(h.ident, ELFMAG, SELFMAG) != 0 ||
	    h.ident[EI_DATA] != ELFDATA2LSB)
		return -1;
	r->is64 = h.ident[EI_CLASS] == ELFCLASS64;
	if (!r->is64) {
		WIDEN_HEADER(r, h.h32);
		return h.ident[EI_CLASS] == ELFCLASS32 ? 0 : -1;
	}
	if (bytes_read(r->in, 0, &h, sizeof(h.h64)) < 0)
		return -1;
	WIDEN_HEADER(r, h.h64);
	return 0;
}

static int read_section(const struct reader *r, u32 n, struct section *s)
{
	u64 off = r->shoff + (u64)n * r->shentsize;
	Elf32_Shdr h32;
	Elf64_Shdr h64;

	if (r->shoff > r->in->size)
		return -1;
	if (r->is64) {
		if (bytes_read(r->in, off, &h64, sizeof(h64)) < 0)
			return -1;
		*s = (struct section){ h64.sh_name, h64.sh_type,    h64.sh_link, h64.sh_offset,
				       h64.sh_size, h64.sh_entsize, h64.sh_addr };
		return 0;
	}
	if (bytes_read(r->in, off, &h32, sizeof(h32)) < 0)
		return -1;
	*s = (struct section){ h32.sh_name, h32.sh_type,    h32.sh_link, h32.sh_offset,
			       h32.sh_size, h32.sh_entsize, h32.sh_addr };
	return 0;
}

static int read_sections(struct reader *r)
{
	struct section first;

	if (!r->shoff || r->shentsize < (r->is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) ||
	    read_section(r, 0, &first) < 0) {
		r->shnum = 0;
		return 0;
	}
	if (!r->shnum)
		r->shnum = (u32)DT_MIN(first.size, (u64)MAX_SECTIONS);
	if (r->shstrndx == SHN_XINDEX)
		r->shstrndx = first.link;
	r->sec = calloc(r->shnum + 1, sizeof(*r->sec));
	if (!r->sec)
		return -1;
	for (u32 i = 0; i < r->shnum; i++) {
		if (read_section(r, i, &r->sec[i]) < 0) {
			r->shnum = i;
			break;
		}
	}
	return 0;
}

static int read_segment(const struct reader *r, u32 n, struct segment *s)
{
	u64 off = r->phoff + (u64)n * r->phentsize;
	Elf32_Phdr h32;
	Elf64_Phdr h64;

	if (r->phoff > r->in->size)
		return -1;
	if (r->is64) {
		if (bytes_read(r->in, off, &h64, sizeof(h64)) < 0)
			return -1;
		*s = (struct segment){ h64.p_type,  h64.p_flags,  h64.p_offset,
				       h64.p_vaddr, h64.p_filesz, h64.p_memsz };
		return 0;
	}
	if (bytes_read(r->in, off, &h32, sizeof(h32)) < 0)
		return -1;
	*s = (struct segment){ h32.p_type,  h32.p_flags,  h32.p_offset,
			       h32.p_vaddr, h32.p_filesz, h32.p_memsz };
	return 0;
}

/* ---- what programs are loaded from ----------------------------------------------------------------------- */

/* A note is three words, then name and contents, each rounded up to 4 bytes. */
static void find_build_id(struct reader *r, u64 off, u64 size)
{
	_cleanup_free_ char *p = bytes_dup(r->in, off, size, MAX_NOTES);
	Elf64_Nhdr n; /* the same in both classes */

	if (!p)
		return;
	for (u64 at = 0; size - at >= sizeof(n);) {
		u64 name = at + sizeof(n), desc;

		memcpy(&n, p + at, sizeof(n));
		desc = name + DT_ROUNDUP((u64)n.n_namesz, 4);
		if (desc > size || n.n_descsz > size - desc)
			return;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 &&
		    memcmp(p + name, "GNU", 4) == 0 && n.n_descsz <= sizeof(r->out->build_id)) {
			memcpy(r->out->build_id, p + desc, n.n_descsz);
			r->out->build_id_len = n.n_descsz;
			return;
		}
		at = desc + DT_ROUNDUP((u64)n.n_descsz, 4);
		if (at > size)
			return;
	}
}

/* The segment that maps an address. */
static const struct dt_elfseg *segment_of(const struct dt_elf *e, u64 vaddr)
{
	for (u32 i = 0; i < e->nsegs; i++)
		if (vaddr >= e->seg[i].vaddr && vaddr - e->seg[i].vaddr < e->seg[i].filesz)
			return &e->seg[i];
	return NULL;
}

/* .eh_frame_hdr starts with where .eh_frame is.  That ends with a length of zero: its segment bounds it. */
static void read_cfi(struct reader *r, const struct segment *hdr)
{
	const struct dt_elfseg *seg;
	u64 vaddr, off, size;
	char *data;
	s32 rel;
	u8 h[8];

	if (bytes_read(r->in, hdr->off, h, sizeof(h)) < 0 || h[0] != 1 || h[1] != 0x1b)
		return; /* all linkers write it relative, as 4 signed bytes */
	memcpy(&rel, h + 4, 4);
	vaddr = hdr->vaddr + 4 + (u64)(s64)rel;
	seg = segment_of(r->out, vaddr);
	if (!seg || seg->off > r->in->size)
		return;
	off = seg->off + (vaddr - seg->vaddr);
	if (off > r->in->size)
		return;
	size = DT_MIN(DT_MIN(seg->filesz - (vaddr - seg->vaddr), r->in->size - off),
		      (u64)MAX_EH_FRAME);
	data = bytes_dup(r->in, off, size, MAX_EH_FRAME);
	if (data)
		r->out->cfi = dt_cfi_new((u8 *)data, size, vaddr);
}

static int read_segments(struct reader *r)
{
	u32 num = DT_MIN(r->phnum, MAX_SEGMENTS);
	struct dt_elf *e = r->out;
	struct segment s, eh = { 0 };

	if (!r->phoff || !num || r->phentsize < (r->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return 0;
	e->seg = calloc(num, sizeof(*e->seg));
	if (!e->seg)
		return -1;
	for (u32 i = 0; i < num && read_segment(r, i, &s) == 0; i++) {
		if (s.type == PT_LOAD)
			e->seg[e->nsegs++] = (struct dt_elfseg){ s.off, s.filesz, s.memsz, s.vaddr,
								 s.flags & PF_X };
		else if (s.type == PT_NOTE && !e->build_id_len)
			find_build_id(r, s.off, s.filesz);
		else if (s.type == PT_GNU_EH_FRAME)
			eh = s;
	}
	if (eh.type && r->in->unwind && r->is64)
		read_cfi(r, &eh);
	return 0;
}

/* Segments share the page of the file where one ends and the next one starts. */
static const struct dt_elfseg *segment_at(const struct dt_elf *e, u64 off, bool exec, bool in_memory)
{
	const struct dt_elfseg *best = NULL;

	for (u32 i = 0; i < e->nsegs; i++) {
		const struct dt_elfseg *s = &e->seg[i];

		if (off >= s->off && off - s->off < (in_memory ? s->memsz : s->filesz) &&
		    (!best || (best->exec != exec && s->exec == exec)))
			best = s;
	}
	return best;
}

int dt_elf_vaddr(const struct dt_elf *e, u64 off, bool exec, u64 *vaddr)
{
	const struct dt_elfseg *s = segment_at(e, off, exec, false);

	if (!s && !exec) /* zeroed data in the last page of the file's */
		s = segment_at(e, off, exec, true);
	if (!s)
		return -1;
	*vaddr = off - s->off + s->vaddr;
	return 0;
}

int dt_elf_offset(const struct dt_elf *e, u64 vaddr, bool exec, u64 *off)
{
	for (u32 i = 0; i < e->nsegs; i++) {
		const struct dt_elfseg *s = &e->seg[i];

		if (s->exec == exec && vaddr >= s->vaddr && vaddr - s->vaddr < s->filesz &&
		    !__builtin_add_overflow(vaddr - s->vaddr, s->off, off))
			return 0;
	}
	return -1;
}

/* ---- symbols ------------------------------------------------------------------------------------------------ */

/* Of several names of one address: one with a size, a function or object before a bare label, few leading
 * underscores, global before weak before local, short. */
static u32 rank_of(const struct symbol *s, const char *name, size_t len)
{
	static const u8 binds[] = { [STB_LOCAL] = 0, [STB_WEAK] = 1, [STB_GLOBAL] = 2 };
	u32 bind = ELF64_ST_BIND(s->info), under = 0;

	while (under < 15 && name[under] == '_')
		under++;
	return (u32)(s->size != 0) << 31 | (u32)(ELF64_ST_TYPE(s->info) != STT_NOTYPE) << 30 |
	       (15 - under) << 24 | (u32)(bind < DT_NELEM(binds) ? binds[bind] : 2) << 20 |
	       (ELF64_ST_TYPE(s->info) == STT_FUNC ? DT_ELF_FUNC : 0) |
	       (DT_ADDRTAB_NAME - (u32)DT_MIN(len, (size_t)DT_ADDRTAB_NAME));
}

/* Names an address? */
static bool wanted(const struct symbol *s)
{
	if (s->shndx == SHN_UNDEF || (s->shndx >= SHN_LORESERVE && s->shndx != SHN_XINDEX))
		return false;
	switch (ELF64_ST_TYPE(s->info)) {
	case STT_FUNC:
	case STT_OBJECT:
	case STT_GNU_IFUNC:
	case STT_NOTYPE: return true;
	default: return false;
	}
}

static int add_symbol(struct reader *r, const struct symbol *s, const char *strs, u64 nstrs)
{
	struct dt_addrsym model = { .addr = s->value };
	const char *name = strs + s->name, *version;
	size_t len;

	if (!wanted(s) || s->name >= nstrs)
		return 0;
	len = strnlen(name, DT_MIN(nstrs - s->name, (u64)DT_ADDRTAB_NAME));
	version = memchr(name, '@', len); /* "environ@GLIBC_2.2.5" */
	if (version)
		len = (size_t)(version - name);
	if (!len || *name == '.' || *name == '$') /* those are marks of tools */
		return 0;
	model.size = (u32)DT_MIN(s->size, (u64)UINT32_MAX);
	model.rank = rank_of(s, name, len);
	return dt_addrtab_add(&r->out->syms, &model, name, len);
}

static struct symbol widen_symbol(const struct reader *r, const u8 *p)
{
	Elf64_Sym y64;
	Elf32_Sym y32;

	if (r->is64) {
		memcpy(&y64, p, sizeof(y64));
		return (struct symbol){ y64.st_name, y64.st_info, y64.st_shndx, y64.st_value,
					y64.st_size };
	}
	memcpy(&y32, p, sizeof(y32));
	return (struct symbol){ y32.st_name, y32.st_info, y32.st_shndx, y32.st_value, y32.st_size };
}

static void read_symtab(struct reader *r, const struct section *sec, u64 count)
{
	size_t each = r->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	const struct section *str = &r->sec[sec->link];
	_cleanup_free_ char *strs = bytes_dup(r->in, str->off, str->size, MAX_STRTAB);
	_cleanup_free_ u8 *buf = malloc(CHUNK_SYMS * each);

	if (!strs || !buf)
		return;
	for (u64 at = 0; at < count;) {
		u64 n = DT_MIN(count - at, (u64)CHUNK_SYMS);

		if (bytes_read(r->in, sec->off + at * each, buf, n * each) < 0)
			return;
		for (u64 i = 0; i < n; i++) {
			struct symbol s = widen_symbol(r, buf + i * each);

			if (add_symbol(r, &s, strs, str->size) < 0)
				return;
		}
		at += n;
	}
}

/* The first section of a type, when its entries can be read; their number. */
static const struct section *symtab_of(const struct reader *r, u32 type, u64 *count)
{
	size_t each = r->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	*count = 0;
	for (u32 i = 0; i < r->shnum; i++) {
		const struct section *s = &r->sec[i];

		if (s->type != type)
			continue;
		if (s->entsize != each || s->link >= r->shnum || s->off > r->in->size)
			return NULL;
		*count = DT_MIN(DT_MIN(s->size, r->in->size - s->off) / each, (u64)MAX_ELF_SYMS);
		return s;
	}
	return NULL;
}

static void read_symbols(struct reader *r)
{
	u64 nsym, ndyn;
	const struct section *sym = symtab_of(r, SHT_SYMTAB, &nsym);
	const struct section *dyn = symtab_of(r, SHT_DYNSYM, &ndyn);

	if (sym)
		read_symtab(r, sym, nsym);
	if (dyn && nsym < ndyn) /* else .symtab has it all */
		read_symtab(r, dyn, ndyn);
	r->out->stripped = !sym;
	dt_addrtab_sort(&r->out->syms);
}

/* .gnu_debuglink: a file name, padding to 4 bytes, its CRC. */
static void read_debuglink(struct reader *r, const struct section *s)
{
	char buf[sizeof(r->out->debuglink) + 8];
	size_t size = (size_t)DT_MIN(s->size, (u64)sizeof(buf)), len;

	if (bytes_read(r->in, s->off, buf, size) < 0)
		return;
	len = strnlen(buf, size);
	if (len == 0 || len >= sizeof(r->out->debuglink) || DT_ROUNDUP(len + 1, 4) + 4 > size ||
	    memchr(buf, '/', len))
		return;
	memcpy(r->out->debuglink, buf, len + 1);
	memcpy(&r->out->debuglink_crc, buf + DT_ROUNDUP(len + 1, 4), 4);
}

static const struct section *section_named(const struct reader *r, const char *want)
{
	_cleanup_free_ char *names = NULL;
	const struct section *str;

	if (r->shstrndx >= r->shnum)
		return NULL;
	str = &r->sec[r->shstrndx];
	names = bytes_dup(r->in, str->off, str->size, MAX_SHSTRTAB);
	for (u32 i = 0; names && i < r->shnum; i++) {
		const struct section *s = &r->sec[i];

		if (s->type == SHT_PROGBITS && s->name < str->size &&
		    strcmp(names + s->name, want) == 0)
			return s;
	}
	return NULL;
}

static void find_debuglink(struct reader *r)
{
	const struct section *s = section_named(r, ".gnu_debuglink");

	if (s)
		read_debuglink(r, s);
}

/* ---- notes -------------------------------------------------------------------------------------------------- */

static int each_note(const struct reader *r, const struct section *s, u64 base,
		     int (*cb)(const struct dt_elfnote *n, void *arg), void *arg)
{
	_cleanup_free_ char *p = bytes_dup(r->in, s->off, s->size, MAX_NOTE_SECTION);
	Elf64_Nhdr n;
	int rv = 0;

	for (u64 at = 0; p && !rv && at <= s->size && s->size - at >= sizeof(n);) {
		u64 name = at + sizeof(n), desc;

		memcpy(&n, p + at, sizeof(n));
		desc = name + DT_ROUNDUP((u64)n.n_namesz, 4);
		if (desc > s->size || n.n_descsz > s->size - desc)
			break;
		rv = cb(&(struct dt_elfnote){ n.n_type, n.n_namesz, n.n_descsz, p + name,
					      (const u8 *)p + desc, base },
			arg);
		at = desc + DT_ROUNDUP((u64)n.n_descsz, 4);
	}
	return rv;
}

int dt_elf_notes(const struct dt_bytes *in, int (*cb)(const struct dt_elfnote *n, void *arg),
		 void *arg)
{
	struct reader r = { .in = in };
	const struct section *base;
	int rv = 0;

	if (read_header(&r) < 0 || !r.is64 || read_sections(&r) < 0) {
		free(r.sec);
		return 0;
	}
	base = section_named(&r, ".stapsdt.base");
	for (u32 i = 0; i < r.shnum && !rv; i++)
		if (r.sec[i].type == SHT_NOTE)
			rv = each_note(&r, &r.sec[i], base ? base->addr : 0, cb, arg);
	free(r.sec);
	return rv;
}

struct dt_elf *dt_elf_read(const struct dt_bytes *in)
{
	struct reader r = { .in = in };

	if (read_header(&r) < 0)
		return NULL;
	r.out = calloc(1, sizeof(*r.out));
	if (!r.out)
		return NULL;
	if (read_sections(&r) < 0 || read_segments(&r) < 0) {
		dt_elf_free(r.out);
		free(r.sec);
		return NULL;
	}
	r.out->is64 = r.is64;
	read_symbols(&r);
	if (r.out->stripped)
		find_debuglink(&r);
	free(r.sec);
	return r.out;
}

void dt_elf_free(struct dt_elf *e)
{
	if (!e)
		return;
	free(e->seg);
	dt_cfi_free(e->cfi);
	dt_addrtab_fini(&e->syms);
	free(e);
}
