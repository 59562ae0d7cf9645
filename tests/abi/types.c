/* SPDX-License-Identifier: Apache-2.0 */
/* A consumer of the symbol and type functions, in C and in C++: the same text is compiled as both. */
#include <dtrace.h>
#include <dtrace_ext.h>

#include <stdlib.h>
#include <string.h>

static int failures;

static void check(int ok, const char *what, dtrace_hdl_t *h)
{
	if (ok)
		return;
	fprintf(stderr, "not so: %s (%s)\n", what, dtrace_errmsg(h, dtrace_errno(h)));
	failures++;
}
#define CHECK(cond) check((cond) != 0, #cond, h)

static int on_object(dtrace_hdl_t *h, const dtrace_objinfo_t *info, void *arg)
{
	++*(int *)arg;
	return strcmp(info->dto_name, "vmlinux") == 0 && info->dto_flags & DTRACE_OBJ_F_PRIMARY ? 7 :
												  0;
}

int main(void)
{
	int err = 0, n = 0;
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, DTRACE_O_NODEV, &err);
	const char *names[8];
	dtrace_typeinfo_t t;
	dtrace_objinfo_t o;
	dtrace_syminfo_t s;
	GElf_Sym sym;
	FILE *file;

	if (!h)
		return 1;
	CHECK(dtrace_type_strcompile(h, "int (*)(char, void *)", &t) == 0);
	CHECK(t.dtt_size == 8 && strcmp(t.dtt_object, "D") == 0);
	CHECK(dtrace_type_strcompile(h, "struct abi_pair { int a; char b[3]; }", &t) == 0);
	CHECK(t.dtt_size == 8 && strcmp(t.dtt_name, "struct abi_pair") == 0);
	CHECK(dtrace_lookup_by_type(h, DTRACE_OBJ_EVERY, "struct abi_pair *", &t) == 0);
	CHECK(t.dtt_size == 8 && t.dtt_id == 0);
	CHECK(dtrace_lookup_by_type(h, DTRACE_OBJ_KMODS, "struct abi_pair", &t) < 0);
	CHECK(dtrace_errno(h) == EDT_NOTYPE);
	CHECK(dtrace_lookup_by_type(h, DTRACE_OBJ_EVERY, "struct no_such_struct_at_all", &t) < 0 ||
	      t.dtt_size == 0);
	CHECK(dtrace_lookup_by_type(h, DTRACE_OBJ_EVERY, "no_such_t", &t) < 0);
	CHECK(dtrace_errno(h) == EDT_NOTYPE);
	CHECK(dtrace_lookup_by_type(h, "no-such-module", "int", &t) < 0);
	CHECK(dtrace_errno(h) == EDT_NOMOD);
	CHECK(dtrace_type_strcompile(h, "int int *", &t) < 0);
	CHECK(dtrace_errno(h) == EDT_COMPILER);
	CHECK(dtrace_type_strcompile(h, "int x y", &t) < 0);
	CHECK(dtrace_type_strcompile(h, "", &t) < 0);
	file = tmpfile();
	fputs("unsigned char [12]", file);
	rewind(file);
	CHECK(dtrace_type_fcompile(h, file, &t) == 0 && t.dtt_size == 12);
	fclose(file);
	if (dtrace_lookup_by_type(h, "vmlinux", "struct task_struct", &t) == 0) {
		CHECK(t.dtt_size > 1000 && t.dtt_id != 0 && strcmp(t.dtt_object, "vmlinux") == 0);
		CHECK(dtrace_lookup_by_type(h, DTRACE_OBJ_DDEFS, "struct task_struct", &t) < 0);
	} else {
		printf("no kernel types here: %s\n", dtrace_errmsg(h, dtrace_errno(h)));
	}
	CHECK(dtrace_object_iter(h, on_object, &n) == 7 && n == 1);
	CHECK(dtrace_object_info(h, DTRACE_OBJ_EXEC, &o) == 0 && o.dto_id == 0);
	CHECK(dtrace_object_info(h, "no-such-module", &o) < 0 && dtrace_errno(h) == EDT_NOMOD);
	if (o.dto_text_va && dtrace_lookup_by_name(h, "vmlinux", "vfs_read", &sym, &s) == 0) {
		CHECK(strcmp(s.dts_name, "vfs_read") == 0);
		CHECK(sym.st_value >= o.dto_text_va);
		CHECK(sym.st_value < o.dto_text_va + o.dto_text_size);
		CHECK(dtrace_symbol_type(h, &sym, &s, &t) == 0);
		printf("vfs_read: %s\n", t.dtt_name);
	}
	s.dts_object = "no-such-module";
	s.dts_name = "x";
	CHECK(dtrace_symbol_type(h, NULL, &s, &t) < 0 && dtrace_errno(h) == EDT_NOCTF);
	CHECK(dtrace_provider_modules(h, names, 8) >= 3 && strcmp(names[0], "dtrace") == 0);
	CHECK(dtrace_dof_create(h, NULL, 0) == NULL && dtrace_getopt_dof(h) == NULL);
	printf("engine %s\n", dtrace_engine_version());
	dtrace_close(h);
	return failures != 0;
}
