/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.c - static probes for programs written in C (dtrace -h, -G): the header with the macros that their sources
 * use, and the object file with what the macros refer to.
 *
 * Probes are notes in the form of <sys/sdt.h>.  Each has a counter of the consumers that trace it, which its
 * _ENABLED() macro reads; the object file defines the counters.
 */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handle.h"

#define MAX_SDT_ARGS 12 /* DTRACE_PROBE12() is the longest */

/* ---- the header ------------------------------------------------------------------------------------------- */

/* my__probe is MY_PROBE */
static void put_macro_name(struct dt_str *out, const char *name)
{
	for (; *name; name++)
		if (name[0] != '_' || name[1] != '_')
			dt_str_putc(out, (char)toupper((unsigned char)*name));
}

static void put_args(struct dt_str *out, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		dt_str_printf(out, "%sarg%u", i ? ", " : "", i);
}

/* What the probe is called in D, and what it passes, as a comment. */
static void put_comment(struct dt_str *out, const struct dt_provdecl *pv,
			const struct dt_probedecl *p)
{
	const char *s;
	char type[256];
	u32 i;

	dt_str_printf(out, "\n/* %s:::", pv->name);
	for (s = p->name; *s; s++)
		if (s[0] == '_' && s[1] == '_') {
			dt_str_putc(out, '-');
			s++;
		} else {
			dt_str_putc(out, *s);
		}
	dt_str_puts(out, "(");
	for (i = 0; i < p->in.n; i++)
		dt_str_printf(out, "%s%s", i ? ", " : "",
			      dt_type_str(p->in.v[i].type, type, sizeof(type)));
	dt_str_puts(out, ") */\n");
}

static void put_probe(struct dt_str *out, const struct dt_provdecl *pv, const struct dt_probedecl *p)
{
	put_comment(out, pv, p);
	dt_str_printf(out,
		      "__extension__ extern unsigned short %s_%s_semaphore\n"
		      "\t__attribute__((unused, section(\".probes\")));\n#define ",
		      pv->name, p->name);
	put_macro_name(out, pv->name);
	dt_str_putc(out, '_');
	put_macro_name(out, p->name);
	dt_str_putc(out, '(');
	put_args(out, p->in.n);
	dt_str_printf(out, ") \\\n\tDTRACE_PROBE");
	if (p->in.n)
		dt_str_printf(out, "%u", p->in.n);
	dt_str_printf(out, "(%s, %s%s", pv->name, p->name, p->in.n ? ", " : "");
	put_args(out, p->in.n);
	dt_str_puts(out, ")\n#define ");
	put_macro_name(out, pv->name);
	dt_str_putc(out, '_');
	put_macro_name(out, p->name);
	dt_str_printf(out, "_ENABLED() \\\n\t__builtin_expect(%s_%s_semaphore, 0)\n", pv->name,
		      p->name);
}

/* _PROBES_H of "dir/probes.h" */
static void put_guard(struct dt_str *out, const char *fname)
{
	const char *slash = strrchr(fname, '/');

	dt_str_putc(out, '_');
	for (fname = slash ? slash + 1 : fname; *fname; fname++)
		dt_str_putc(out, isalnum((unsigned char)*fname) ?
					 (char)toupper((unsigned char)*fname) :
					 '_');
}

/* Providers in the order of their declarations: the list has the newest first. */
static const struct dt_provdecl *nth_provider(const dtrace_hdl_t *h, u32 n)
{
	const struct dt_provdecl *p;
	u32 count = 0;

	for (p = h->syms.providers; p; p = p->next)
		count++;
	if (n >= count)
		return NULL;
	for (p = h->syms.providers; count - 1 > n; count--)
		p = p->next;
	return p;
}

static int check_probes(dtrace_hdl_t *h)
{
	const struct dt_provdecl *p;
	u32 i;

	for (p = h->syms.providers; p; p = p->next)
		for (i = 0; i < p->probes.n; i++)
			if (p->probes.v[i].in.n > MAX_SDT_ARGS)
				return dt_fail(
					&h->err, EDT_COMPILER,
					"Probe %s of provider %s has more than %d arguments, which static probes cannot pass",
					p->probes.v[i].name, p->name, MAX_SDT_ARGS);
	return 0;
}

int dtrace_program_header(dtrace_hdl_t *h, FILE *out, const char *fname)
{
	const struct dt_provdecl *pv;
	struct dt_str s = { 0 };
	int err = 0;
	u32 i, k;

	if (!out || !fname)
		return dt_set_errno(h, EINVAL);
	if (check_probes(h) < 0)
		return -1;
	dt_str_puts(&s, "/* Static probes: made by dtrace -h. */\n\n#ifndef ");
	put_guard(&s, fname);
	dt_str_puts(&s, "\n#define ");
	put_guard(&s, fname);
	dt_str_puts(&s, "\n\n#define _SDT_HAS_SEMAPHORES 1\n#include <sys/sdt.h>\n\n"
			"#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
	for (i = 0; (pv = nth_provider(h, i)); i++)
		for (k = 0; k < pv->probes.n; k++)
			put_probe(&s, pv, &pv->probes.v[k]);
	dt_str_puts(&s, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
	if (s.failed)
		err = EDT_NOMEM;
	else if (fputs(dt_str_cstr(&s), out) == EOF || fflush(out) == EOF)
		err = EDT_FIO;
	dt_str_fini(&s);
	return err ? dt_set_errno(h, err) : 0;
}

/* ---- the object file -------------------------------------------------------------------------------------- */

enum section { S_NULL, S_PROBES, S_STACK, S_SYMTAB, S_STRTAB, S_SHSTRTAB, NSECTIONS };

static const char shstrtab[] = "\0.probes\0.note.GNU-stack\0.symtab\0.strtab\0.shstrtab";
#define SHSTR_PROBES 1
#define SHSTR_STACK 9
#define SHSTR_SYMTAB 25
#define SHSTR_STRTAB 33
#define SHSTR_SHSTRTAB 41

static void add_symbol(struct dt_str *syms, struct dt_str *strs, const struct dt_provdecl *pv,
		       const struct dt_probedecl *p, u64 at)
{
	Elf64_Sym sym = { .st_name = (Elf64_Word)strs->len,
			  .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
			  .st_shndx = S_PROBES,
			  .st_value = at,
			  .st_size = sizeof(u16) };

	dt_str_printf(strs, "%s_%s_semaphore", pv->name, p->name);
	dt_str_putc(strs, '\0');
	dt_str_putn(syms, (const char *)&sym, sizeof(sym));
}

static void put_section(Elf64_Shdr *sh, struct dt_str *file, const char *data, size_t n)
{
	while (file->len % 8)
		dt_str_putc(file, '\0');
	sh->sh_offset = file->len;
	sh->sh_size = n;
	dt_str_putn(file, data, n);
}

static void make_object(const dtrace_hdl_t *h, struct dt_str *file)
{
	Elf64_Shdr sh[NSECTIONS] = {
		[S_PROBES] = { .sh_name = SHSTR_PROBES,
			       .sh_type = SHT_PROGBITS,
			       .sh_flags = SHF_ALLOC | SHF_WRITE,
			       .sh_addralign = sizeof(u16) },
		[S_STACK] = { .sh_name = SHSTR_STACK, .sh_type = SHT_PROGBITS, .sh_addralign = 1 },
		[S_SYMTAB] = { .sh_name = SHSTR_SYMTAB,
			       .sh_type = SHT_SYMTAB,
			       .sh_link = S_STRTAB,
			       .sh_info = 1, /* the first global one */
			       .sh_entsize = sizeof(Elf64_Sym),
			       .sh_addralign = 8 },
		[S_STRTAB] = { .sh_name = SHSTR_STRTAB, .sh_type = SHT_STRTAB, .sh_addralign = 1 },
		[S_SHSTRTAB] = { .sh_name = SHSTR_SHSTRTAB, .sh_type = SHT_STRTAB, .sh_addralign = 1 },
	};
	Elf64_Ehdr eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT },
			  .e_type = ET_REL,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_ehsize = sizeof(eh),
			  .e_shentsize = sizeof(sh[0]),
			  .e_shnum = NSECTIONS,
			  .e_shstrndx = S_SHSTRTAB };
	struct dt_str syms = { 0 }, strs = { 0 }, words = { 0 };
	static const Elf64_Sym none;
	const struct dt_provdecl *pv;
	u32 i, k;

	dt_str_putn(&syms, (const char *)&none, sizeof(none));
	dt_str_putc(&strs, '\0');
	for (i = 0; (pv = nth_provider(h, i)); i++)
		for (k = 0; k < pv->probes.n; k++) {
			add_symbol(&syms, &strs, pv, &pv->probes.v[k], words.len);
			dt_str_putn(&words, "\0", sizeof(u16));
		}
	dt_str_putn(file, (const char *)&eh, sizeof(eh));
	put_section(&sh[S_PROBES], file, dt_str_cstr(&words), words.len);
	put_section(&sh[S_STACK], file, "", 0);
	put_section(&sh[S_SYMTAB], file, dt_str_cstr(&syms), syms.len);
	put_section(&sh[S_STRTAB], file, dt_str_cstr(&strs), strs.len);
	put_section(&sh[S_SHSTRTAB], file, shstrtab, sizeof(shstrtab));
	while (file->len % 8)
		dt_str_putc(file, '\0');
	eh.e_shoff = file->len;
	dt_str_putn(file, (const char *)sh, sizeof(sh));
	if (!file->failed)
		memcpy(file->s, &eh, sizeof(eh));
	file->failed |= syms.failed || strs.failed || words.failed;
	dt_str_fini(&syms);
	dt_str_fini(&strs);
	dt_str_fini(&words);
}

/* The objects that the probes are in: nothing in them needs to be changed, but they must be what they should be. */
static int check_object(dtrace_hdl_t *h, const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	Elf64_Ehdr eh;

	if (!f)
		return dt_fail(&h->err, errno, "%s: %s", path, dt_errstr(errno));
	if (fread(&eh, sizeof(eh), 1, f) != 1 || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 || eh.e_type != ET_REL)
		return dt_fail(&h->err, EDT_ELFVERSION, "%s: not an object file for x86-64", path);
	return 0;
}

static int write_object(dtrace_hdl_t *h, const char *path, const struct dt_str *file)
{
	FILE *f = fopen(path, "we");
	bool ok;

	if (!f)
		return dt_fail(&h->err, errno, "%s: %s", path, dt_errstr(errno));
	ok = fwrite(file->s, file->len, 1, f) == 1;
	if (fclose(f) == 0 && ok)
		return 0;
	unlink(path);
	return dt_fail(&h->err, EDT_FIO, "%s: it cannot be written", path);
}

int dtrace_program_link(dtrace_hdl_t *h, dtrace_prog_t *prog, unsigned int flags, const char *file,
			int objc, char *const objv[])
{
	struct dt_str made = { 0 };
	int i, rv;

	if (!file || !*file || objc < 0 || (objc && !objv))
		return dt_set_errno(h, EINVAL);
	if (!h->syms.providers)
		return dt_fail(&h->err, EDT_NOPROV, "The program declares no provider");
	for (i = 0; i < objc; i++)
		if (check_object(h, objv[i]) < 0)
			return -1;
	make_object(h, &made);
	rv = made.failed ? dt_set_errno(h, EDT_NOMEM) : write_object(h, file, &made);
	dt_str_fini(&made);
	return rv;
}
