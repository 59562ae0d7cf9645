/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pragma.c - control lines: #pragma, #error, #ident, #line and # N "file".
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lang/compile.h"

#define MAX_WORDS 16

struct words {
	struct {
		const char *s; /* without quotes */
		struct dt_loc loc;
	} w[MAX_WORDS + 1]; /* the one after the last is "" */
	u32 n;
	struct dt_loc loc; /* the whole line */
};

static void *malformed(struct dt_compile *c, const struct words *w, const char *usage)
{
	return dt_err(c, D_PRAGMA_MALFORM, w->loc, "malformed control line, expected: %s", usage);
}

/* ---- #pragma D ----------------------------------------------------------------------------- */

static void pragma_option(struct dt_compile *c, struct words *w, u32 i)
{
	const char *err = "options cannot be set here", *eq, *name = w->w[i].s, *value = NULL;

	if (w->n != i + 1) {
		malformed(c, w, "#pragma D option name[=value]");
		return;
	}
	eq = strchr(name, '=');
	if (eq) {
		value = eq + 1;
		name = dt_arena_strndup(c->a, name, (size_t)(eq - name));
	}
	if (!c->env->pragma_option || c->env->pragma_option(c->env->arg, name, value, &err))
		dt_err(c, D_PRAGMA_OPTSET, w->w[i].loc, "failed to set option '%s'%s%s%s: %s", name,
		       value ? " to '" : "", value ? value : "", value ? "'" : "", err);
	else if (c->env->refresh)
		c->env->refresh(c->env->arg, c->env);
}

static bool one_of(const char *s, size_t n, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == n && strncasecmp(*names, s, n) == 0)
			return true;
	return false;
}

static void remember(struct dt_compile *c, const char *what, const char *name, struct dt_loc loc)
{
	struct dt_pragma *p = dt_vec_push(c->a, &c->pragmas);

	p->what = what;
	p->name = name;
	p->loc = loc;
}

/* They are about names that programs share: none of a module, none of a thread or clause. */
static bool scope_ok(struct dt_compile *c, const struct words *w, u32 i)
{
	if (!strchr(w->w[i].s, '`') && !strstr(w->w[i].s, "->"))
		return true;
	dt_err(c, D_PRAGMA_SCOPE, w->w[i].loc, "#pragma %s cannot be about a name with a scope: %s",
	       w->w[i - 2].s, w->w[i].s);
	return false;
}

static void pragma_attributes(struct dt_compile *c, struct words *w, u32 i)
{
	static const char *const parts[] = { "provider", "module", "function", "name", "args", NULL };
	dtrace_attribute_t *attr = dt_arena_new(c->a, dtrace_attribute_t);

	if (w->n >= i + 1 && !dt_attr_parse(w->w[i].s, attr))
		dt_err(c, D_PRAGMA_MALFORM, w->w[i].loc, "invalid attributes: %s", w->w[i].s);
	else if (w->n == i + 2 && scope_ok(c, w, i + 1)) {
		remember(c, "attributes", w->w[i + 1].s, w->w[i + 1].loc);
		dt_put(c, &c->names.attrs, w->w[i + 1].s, attr);
	} else if (w->n == i + 2)
		;
	else if (w->n != i + 4 || strcmp(w->w[i + 1].s, "provider") != 0 ||
		 !one_of(w->w[i + 3].s, strlen(w->w[i + 3].s), parts))
		malformed(c, w, "#pragma D attributes S/S/C name, or S/S/C provider P part");
}

static void pragma_binding(struct dt_compile *c, struct words *w, u32 i)
{
	u32 version;

	if (w->n != i + 2) {
		malformed(c, w, "#pragma D binding \"version\" name");
	} else if (!dt_version_parse(w->w[i].s, &version)) {
		dt_err(c, D_PRAGMA_MALFORM, w->w[i].loc, "invalid version: %s", w->w[i].s);
	} else if (scope_ok(c, w, i + 1)) {
		remember(c, "binding", w->w[i + 1].s, w->w[i + 1].loc);
		dt_put(c, &c->names.bindings, w->w[i + 1].s, (void *)(uintptr_t)version);
	}
}

/* Libraries whose names programs ask for: what they hold elsewhere is built in here. */
static bool has_library(struct dt_compile *c, const char *name)
{
	static const char *const elsewhere[] = { "udp.d", "cpc.d", "ufs.d", "pcap.d", NULL };

	return dt_lib_exists(name) || dt_htab_get(&c->st->userlibs, name) ||
	       one_of(name, strlen(name), elsewhere);
}

static bool has_provider(struct dt_compile *c, const char *name)
{
	int i;

	for (i = 0; dt_providers[i]; i++)
		if (strcmp(dt_providers[i]->name, name) == 0)
			return true;
	return false;
}

static bool has_module(struct dt_compile *c, const char *name)
{
	static const char *const names[] = { "kernel", "vmlinux", "genunix", "unix", NULL };

	return one_of(name, strlen(name), names) || dt_types_module(c->ts, name);
}

static void pragma_depends(struct dt_compile *c, struct words *w, u32 i)
{
	static const struct {
		const char *what;
		bool (*has)(struct dt_compile *c, const char *name);
	} kinds[] = { { "library", has_library },
		      { "provider", has_provider },
		      { "module", has_module } };
	size_t k;

	for (k = 0; k < DT_NELEM(kinds) && w->n == i + 2; k++) {
		if (strcmp(kinds[k].what, w->w[i].s) != 0)
			continue;
		if (!kinds[k].has(c, w->w[i + 1].s))
			dt_err(c, D_PRAGMA_DEPEND, w->w[i + 1].loc,
			       "program requires %s %s, which is not here", w->w[i].s, w->w[i + 1].s);
		else if (kinds[k].has == has_library)
			dt_lib_load(c, w->w[i + 1].s);
		return;
	}
	malformed(c, w, "#pragma D depends_on library|module|provider name");
}

static void pragma_d(struct dt_compile *c, struct words *w, u32 i)
{
	static const struct {
		const char *name;
		void (*fn)(struct dt_compile *c, struct words *w, u32 i);
	} pragmas[] = {
		{ "option", pragma_option },
		{ "attributes", pragma_attributes },
		{ "binding", pragma_binding },
		{ "depends_on", pragma_depends },
	};
	size_t k;

	if (i == w->n) {
		malformed(c, w, "#pragma D name ...");
		return;
	}
	for (k = 0; k < DT_NELEM(pragmas); k++) {
		if (strcmp(pragmas[k].name, w->w[i].s) == 0) {
			pragmas[k].fn(c, w, i + 1);
			return;
		}
	}
	dt_err(c, D_PRAGMA_INVAL, w->w[i].loc, "invalid D pragma: %s", w->w[i].s);
}

/* ---- the other lines ----------------------------------------------------------------------- */

static void ctl_ident(struct dt_compile *c, struct words *w, u32 i)
{
	if (w->n != i + 1)
		malformed(c, w, "#ident \"text\"");
}

/* n ["file" [flags]] of #line and # : what the next line is */
static void ctl_line(struct dt_compile *c, struct words *w, u32 i)
{
	struct dt_source *src;
	const char *name;
	unsigned long n;
	char *end;

	n = i < w->n ? strtoul(w->w[i].s, &end, 10) : 0;
	if (i >= w->n || !isdigit((unsigned char)w->w[i].s[0]) || *end || n > INT32_MAX / 2) {
		malformed(c, w, "#line number [\"file\"]");
		return;
	}
	c->lx.shifted = true;
	c->lx.shift = (s32)n - (c->lx.line + 1);
	if (i + 1 == w->n)
		return;
	name = w->w[i + 1].s;
	if (strcmp(name, "<stdin>") == 0) /* as the preprocessor calls the program itself */
		name = c->p->src.name;
	if (c->lx.src->name == name || (name && c->lx.src->name && !strcmp(name, c->lx.src->name)))
		return;
	src = dt_arena_new(c->a, struct dt_source);
	*src = *c->lx.src;
	src->name = name;
	c->lx.src = src;
}

static void ctl_error(struct dt_compile *c, struct words *w, u32 i)
{
	const char *text = i < w->n ? c->lx.text + w->w[i].loc.off : "";
	u32 len = i < w->n ? w->loc.off + w->loc.len - w->w[i].loc.off : 0;

	dt_syntax(c, D_PRAGERR, w->loc, "#error: %.*s", (int)DT_MIN(len, 500u), text);
}

static void ctl_pragma(struct dt_compile *c, struct words *w, u32 i);

static const struct {
	const char *name;
	void (*fn)(struct dt_compile *c, struct words *w, u32 i);
} controls[] = {
	{ "error", ctl_error },
	{ "ident", ctl_ident },
	{ "line", ctl_line },
	{ "pragma", ctl_pragma },
};

/* #pragma D ..., #pragma error ... ; those of other compilers are none of our business */
static void ctl_pragma(struct dt_compile *c, struct words *w, u32 i)
{
	size_t k;

	if (i == w->n)
		return;
	if (strcmp(w->w[i].s, "D") == 0) {
		pragma_d(c, w, i + 1);
		return;
	}
	for (k = 0; k < DT_NELEM(controls) - 1; k++)
		if (strcmp(controls[k].name, w->w[i].s) == 0)
			controls[k].fn(c, w, i + 1);
}

/* ---- splitting ----------------------------------------------------------------------------- */

static u32 word_end(const char *s, u32 n, u32 i)
{
	if (s[i] == '"') {
		for (i++; i < n && s[i] != '"'; i++)
			;
		return DT_MIN(i + 1, n);
	}
	while (i < n && !isspace((unsigned char)s[i]))
		i++;
	return i;
}

static void split(struct dt_compile *c, struct words *w, u32 off, u32 n)
{
	const char *s = c->lx.text + off;
	u32 i = 0, start, end;

	while (w->n < MAX_WORDS) {
		while (i < n && isspace((unsigned char)s[i]))
			i++;
		if (i >= n || (s[i] == '/' && i + 1 < n && (s[i + 1] == '*' || s[i + 1] == '/')))
			break;
		start = i;
		i = end = word_end(s, n, i);
		w->w[w->n].loc = dt_lex_loc(c, off + start, end - start);
		if (s[start] == '"') {
			start++;
			end -= end > start && s[end - 1] == '"';
		}
		w->w[w->n++].s = dt_arena_strndup(c->a, s + start, end - start);
	}
	w->w[w->n].s = "";
	w->w[w->n].loc = w->loc;
}

void dt_control_line(struct dt_compile *c, u32 off, u32 len)
{
	struct words w = { 0 };
	size_t i;

	while (len > 1 && isspace((unsigned char)c->lx.text[off + len - 1]))
		len--;
	w.loc = dt_lex_loc(c, off, len);
	split(c, &w, off + 1, len - 1);
	if (w.n == 0)
		return;
	if (isdigit((unsigned char)w.w[0].s[0])) {
		ctl_line(c, &w, 0);
		return;
	}
	for (i = 0; i < DT_NELEM(controls); i++) {
		if (strcmp(controls[i].name, w.w[0].s) == 0) {
			controls[i].fn(c, &w, 1);
			return;
		}
	}
	dt_err(c, D_PRAGCTL_INVAL, w.w[0].loc, "invalid control directive: #%s%s", w.w[0].s,
	       c->env->cflags & DTRACE_C_CPP ? "" : " (the C preprocessor was not asked for)");
}

/* ---- names that pragmas spoke of ----------------------------------------------------------- */

static bool is_declared(struct dt_compile *c, const char *name)
{
	u64 argn;

	return dt_bind_var(c, DT_GLOBAL, name, c->last, false) || dt_bind_inline(c, name) ||
	       dt_bind_builtin(name, &argn) || dt_bind_subr(name) || dt_bind_action(name) ||
	       dt_htab_get(&c->names.typedefs, name) || dt_htab_get(&c->ts->typedefs, name) ||
	       dt_htab_get(&c->names.enums, name) || dt_htab_get(&c->ts->enumerators, name);
}

void dt_pragmas_check(struct dt_compile *c)
{
	u32 i;

	for (i = 0; i < c->pragmas.n; i++)
		if (!is_declared(c, c->pragmas.v[i].name))
			dt_err(c, D_PRAGMA_UNUSED, c->pragmas.v[i].loc,
			       "#pragma %s for %s, which is not declared", c->pragmas.v[i].what,
			       c->pragmas.v[i].name);
}
