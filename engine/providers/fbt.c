/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbt.c - entry and return of the kernel's functions.
 *
 * fbt has the functions that BTF describes, with typed arguments; where tracefs says which functions can be traced
 * (available_filter_functions), only these.  rawfbt has all that tracefs lists, described or not, without types, and
 * never anything but kprobes.  A literal name costs one look-up and is not asked about: what cannot be traced is
 * refused when tracing starts, and the kernel says why.
 */
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"
#include "types/btf.h"

#define KERNEL "vmlinux"

enum { ENTRY, RETURN, NSIDES };

static const struct {
	const char *name;
	enum dt_attach_kind kind;
	enum dt_abi abi;
} sides[NSIDES] = {
	[ENTRY] = { "entry", DT_AT_KPROBE, DT_ABI_KPROBE },
	[RETURN] = { "return", DT_AT_KRETPROBE, DT_ABI_KRETPROBE },
};

struct kfunc {
	const char *name, *module;
	struct dt_btf *btf; /* NULL: not described */
	u32 id;
	u8 made;               /* 1 << side, and << NSIDES more of rawfbt */
	bool traceable, twice; /* as tracefs says; twice: it has namesakes */
	struct kfunc *chain;
};

struct dt_kfuncs {
	struct kfunc **index; /* chains by the hash of the name */
	u32 nindex;           /* a power of two */
	DT_VEC(struct kfunc *) list;
	bool all_types, traceable_read, traceable_known;
};

void dt_kfuncs_fini(struct dt_kfuncs *t)
{
	if (t)
		free(t->index);
}

void dt_kfuncs_rescan(struct dt_kfuncs *t)
{
	u32 i;

	t->all_types = t->traceable_read = false;
	for (i = 0; i < t->list.n; i++)
		t->list.v[i]->traceable = t->list.v[i]->twice = false;
}

static int no_memory(struct dt_probes *ps)
{
	return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static u32 slot_of(const struct dt_kfuncs *t, const char *name, size_t len)
{
	return dt_hash(name, len) & (t->nindex - 1);
}

static bool room(struct dt_kfuncs *t)
{
	struct kfunc **index;
	u32 n = t->nindex ? t->nindex * 2 : 64, i;

	if (t->list.n < t->nindex)
		return true;
	index = calloc(n, sizeof(struct kfunc *));
	if (!index)
		return false;
	free(t->index);
	t->index = index;
	t->nindex = n;
	for (i = 0; i < t->list.n; i++) {
		struct kfunc *f = t->list.v[i], **head = &index[slot_of(t, f->name, strlen(f->name))];

		f->chain = *head;
		*head = f;
	}
	return true;
}

static struct kfunc *find(const struct dt_kfuncs *t, const char *module, const char *name, size_t len)
{
	struct kfunc *f = t->nindex ? t->index[slot_of(t, name, len)] : NULL;

	for (; f; f = f->chain)
		if (strncmp(f->name, name, len) == 0 && !f->name[len] &&
		    strcmp(f->module, module) == 0)
			return f;
	return NULL;
}

/* name and module live as long as the registry. */
static struct kfunc *add(struct dt_probes *ps, const char *module, const char *name)
{
	struct dt_kfuncs *t = ps->kfuncs;
	struct kfunc *f = room(t) ? dt_arena_new(&ps->arena, struct kfunc) : NULL, **head;
	struct kfunc **slot = f ? dt_vec_push(&ps->arena, &t->list) : NULL;

	if (!slot) {
		no_memory(ps);
		return NULL;
	}
	f->name = name;
	f->module = module;
	head = &t->index[slot_of(t, name, strlen(name))];
	f->chain = *head;
	*head = f;
	return *slot = f;
}

static struct dt_kfuncs *table(struct dt_probes *ps)
{
	if (!ps->kfuncs)
		ps->kfuncs = dt_arena_new(&ps->arena, struct dt_kfuncs);
	if (!ps->kfuncs)
		no_memory(ps);
	return ps->kfuncs;
}

/* ---- what is described ----------------------------------------------------------------------------------- */

static struct kfunc *add_described(struct dt_probes *ps, const char *module, const char *name,
				   struct dt_btf *b, u32 id)
{
	struct kfunc *f = find(ps->kfuncs, module, name, strlen(name));

	if (!f)
		f = add(ps, module, name);
	if (f && !f->btf) {
		f->btf = b;
		f->id = id;
	}
	return f;
}

static int describe_all(const char *module, struct dt_btf *b, void *arg)
{
	struct dt_probes *ps = arg;
	struct dt_btf_view v;
	u32 id;

	for (id = dt_btf_next(b, 0, DT_BTF_FUNC, ""); id; id = dt_btf_next(b, id, DT_BTF_FUNC, ""))
		if (dt_btf_type(b, id, &v) && *v.name && !add_described(ps, module, v.name, b, id))
			return -1;
	return 0;
}

static int read_types(struct dt_probes *ps)
{
	if (ps->kfuncs->all_types || !ps->types || !dt_types_btf(ps->types))
		return 0;
	ps->kfuncs->all_types = true;
	return describe_all(KERNEL, dt_types_btf(ps->types), ps) ||
			       dt_types_each_module(ps->types, describe_all, ps) ?
		       -1 :
		       0;
}

struct search {
	struct dt_probes *ps;
	const struct dt_field *module;
	const char *name;
	struct kfunc *found[64]; /* modules may have functions of the same name */
	u32 n;
	bool failed;
};

static int find_in(const char *module, struct dt_btf *b, void *arg)
{
	struct search *s = arg;
	struct dt_btf_view v;
	u32 id;

	if (!dt_field_match(s->module, module) || s->n == DT_NELEM(s->found))
		return 0;
	id = dt_btf_find(b, s->name, DT_BTF_FUNC);
	if (!id || !dt_btf_type(b, id, &v))
		return 0;
	s->found[s->n] = add_described(s->ps, module, v.name, b, id);
	s->failed = !s->found[s->n];
	s->n += !s->failed;
	return s->failed;
}

/* ---- what can be traced -------------------------------------------------------------------------------- */

/* Which of several functions of one name is meant, links by name cannot say. */
static void note_namesakes(struct dt_kfuncs *t, struct kfunc *f)
{
	struct kfunc *other;

	f->twice |= f->traceable;
	f->traceable = true;
	for (other = t->index[slot_of(t, f->name, strlen(f->name))]; other; other = other->chain)
		if (other != f && other->traceable && strcmp(other->name, f->name) == 0)
			f->twice = other->twice = true;
}

/* "function" or "function [module]" */
static int add_traceable(struct dt_probes *ps, const char *line, const char *end, const char **module)
{
	const char *blank = memchr(line, ' ', (size_t)(end - line)), *open = blank ? blank + 1 : NULL;
	size_t len = (size_t)((blank ? blank : end) - line);
	const char *mod = KERNEL;
	struct kfunc *f;
	char *name;

	if (!len)
		return 0;
	if (open && open + 2 < end && *open == '[') {
		size_t mod_len = (size_t)(end - open) - 2;

		if (!*module || strncmp(*module, open + 1, mod_len) != 0 || (*module)[mod_len])
			*module = dt_arena_strndup(&ps->arena, open + 1, mod_len);
		if (!*module)
			return no_memory(ps);
		mod = *module;
	}
	f = find(ps->kfuncs, mod, line, len);
	if (!f) {
		name = dt_arena_strndup(&ps->arena, line, len);
		f = name ? add(ps, mod, name) : NULL;
	}
	if (!f)
		return no_memory(ps);
	note_namesakes(ps->kfuncs, f);
	return 0;
}

static int read_traceable(struct dt_probes *ps)
{
	struct dt_kfuncs *t = ps->kfuncs;
	_cleanup_free_ char *text = NULL;
	const char *line, *end, *module = NULL;

	if (t->traceable_read)
		return 0;
	t->traceable_read = true;
	if (ps->sources.tracefs)
		text = ps->sources.tracefs(ps->sources.arg, "available_filter_functions");
	t->traceable_known = text && *text;
	for (line = text ? text : ""; *line; line = end + (*end != '\0')) {
		end = strchrnul(line, '\n');
		if (add_traceable(ps, line, end, &module))
			return -1;
	}
	return 0;
}

/* ---- probes -------------------------------------------------------------------------------------------- */

static bool is_raw(const struct dt_provider *p)
{
	return p == &dt_provider_rawfbt;
}

static bool is_module(const char *module)
{
	return strcmp(module, KERNEL) != 0;
}

static struct dt_attach model_of(const struct kfunc *f, int side, bool raw)
{
	return (struct dt_attach){
		.kind = sides[side].kind,
		.abi = sides[side].abi,
		.target = f->name,
		.module = is_module(f->module) ? f->module : NULL,
		.btf = f->btf,
		.btf_id = f->id,
		.only_kprobe = raw,
		.nargs = DT_MAXARGS, /* until the prototype is read */
		.returns = true,
		.nkeys = 1,
	};
}

static int make(struct dt_probes *ps, const struct dt_provider *self, struct kfunc *f, int side)
{
	struct dt_attach model = model_of(f, side, is_raw(self)), *at;
	u8 bit = (u8)(1u << (side + (is_raw(self) ? NSIDES : 0)));

	if (f->made & bit)
		return 0;
	f->made |= bit;
	at = dt_probes_add_attach(ps, &model);
	return at && dt_probes_add(ps, self, 0, f->module, f->name, sides[side].name, at, 0, f) ? 0 :
												  -1;
}

static int make_sides(struct dt_probes *ps, const struct dt_provider *self, struct kfunc *f,
		      const struct dt_field *name)
{
	int side;

	for (side = 0; side < NSIDES; side++)
		if (dt_field_match(name, sides[side].name) && make(ps, self, f, side))
			return -1;
	return 0;
}

/* Only functions whose names are meant for fbt are looked for in modules: that opens the types of all of them.  1: there
 * is none. */
static int provide_one(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		       const struct dt_field *mod, const struct dt_field *name)
{
	struct search s = { .ps = ps, .module = mod, .name = d->func };
	struct dt_btf *b = ps->types ? dt_types_btf(ps->types) : NULL;
	u32 i;

	if (b)
		find_in(KERNEL, b, &s);
	if (b && !s.n && !s.failed && strcmp(d->prov, self->name) == 0)
		dt_types_each_module(ps->types, find_in, &s);
	if (s.failed)
		return -1;
	for (i = 0; i < s.n; i++)
		if (make_sides(ps, self, s.found[i], name))
			return -1;
	return s.n == 0;
}

static bool is_wanted(const struct dt_kfuncs *t, const struct kfunc *f, bool raw)
{
	if (f->twice || (!raw && !f->btf))
		return false;
	return f->traceable || !t->traceable_known;
}

static int provide_many(struct dt_probes *ps, const struct dt_provider *self,
			const struct dt_field *mod, const struct dt_field *func,
			const struct dt_field *name)
{
	struct dt_kfuncs *t = ps->kfuncs;
	u32 i;

	if (read_types(ps) || read_traceable(ps))
		return -1;
	for (i = 0; i < t->list.n; i++) {
		struct kfunc *f = t->list.v[i];

		if (is_wanted(t, f, is_raw(self)) && dt_field_match(mod, f->module) &&
		    dt_field_match(func, f->name) && make_sides(ps, self, f, name))
			return -1;
	}
	return 0;
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_field mod = dt_field_of(d->mod), func = dt_field_of(d->func),
			name = dt_field_of(d->name);
	int rv;

	if (!dt_field_match(&name, sides[ENTRY].name) && !dt_field_match(&name, sides[RETURN].name))
		return 0;
	/* where no function can be traced, these are found by those who name the provider, and told so */
	if (dt_field_of(d->prov).how == DT_FIELD_ANY && ps->sources.traces_functions &&
	    !ps->sources.traces_functions(ps->sources.arg))
		return 0;
	if (!table(ps))
		return -1;
	if (func.how != DT_FIELD_LITERAL)
		return provide_many(ps, self, &mod, &func, &name);
	rv = provide_one(ps, self, d, &mod, &name);
	/* functions without a description are in the list of tracefs only */
	if (rv > 0 && is_raw(self) && strcmp(d->prov, self->name) == 0)
		return provide_many(ps, self, &mod, &func, &name);
	return rv < 0 ? -1 : 0;
}

bool dt_kfunc_model(struct dt_probes *ps, const char *module, const char *name, bool at_return,
		    struct dt_attach *model)
{
	struct dt_btf *b =
		ps->types && table(ps) ? dt_types_module(ps->types, module ? module : KERNEL) : NULL;
	u32 id = b ? dt_btf_find(b, name, DT_BTF_FUNC) : 0;
	struct dt_btf_view v;
	struct kfunc *f;

	if (!id || !dt_btf_type(b, id, &v))
		return false;
	f = add_described(ps, module ? module : KERNEL, v.name, b, id);
	if (f)
		*model = model_of(f, at_return ? RETURN : ENTRY, false);
	return f != NULL;
}

/* Of a return: the place, which is not known, and the value. */
static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	const struct kfunc *f = p->priv;
	struct dt_btf_proto proto;

	if (is_raw(p->prov) || !f->btf || !dt_btf_proto(f->btf, f->id, &proto))
		return -1;
	if (p->at->kind == DT_AT_KPROBE)
		return dt_btf_args(ps, f->btf, &proto, 0, out);
	out->type[0] = "int";
	out->argc = 1;
	if (!proto.ret)
		return 0;
	proto.n = 1;
	proto.param[0] = proto.ret;
	return dt_btf_args(ps, f->btf, &proto, 0, out);
}

static const struct dt_stability stability = {
	.mod = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.func = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.name = DT_ATTR(EVOLVING, EVOLVING, ISA),
	.args = DT_ATTR(PRIVATE, PRIVATE, ISA),
};

const struct dt_provider dt_provider_fbt = {
	.name = "fbt",
	.attr = DT_ATTR(EVOLVING, EVOLVING, ISA),
	.stability = &stability,
	.provide = provide,
	.args = args,
};

const struct dt_provider dt_provider_rawfbt = {
	.name = "rawfbt",
	.attr = DT_ATTR(EVOLVING, EVOLVING, ISA),
	.stability = &stability,
	.provide = provide,
	.args = args,
};
