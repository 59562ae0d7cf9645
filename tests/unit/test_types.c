/* SPDX-License-Identifier: Apache-2.0 */
/* D's own types, layout as C does it, and types out of BTF: hand-made, malformed, and the running
 * kernel's. */
#include <stdalign.h>
#include <unistd.h>

#include "test.h"
#include "types/btf.h"
#include "types/types.h"

static const char *text(const struct dt_type *t)
{
	static char buf[256];

	return dt_type_str(t, buf, sizeof(buf));
}

#define BASIC(id) dt_type_basic(ts, DT_T_##id)

/* ---- names ----------------------------------------------------------------------------------- */

static void t_lookup(struct dt_types *ts)
{
	static const struct {
		const char *name, *prints;
		u64 size;
		bool is_signed;
	} cases[] = {
		{ "int", "int", 4, true },
		{ "unsigned", "unsigned int", 4, false },
		{ "long unsigned int", "unsigned long", 8, false },
		{ " unsigned   long\tlong int ", "unsigned long long", 8, false },
		{ "int long", "long", 8, true },
		{ "short int", "short", 2, true },
		{ "signed char", "signed char", 1, true },
		{ "char", "char", 1, true },
		{ "_Bool", "_Bool", 1, false },
		{ "long double", "long double", 16, true },
		{ "uint32_t", "uint32_t", 4, false },
		{ "ssize_t", "ssize_t", 8, true },
		{ "u_longlong_t", "u_longlong_t", 8, false },
		{ "pid_t", "pid_t", 4, true },
		{ "string", "string", 0, false },
		{ "const char *", "char *", 8, false },
		{ "char *const *", "char **", 8, false },
		{ "void", "void", 0, false },
	};
	static const char *const none[] = {
		"",
		" ",
		"*",
		"const",
		"foo",
		"struct",
		"struct nope",
		"unsigned unsigned",
		"int int",
		"long long long",
		"short long",
		"unsigned float",
		"int * int",
		"char [4]",
		"x`int",
	};
	struct dt_type *t;
	size_t i;

	for (i = 0; i < DT_NELEM(cases); i++) {
		t = dt_types_lookup(ts, cases[i].name);
		if (!CHECK(t != NULL))
			continue;
		CHECK_STR(text(t), cases[i].prints);
		CHECK_INT(dt_type_size(t), cases[i].size);
		CHECK_INT(dt_type_is_signed(t), cases[i].is_signed);
	}
	for (i = 0; i < DT_NELEM(none); i++)
		if (dt_types_lookup(ts, none[i]))
			CHECK_STR(none[i], "no type");
}

static void t_predicates(struct dt_types *ts)
{
	struct dt_type *charp = dt_type_pointer(ts, BASIC(CHAR));

	CHECK(charp == dt_type_pointer(ts, BASIC(CHAR)));
	CHECK(dt_type_is_stringlike(charp));
	CHECK(dt_type_is_stringlike(dt_type_array(ts, BASIC(INT8), 4)));
	CHECK(dt_type_is_stringlike(BASIC(STRING)));
	CHECK(!dt_type_is_stringlike(dt_type_pointer(ts, BASIC(UCHAR))));
	CHECK(!dt_type_is_stringlike(BASIC(CHAR)));
	CHECK(dt_type_is_scalar(BASIC(PID)) && dt_type_is_scalar(charp));
	CHECK(!dt_type_is_scalar(BASIC(STRING)) && !dt_type_is_scalar(BASIC(DOUBLE)));
	CHECK(dt_type_is_float(BASIC(DOUBLE)) && dt_type_is_int(BASIC(UINT64)));
	CHECK(dt_type_int(ts, 4, true) == BASIC(INT) && dt_type_int(ts, 8, false) == BASIC(ULONG));
	CHECK(dt_type_int(ts, 1, true) == BASIC(CHAR) && dt_type_int(ts, 3, false) == BASIC(ULONG));
	CHECK(dt_type_same(BASIC(UINT64), BASIC(ULONG)) && dt_type_same(BASIC(LLONG), BASIC(LONG)));
	CHECK(!dt_type_same(BASIC(BOOL), BASIC(UCHAR)) && !dt_type_same(BASIC(INT), BASIC(UINT)));
	CHECK(dt_type_same(charp, dt_types_lookup(ts, "char *")));
	CHECK(!dt_type_same(charp, dt_type_pointer(ts, charp)));
	CHECK(dt_type_same(BASIC(POISON), charp));
	CHECK(dt_type_resolve(BASIC(PID)) == BASIC(INT));
	CHECK(dt_type_resolve(NULL) == NULL);
}

static void t_print(struct dt_types *ts)
{
	struct dt_type *f = dt_type_new(ts, DT_FUNC, NULL), *a, *p[2] = { BASIC(INT), BASIC(SIZE) };
	char small[6];

	f->ref = dt_type_pointer(ts, BASIC(CHAR));
	CHECK_STR(text(f), "char * (void)");
	f->params = p;
	f->nparams = 2;
	f->varargs = true;
	CHECK_STR(text(dt_type_pointer(ts, f)), "char *(*)(int, size_t, ...)");
	a = dt_type_array(ts, dt_type_array(ts, BASIC(INT), 3), 2);
	CHECK_STR(text(a), "int [2][3]");
	CHECK_STR(text(dt_type_pointer(ts, a)), "int (*)[2][3]");
	CHECK_STR(text(dt_type_array(ts, dt_type_pointer(ts, f), 4)),
		  "char *(*[4])(int, size_t, ...)");
	CHECK_INT(dt_type_size(a), 24);
	CHECK_STR(dt_type_str(BASIC(ULONG), small, sizeof(small)), "unsig");
	CHECK_INT(dt_type_size(dt_type_array(ts, a, UINT64_MAX / 3)), 0);
}

/* ---- layout: compared with the compiler's own ------------------------------------------------ */

struct lay_a {
	char a;
	short b;
	int c : 3;
	int d : 30;
	long e : 40;
	char f : 2;
	_Bool g : 1;
	long double h;
	char i[3];
};
union lay_u {
	int a : 5;
	short b[3];
	char c;
};
struct lay_b {
	char a;
	struct lay_a b;
	unsigned short c : 9;
	unsigned short d : 9;
	unsigned short : 0;
	unsigned short e : 1;
	char f[];
};

#define MEMBER(nm, ty, bits) { .name = nm, .type = (ty), .bit_size = (bits) }

static void t_layout(struct dt_types *ts)
{
	struct dt_member a[] = {
		MEMBER("a", BASIC(CHAR), 0),
		MEMBER("b", BASIC(SHORT), 0),
		MEMBER("c", BASIC(INT), 3),
		MEMBER("d", BASIC(INT), 30),
		MEMBER("e", BASIC(LONG), 40),
		MEMBER("f", BASIC(CHAR), 2),
		MEMBER("g", BASIC(BOOL), 1),
		MEMBER("h", BASIC(LDOUBLE), 0),
		MEMBER("i", dt_type_array(ts, BASIC(CHAR), 3), 0),
	};
	struct dt_member u[] = {
		MEMBER("a", BASIC(INT), 5),
		MEMBER("b", dt_type_array(ts, BASIC(SHORT), 3), 0),
		MEMBER("c", BASIC(CHAR), 0),
	};
	struct dt_type *sa = dt_type_new(ts, DT_STRUCT, "lay_a"),
		       *su = dt_type_new(ts, DT_UNION, "lay_u");
	struct dt_type *sb = dt_type_new(ts, DT_STRUCT, "lay_b");
	struct dt_member b[] = {
		MEMBER("a", BASIC(CHAR), 0),
		MEMBER("", sa, 0),
		MEMBER("c", BASIC(USHORT), 9),
		MEMBER("d", BASIC(USHORT), 9),
		MEMBER("", BASIC(USHORT), 0),
		MEMBER("e", BASIC(USHORT), 1),
		MEMBER("f", dt_type_array(ts, BASIC(CHAR), 0), 0),
	};
	u64 off = 0;

	sa->members = a;
	sa->nmembers = DT_NELEM(a);
	dt_type_layout(sa);
	CHECK_INT(dt_type_size(sa), sizeof(struct lay_a));
	CHECK_INT(dt_type_align(sa), alignof(struct lay_a));
	CHECK_INT(a[1].bit_off, 8 * offsetof(struct lay_a, b));
	CHECK_INT(a[2].bit_off, 32);
	CHECK_INT(a[3].bit_off, 64);
	CHECK_INT(a[4].bit_off, 128);
	CHECK_INT(a[5].bit_off, 168);
	CHECK_INT(a[6].bit_off, 170);
	CHECK_INT(a[7].bit_off, 8 * offsetof(struct lay_a, h));
	CHECK_INT(a[8].bit_off, 8 * offsetof(struct lay_a, i));
	su->members = u;
	su->nmembers = DT_NELEM(u);
	dt_type_layout(su);
	CHECK_INT(dt_type_size(su), sizeof(union lay_u));
	sb->members = b;
	sb->nmembers = DT_NELEM(b);
	dt_type_layout(sb);
	CHECK_INT(dt_type_size(sb), sizeof(struct lay_b));
	CHECK_INT(b[6].bit_off, 8 * offsetof(struct lay_b, f));
	CHECK(dt_type_member(sb, "h", &off) == &a[7]);
	CHECK_INT(off, 8 * (offsetof(struct lay_b, b) + offsetof(struct lay_a, h)));
	CHECK(dt_type_member(sb, "", &off) == NULL);
	CHECK(dt_type_member(sb, "nope", &off) == NULL);
	CHECK(dt_type_member(BASIC(INT), "a", &off) == NULL);
}

static void t_declared(struct dt_types *ts)
{
	struct dt_type *fwd = dt_type_new(ts, DT_FWD, "mine"),
		       *s = dt_type_new(ts, DT_STRUCT, "mine");
	struct dt_type *e = dt_type_new(ts, DT_ENUM, "colour"), *type;
	char name[] = "struct mine";
	s64 val;

	dt_types_add_tag(ts, name, fwd);
	CHECK(dt_types_lookup(ts, "struct mine") == fwd);
	CHECK(dt_type_resolve(fwd) == fwd);
	CHECK(dt_type_same(fwd, s) && !dt_type_same(fwd, e));
	dt_types_add_tag(ts, name, s);
	memset(name, 'x', sizeof(name) - 1);
	CHECK(dt_types_lookup(ts, "struct  mine") == s);
	CHECK(dt_type_resolve(fwd) == s);
	dt_types_add_typedef(ts, "mine_t", s);
	CHECK(dt_types_lookup(ts, "mine_t") == s);
	CHECK(!dt_types_enumerator(ts, "GREEN", &val, &type));
	dt_types_add_enumerator(ts, "GREEN", -3, e);
	CHECK(dt_types_enumerator(ts, "GREEN", &val, &type) && val == -3 && type == e);
}

/* ---- hand-made BTF --------------------------------------------------------------------------- */

struct maker {
	u32 types[400];
	u32 ntypes;
	char strs[400];
	u32 nstrs;
	u32 first_str; /* of a module: where the kernel's strings end */
	u8 blob[4096];
	size_t len;
};

static u32 str(struct maker *m, const char *s)
{
	u32 off;

	if (!m->nstrs && !m->first_str)
		m->nstrs = 1;
	off = m->nstrs;
	strcpy(m->strs + off, s);
	m->nstrs += (u32)strlen(s) + 1;
	return off + m->first_str;
}

static void words(struct maker *m, u32 n, const u32 *w)
{
	memcpy(m->types + m->ntypes, w, n * sizeof(*w));
	m->ntypes += n;
}

#define WORDS(m, ...) \
	words((m), sizeof((u32[]){ __VA_ARGS__ }) / sizeof(u32), (u32[]){ __VA_ARGS__ })
#define INFO(kind, vlen, kflag) ((u32)(kind) << 24 | (vlen) | (u32)(kflag) << 31)

static struct dt_btf *make(struct maker *m)
{
	u32 hdr[6] = { 0xeb9f | 1 << 16, 24, 0, m->ntypes * 4, m->ntypes * 4, m->nstrs };

	str(m, "");
	hdr[5] = m->nstrs;
	memcpy(m->blob, hdr, sizeof(hdr));
	memcpy(m->blob + 24, m->types, hdr[3]);
	memcpy(m->blob + 24 + hdr[3], m->strs, m->nstrs);
	m->len = 24 + hdr[3] + m->nstrs;
	return dt_btf_open_mem(m->blob, m->len, NULL);
}

static void t_made(void)
{
	struct maker m = { 0 };
	struct dt_types ts;
	const struct dt_member *mem;
	struct dt_type *t, *type;
	u64 off;
	s64 val;

	CHECK_INT(dt_types_init(&ts, NULL), 0);
	WORDS(&m, str(&m, "unsigned int"), INFO(DT_BTF_INT, 0, 0), 4, 32); /* 1 */
	WORDS(&m, str(&m, "char"), INFO(DT_BTF_INT, 0, 0), 1, 8);          /* 2: unsigned char */
	WORDS(&m, str(&m, "s"), INFO(DT_BTF_STRUCT, 4, 1), 24,             /* 3 */
	      str(&m, "a"), 1, 3 << 24 | 0, str(&m, "b"), 1, 7 << 24 | 3, str(&m, "next"), 4, 64, 0,
	      5, 128);
	WORDS(&m, 0, INFO(DT_BTF_PTR, 0, 0), 3); /* 4: struct s * */
	WORDS(&m, 0, INFO(DT_BTF_UNION, 2, 0), 8, str(&m, "u"), 4, 0, str(&m, "c"), 6, 0); /* 5 */
	WORDS(&m, 0, INFO(DT_BTF_ARRAY, 0, 0), 0, 7, 1, 8); /* 6: const char [8] */
	WORDS(&m, 0, INFO(DT_BTF_CONST, 0, 0), 2);          /* 7 */
	WORDS(&m, str(&m, "e"), INFO(DT_BTF_ENUM, 2, 1), 4, str(&m, "NEG"), (u32)-1, str(&m, "POS"),
	      1);
	WORDS(&m, str(&m, "e64"), INFO(DT_BTF_ENUM64, 1, 0), 8, str(&m, "BIG"), 5, 1); /* 9 */
	WORDS(&m, str(&m, "s_t"), INFO(DT_BTF_TYPEDEF, 0, 0), 11);                     /* 10 */
	WORDS(&m, 0, INFO(DT_BTF_VOLATILE, 0, 0), 3);                                  /* 11 */
	WORDS(&m, str(&m, "f"), INFO(DT_BTF_FUNC, 1, 0), 13);                          /* 12 */
	WORDS(&m, 0, INFO(DT_BTF_FUNC_PROTO, 2, 0), 4, str(&m, "x"), 10, 0, 0);        /* 13 */
	WORDS(&m, str(&m, "s"), INFO(DT_BTF_FWD, 0, 0), 0);                            /* 14 */
	WORDS(&m, str(&m, "__int128"), INFO(DT_BTF_INT, 0, 0), 16, 1 << 24 | 128);     /* 15 */
	WORDS(&m, str(&m, "bits"), INFO(DT_BTF_INT, 0, 0), 4, 5); /* 16: 5 bits */
	WORDS(&m, str(&m, "old"), INFO(DT_BTF_STRUCT, 1, 0), 4, str(&m, "o"), 16, 9); /* 17 */
	ts.btf = make(&m);
	if (!CHECK(ts.btf != NULL))
		return;
	CHECK_INT(dt_btf_ntypes(ts.btf), 17);
	t = dt_types_lookup(&ts, "struct s");
	if (!CHECK(t && t->kind == DT_STRUCT))
		return;
	CHECK(!t->complete && dt_type_size(t) == 24);
	mem = dt_type_member(t, "b", &off);
	CHECK(mem && off == 3 && mem->bit_size == 7 && mem->type == ts.basic[DT_T_UINT]);
	mem = dt_type_member(t, "c", &off);
	CHECK(mem && off == 128 && mem->bit_size == 0 && dt_type_is_stringlike(mem->type));
	CHECK_STR(mem ? text(mem->type) : "", "const char [8]");
	mem = dt_type_member(t, "next", &off);
	CHECK(mem && dt_type_resolve(mem->type->ref) == t);
	t = dt_types_lookup(&ts, "s_t");
	CHECK(t && t->kind == DT_TYPEDEF && t->ref == dt_types_from_btf(&ts, 3));
	CHECK(dt_types_enumerator(&ts, "NEG", &val, &type) && val == -1 && type->is_signed);
	CHECK(dt_types_enumerator(&ts, "BIG", &val, &type) && val == 0x100000005 && type->size == 8);
	CHECK(dt_type_resolve(type)->nmembers == 1 && type->enumvals[0].val == 0x100000005);
	CHECK(dt_types_lookup(&ts, "enum e64") == type);
	t = dt_types_from_btf(&ts, dt_btf_find(ts.btf, "f", DT_BTF_FUNC));
	CHECK_STR(text(t), "struct s * (s_t, ...)");
	CHECK(dt_type_resolve(dt_types_from_btf(&ts, 14)) == dt_types_from_btf(&ts, 3));
	CHECK_INT(dt_type_size(dt_types_from_btf(&ts, 15)), 16);
	mem = dt_type_member(dt_types_from_btf(&ts, 17), "o", &off);
	CHECK(mem && mem->bit_size == 5 && off == 9);
	CHECK(dt_types_from_btf(&ts, 0) == NULL && dt_types_from_btf(&ts, 18) == NULL);
	dt_types_fini(&ts);
}

/* Everything that can be asked of every type. */
static void exercise(struct dt_types *ts)
{
	u32 id, i, n = dt_btf_ntypes(ts->btf);
	struct dt_type *t;
	u64 off;

	for (id = 1; id <= n; id++) {
		t = dt_types_from_btf(ts, id);
		text(t);
		dt_type_size(t);
		dt_type_align(t);
		t = dt_type_resolve(t);
		for (i = 0; t && t->members && i < t->nmembers; i++)
			text(t->members[i].type);
		if (t)
			dt_type_member(t, "no such member", &off);
		dt_type_same(t, dt_types_from_btf(ts, id / 2 + 1));
	}
}

static void malformed(struct maker *m, u32 want_types)
{
	struct dt_types ts;
	s64 val;
	struct dt_type *type;

	CHECK_INT(dt_types_init(&ts, NULL), 0);
	ts.btf = make(m);
	if (CHECK(ts.btf != NULL)) {
		CHECK_INT(dt_btf_ntypes(ts.btf), want_types);
		exercise(&ts);
		dt_types_enumerator(&ts, "x", &val, &type);
		dt_types_lookup(&ts, "struct x");
		dt_types_lookup(&ts, "x");
	}
	dt_types_fini(&ts);
}

static void t_malformed(void)
{
	struct maker self = { 0 }, ring = { 0 }, inside = { 0 }, cut = { 0 }, odd = { 0 },
		     deep = { 0 };
	u32 i;

	WORDS(&self, str(&self, "x"), INFO(DT_BTF_TYPEDEF, 0, 0), 1);
	WORDS(&self, 0, INFO(DT_BTF_PTR, 0, 0), 2);
	WORDS(&self, 0, INFO(DT_BTF_ARRAY, 0, 0), 0, 3, 3, 0xffffffff);
	WORDS(&self, str(&self, "x"), INFO(DT_BTF_FUNC, 0, 0), 4);
	WORDS(&self, 0, INFO(DT_BTF_FUNC_PROTO, 1, 0), 5, 0, 5);
	malformed(&self, 5);

	WORDS(&ring, str(&ring, "x"), INFO(DT_BTF_TYPEDEF, 0, 0), 2);
	WORDS(&ring, 0, INFO(DT_BTF_CONST, 0, 0), 3);
	WORDS(&ring, 0, INFO(DT_BTF_PTR, 0, 0), 1);
	malformed(&ring, 3);

	WORDS(&inside, str(&inside, "x"), INFO(DT_BTF_STRUCT, 2, 0), 8, 0, 1, 0, 0, 1, 0);
	malformed(&inside, 1);

	WORDS(&cut, str(&cut, "x"), INFO(DT_BTF_ENUM, 1, 0), 4, 0x7fffffff, 1);
	WORDS(&cut, str(&cut, "x"), INFO(DT_BTF_STRUCT, 0xffff, 0), 4, 1, 1, 1);
	malformed(&cut, 1);

	WORDS(&odd, str(&odd, "x"), INFO(DT_BTF_INT, 0, 0), 3, 0xffffffff);
	WORDS(&odd, 0x7fffffff, INFO(DT_BTF_ENUM, 0, 0), 77);
	WORDS(&odd, 1, INFO(DT_BTF_STRUCT, 2, 1), 0xffffffff, 1, 3, 0xffffffff, 1, 99, 0xffffffff);
	WORDS(&odd, 0, INFO(DT_BTF_DATASEC, 1, 0), 1, 1, 1, 1);
	WORDS(&odd, 0, INFO(DT_BTF_DECL_TAG, 0, 0), 1, 1);
	WORDS(&odd, 0, INFO(DT_BTF_VAR, 0, 0), 4, 1);
	WORDS(&odd, 0, INFO(31, 0, 0), 1);
	malformed(&odd, 6);

	for (i = 1; i <= 100; i++)
		WORDS(&deep, 0, INFO(i % 2 ? DT_BTF_PTR : DT_BTF_VOLATILE, 0, 0), i + 1);
	malformed(&deep, 100);
}

/* Every prefix of a good blob, and headers that lie. */
static void t_headers(void)
{
	struct maker m = { 0 };
	struct dt_btf *b;
	u8 *copy;
	size_t n;
	u32 i;

	WORDS(&m, str(&m, "x"), INFO(DT_BTF_STRUCT, 1, 0), 4, str(&m, "a"), 1, 0);
	dt_btf_close(make(&m));
	for (n = 0; n < m.len; n++) {
		copy = malloc(n + 1);
		if (!copy)
			return;
		memcpy(copy, m.blob, n);
		b = dt_btf_open_mem(copy, n, NULL);
		CHECK(b == NULL);
		dt_btf_close(b);
		free(copy);
	}
	for (i = 4; i < 24; i += 4) {
		memset(m.blob + i, 0xff, 4);
		CHECK(dt_btf_open_mem(m.blob, m.len, NULL) == NULL);
	}
	CHECK(dt_btf_open("/nonexistent", NULL) == NULL);
	CHECK(dt_btf_open("/dev/null", NULL) == NULL);
}

/* ---- a module's types stand on the kernel's ---------------------------------------------------- */

static void write_blob(const char *dir, const char *name, const struct maker *m)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	CHECK(f && fwrite(m->blob, m->len, 1, f) == 1);
	if (f)
		fclose(f);
}

static void t_module(void)
{
	char dir[] = "/tmp/test_types.XXXXXX", path[64];
	struct maker k = { 0 }, m = { 0 };
	struct dt_type *s, *t;
	struct dt_types ts;
	struct dt_btf *b;
	u64 off;
	s64 val;

	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	snprintf(path, sizeof(path), "%s/vmlinux", dir);
	WORDS(&k, str(&k, "int"), INFO(DT_BTF_INT, 0, 0), 4, 1 << 24 | 32);           /* 1 */
	WORDS(&k, str(&k, "base"), INFO(DT_BTF_STRUCT, 1, 0), 4, str(&k, "a"), 1, 0); /* 2 */
	dt_btf_close(make(&k));
	write_blob(dir, "vmlinux", &k);
	m.first_str = k.nstrs;
	WORDS(&m, str(&m, "own"), INFO(DT_BTF_STRUCT, 2, 0), 8, str(&m, "in"), 2, 0, str(&m, "n"),
	      1, 32);                                                                    /* 3 */
	WORDS(&m, 0, INFO(DT_BTF_PTR, 0, 0), 3);                                         /* 4 */
	WORDS(&m, str(&m, "own_t"), INFO(DT_BTF_TYPEDEF, 0, 0), 4);                      /* 5 */
	WORDS(&m, str(&m, "e"), INFO(DT_BTF_ENUM, 1, 0), 4, str(&m, "ONE"), 1);          /* 6 */
	WORDS(&m, str(&m, "base"), INFO(DT_BTF_STRUCT, 1, 0), 4, str(&m, "mine"), 1, 0); /* 7 */
	dt_btf_close(make(&m));
	write_blob(dir, "mod", &m);
	CHECK_INT(dt_types_init(&ts, path), 0);
	b = dt_types_module(&ts, "mod");
	if (CHECK(b != NULL)) {
		CHECK(b == dt_types_module(&ts, "mod") && dt_types_btf(&ts) != b);
		CHECK_INT(dt_btf_ntypes(b), 7);
		CHECK_INT(dt_btf_find(b, "own", DT_BTF_STRUCT), 3);
		CHECK_INT(dt_btf_find(b, "int", DT_BTF_INT), 0);
	}
	t = dt_types_lookup_in(&ts, "mod", "struct own");
	s = dt_types_lookup(&ts, "struct base");
	if (CHECK(t && s)) {
		CHECK(dt_type_member(dt_type_resolve(t), "in", &off)->type == s);
		CHECK(dt_type_member(dt_type_resolve(t), "n", &off)->type == ts.basic[DT_T_INT] &&
		      off == 32);
		CHECK(dt_type_member(dt_type_resolve(s), "a", &off) != NULL);
	}
	CHECK(dt_types_lookup_in(&ts, NULL, "struct own") == t);
	CHECK_STR(text(dt_types_lookup_in(&ts, "mod", "own_t")), "own_t");
	s = dt_types_lookup_in(&ts, "mod", "struct base");
	CHECK(s && dt_type_member(dt_type_resolve(s), "mine", &off));
	CHECK(!dt_types_lookup(&ts, "struct own") && !dt_types_lookup_in(&ts, "other", "struct own"));
	CHECK(dt_types_module(&ts, "vmlinux") == dt_types_btf(&ts) &&
	      !dt_types_module(&ts, "../mod") && !dt_types_module(&ts, ""));
	CHECK(!dt_types_enumerator(&ts, "ONE", &val, &t));
	dt_types_fini(&ts);
	unlink(path);
	snprintf(path, sizeof(path), "%s/mod", dir);
	unlink(path);
	rmdir(dir);
}

/* ---- the running kernel's -------------------------------------------------------------------- */

static void t_live(void)
{
	const struct dt_member *m;
	struct dt_types ts;
	struct dt_type *t;
	u64 off, comm = 0;
	s64 val;

	CHECK_INT(dt_types_init(&ts, "/sys/kernel/btf/vmlinux"), 0);
	t = dt_types_lookup(&ts, "struct task_struct");
	if (!CHECK(t != NULL))
		return;
	CHECK(dt_type_member(t, "pid", &off) != NULL);
	m = dt_type_member(t, "comm", &comm);
	CHECK(m && dt_type_size(m->type) == 16 && dt_type_is_stringlike(m->type));
	CHECK_STR(m ? text(m->type) : "", "char [16]");
	m = dt_type_member(t, "mm", &off);
	CHECK_STR(m ? text(m->type) : "", "struct mm_struct *");
	CHECK(m && dt_type_member(m->type->ref, "pgd", &off) != NULL);
	CHECK(dt_type_same(dt_types_lookup(&ts, "vmlinux`struct task_struct"), t));
	CHECK(dt_type_same(dt_types_lookup(&ts, "struct vmlinux`task_struct"), t));
	CHECK(dt_types_lookup(&ts, "struct no_such_struct") == NULL);
	CHECK(dt_types_lookup(&ts, "struct pt_regs *") != NULL);
	CHECK(dt_type_size(dt_types_lookup(&ts, "u32")) == 4);
	CHECK(dt_types_enumerator(&ts, "BPF_MAP_TYPE_ARRAY", &val, &t) && val == 2);
	CHECK(!dt_types_enumerator(&ts, "NO_SUCH_ENUMERATOR", &val, &t));
	t = dt_types_from_btf(&ts, dt_btf_find(dt_types_btf(&ts), "vfs_read", DT_BTF_FUNC));
	CHECK_STR(text(t), "ssize_t (struct file *, char *, size_t, loff_t *)");
	exercise(&ts);
	dt_types_fini(&ts);
}

int main(void)
{
	struct dt_types ts;

	CHECK_INT(dt_types_init(&ts, NULL), 0);
	t_lookup(&ts);
	t_predicates(&ts);
	t_print(&ts);
	t_layout(&ts);
	t_declared(&ts);
	dt_types_fini(&ts);
	t_made();
	t_module();
	t_malformed();
	t_headers();
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		t_live();
	return test_status();
}
