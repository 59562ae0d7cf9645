/* SPDX-License-Identifier: Apache-2.0 */
/* Static probes of C programs: the header and the object file made of provider declarations. */
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handle.h"
#include "test.h"

static const char program[] = "typedef struct { int a; } thing_t;\n"
			      "provider shop {\n"
			      "	probe sold(int n, char *what : string);\n"
			      "	probe shut__down();\n"
			      "};\n"
			      "provider other { probe p(thing_t *t) : (int t); };\n";

static dtrace_hdl_t *open_with(const char *text)
{
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, 0, NULL);

	CHECK(h != NULL);
	CHECK(dtrace_program_strcompile(h, text, DTRACE_PROBESPEC_NAME, 0, 0, NULL) != NULL);
	return h;
}

static char *header(dtrace_hdl_t *h, const char *name)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CHECK_INT(dtrace_program_header(h, f, name), 0);
	fclose(f);
	return text;
}

static void test_header(void)
{
	dtrace_hdl_t *h = open_with(program);
	char *text = header(h, "dir/my-probes.h");

	CHECK(strstr(text, "#ifndef _MY_PROBES_H\n") != NULL);
	CHECK(strstr(text, "#include <sys/sdt.h>\n") != NULL);
	CHECK(strstr(text,
		     "#define SHOP_SOLD(arg0, arg1) \\\n\tDTRACE_PROBE2(shop, sold, arg0, arg1)\n") !=
	      NULL);
	CHECK(strstr(text, "#define SHOP_SHUT_DOWN() \\\n\tDTRACE_PROBE(shop, shut__down)\n") != NULL);
	CHECK(strstr(text, "__builtin_expect(shop_shut__down_semaphore, 0)") != NULL);
	CHECK(strstr(text, "/* shop:::shut-down() */") != NULL);
	CHECK(strstr(text, "/* shop:::sold(int, char *) */") != NULL);
	CHECK(strstr(text, "DTRACE_PROBE1(other, p, arg0)") != NULL);
	CHECK(strstr(text, "SHOP_SOLD(") < strstr(text, "OTHER_P("));
	free(text);
	dtrace_close(h);
}

/* Address in its section of a symbol of an object file; -1: there is none. */
static long symbol(Elf *e, const char *name)
{
	Elf_Scn *s = NULL;
	GElf_Shdr sh;
	GElf_Sym sym;

	while ((s = elf_nextscn(e, s))) {
		gelf_getshdr(s, &sh);
		for (int i = 0; sh.sh_type == SHT_SYMTAB && i < (int)(sh.sh_size / sh.sh_entsize); i++)
			if (gelf_getsym(elf_getdata(s, NULL), i, &sym) &&
			    !strcmp(elf_strptr(e, sh.sh_link, sym.st_name), name))
				return (long)sym.st_value;
	}
	return -1;
}

static void test_object(void)
{
	char path[] = "/tmp/test_static.XXXXXX";
	char *const objects[] = { path };
	dtrace_hdl_t *h = open_with(program);
	int fd = mkstemp(path);
	Elf *e;

	CHECK_INT(dtrace_program_link(h, NULL, 0, path, 0, NULL), 0);
	CHECK_INT(dtrace_program_link(h, NULL, 0, path, 1, objects), 0);
	elf_version(EV_CURRENT);
	e = elf_begin(fd, ELF_C_READ, NULL);
	CHECK(e && elf_kind(e) == ELF_K_ELF);
	CHECK_INT(symbol(e, "shop_sold_semaphore"), 0);
	CHECK_INT(symbol(e, "shop_shut__down_semaphore"), 2);
	CHECK_INT(symbol(e, "other_p_semaphore"), 4);
	CHECK_INT(symbol(e, "shop_semaphore"), -1);
	elf_end(e);
	close(fd);
	unlink(path);
	dtrace_close(h);
}

static void test_refusals(void)
{
	char *const objects[] = { (char *)"/dev/null" };
	dtrace_hdl_t *h = open_with("BEGIN { }");
	char *text = header(h, "empty.h");

	CHECK(strstr(text, "DTRACE_PROBE") == NULL);
	free(text);
	CHECK_INT(dtrace_program_link(h, NULL, 0, "/tmp/x.o", 0, NULL), -1);
	CHECK_INT(dtrace_errno(h), EDT_NOPROV);
	dtrace_close(h);
	h = open_with(program);
	CHECK_INT(dtrace_program_link(h, NULL, 0, "/tmp/x.o", 1, objects), -1);
	CHECK_INT(dtrace_errno(h), EDT_ELFVERSION);
	CHECK_INT(dtrace_program_link(h, NULL, 0, "/no/such/dir/x.o", 0, NULL), -1);
	CHECK_INT(dtrace_program_header(h, NULL, "x.h"), -1);
	dtrace_close(h);
	h = open_with(
		"provider p { probe a(int, int, int, int, int, int, int, int, int, int, int, int, int); };");
	CHECK_INT(dtrace_program_header(h, stdout, "x.h"), -1);
	CHECK(strstr(dtrace_errmsg(h, dtrace_errno(h)), "12") != NULL);
	dtrace_close(h);
}

int main(void)
{
	test_header();
	test_object();
	test_refusals();
	return test_status();
}
