/* SPDX-License-Identifier: Apache-2.0 */
/* probes.c - probes and their descriptions: listing, facts, text forms. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/handle.h"

/* ---- listing --------------------------------------------------------------------------------------------------- */

static void pdesc_from(struct dt_pdesc *d, const dtrace_probedesc_t *pd)
{
	*d = (struct dt_pdesc){ .prov = "", .mod = "", .func = "", .name = "" };
	if (!pd)
		return;
	d->id = pd->dtpd_id;
	if (d->id)
		return;
	d->prov = pd->dtpd_provider;
	d->mod = pd->dtpd_mod;
	d->func = pd->dtpd_func;
	d->name = pd->dtpd_name;
}

struct iteration {
	dtrace_hdl_t *h;
	dtrace_probe_f *f;
	void *arg;
	bool any;
	int rv;
};

static int iterate(struct dt_probe *p, void *arg)
{
	struct iteration *it = arg;
	dtrace_probedesc_t pd;

	it->any = true;
	dt_probe_desc(p, &pd);
	it->rv = it->f(it->h, &pd, it->arg);
	return it->rv ? 1 : 0;
}

int dtrace_probe_iter(dtrace_hdl_t *h, const dtrace_probedesc_t *pattern, dtrace_probe_f *f, void *arg)
{
	struct iteration it = { .h = h, .f = f, .arg = arg };
	struct dt_pdesc d;

	pdesc_from(&d, pattern);
	if (dt_probes_match(&h->probes, &d, iterate, &it) < 0)
		return -1;
	return it.any ? it.rv : dt_set_errno(h, EDT_NOPROBE);
}

/* ---- facts ----------------------------------------------------------------------------------------------------- */

struct only {
	const struct dt_probe *p;
	u32 n;
};

static int only_one(struct dt_probe *p, void *arg)
{
	struct only *o = arg;

	o->p = p;
	return ++o->n > 1;
}

int dtrace_probe_info(dtrace_hdl_t *h, const dtrace_probedesc_t *pd, dtrace_probeinfo_t *info)
{
	struct only o = { 0 };
	struct dt_pdesc d;

	pdesc_from(&d, pd);
	if (dt_probes_match(&h->probes, &d, only_one, &o) < 0)
		return -1;
	if (o.n != 1)
		return dt_set_errno(h, o.n ? EDT_BADPGLOB : EDT_NOPROBE);
	if (dt_probe_args(&h->probes, o.p, &h->infoargs) < 0)
		h->infoargs.argc = 0; /* not known is no error: there are argN */
	*info = (dtrace_probeinfo_t){
		.dtp_attr = dt_probe_attr(o.p),
		.dtp_arga = dt_probe_args_attr(o.p),
		.dtp_argv = h->infoargs.type,
		.dtp_argc = h->infoargs.argc,
	};
	return 0;
}

int dtrace_id2desc(dtrace_hdl_t *h, dtrace_id_t id, dtrace_probedesc_t *pd)
{
	struct dt_probe *p = dt_probes_byid(&h->probes, id);

	if (!p)
		return dt_set_errno(h, EDT_BADID);
	dt_probe_desc(p, pd);
	return 0;
}

int dtrace_provider_modules(dtrace_hdl_t *h, const char **names, int n)
{
	int i;

	for (i = 0; dt_providers[i]; i++)
		if (i < n)
			names[i] = dt_providers[i]->name;
	return i;
}

/* ---- macro variables in descriptions -------------------------------------------------------------------- */

static bool macro_number(const dtrace_hdl_t *h, const char *name, size_t len, s64 *val)
{
	const struct {
		const char *name;
		s64 val;
	} macros[] = {
		{ "target", h->target }, { "pid", h->env.pid }, { "ppid", h->env.ppid },
		{ "pgid", h->env.pgid }, { "sid", h->env.sid }, { "uid", h->env.uid },
		{ "euid", h->env.euid }, { "gid", h->env.gid }, { "egid", h->env.egid },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(macros); i++)
		if (strlen(macros[i].name) == len && !strncmp(macros[i].name, name, len)) {
			*val = macros[i].val;
			return *val >= 0;
		}
	return false;
}

/* $1, $$1 and $target: what stands at s (behind the dollar signs) goes to out; false when there is none. */
static bool expand_one(const dtrace_hdl_t *h, const char *s, size_t len, int argc,
		       char *const argv[], struct dt_str *out)
{
	s64 n;

	if (len && isdigit((unsigned char)*s)) {
		char *end;
		unsigned long i = strtoul(s, &end, 10);

		if (end != s + len || i >= (unsigned long)DT_MAX(argc, 0) || !argv[i])
			return false;
		dt_str_puts(out, argv[i]);
		return true;
	}
	if (!macro_number(h, s, len, &n))
		return false;
	dt_str_printf(out, "%lld", (long long)n);
	return true;
}

static bool expand(const dtrace_hdl_t *h, const char *s, int argc, char *const argv[],
		   struct dt_str *out)
{
	while (*s) {
		size_t n = strcspn(s, "$"), len = 0;

		dt_str_putn(out, s, n);
		s += n;
		if (!*s)
			break;
		s += s[1] == '$' ? 2 : 1;
		while (isalnum((unsigned char)s[len]) || s[len] == '_')
			len++;
		if (!expand_one(h, s, len, argc, argv, out))
			return false;
		s += len;
	}
	return true;
}

/* ---- text to description and back ------------------------------------------------------------------------ */

static bool copy_field(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	memset(to, 0, size);
	if (n >= size)
		return false;
	memcpy(to, from, n);
	return true;
}

static bool desc_from(dtrace_probedesc_t *pd, const struct dt_pdesc *d)
{
	pd->dtpd_id = d->id;
	return copy_field(pd->dtpd_provider, sizeof(pd->dtpd_provider), d->prov) &&
	       copy_field(pd->dtpd_mod, sizeof(pd->dtpd_mod), d->mod) &&
	       copy_field(pd->dtpd_func, sizeof(pd->dtpd_func), d->func) &&
	       copy_field(pd->dtpd_name, sizeof(pd->dtpd_name), d->name);
}

int dtrace_xstr2desc(dtrace_hdl_t *h, dtrace_probespec_t spec, const char *text, int argc,
		     char *const argv[], dtrace_probedesc_t *pd)
{
	struct dt_str full = { 0 };
	struct dt_arena arena;
	struct dt_pdesc d;
	const char *why = dt_errstr(EDT_BADSPEC);
	int rv = 0;

	dt_arena_init(&arena);
	if (!expand(h, text, argc, argv, &full))
		rv = dt_fail(&h->err, EDT_BADSPCV, "%s: '%.128s'", dt_errstr(EDT_BADSPCV), text);
	else if (full.failed)
		rv = dt_set_errno(h, EDT_NOMEM);
	else if (dt_pdesc_parse(&arena, dt_str_cstr(&full), spec, &d, &why) < 0)
		rv = dt_fail(&h->err, EDT_BADSPEC, "%s", why);
	else if (!desc_from(pd, &d))
		rv = dt_fail(&h->err, EDT_BADSPEC, "%s: a field is too long", dt_errstr(EDT_BADSPEC));
	dt_arena_fini(&arena);
	dt_str_fini(&full);
	return rv;
}

int dtrace_str2desc(dtrace_hdl_t *h, dtrace_probespec_t spec, const char *text, dtrace_probedesc_t *pd)
{
	return dtrace_xstr2desc(h, spec, text, 0, NULL, pd);
}

char *dtrace_desc2str(const dtrace_probedesc_t *pd, char *buf, size_t size)
{
	if (pd->dtpd_id)
		snprintf(buf, size, "%u", pd->dtpd_id);
	else
		snprintf(buf, size, "%s:%s:%s:%s", pd->dtpd_provider, pd->dtpd_mod, pd->dtpd_func,
			 pd->dtpd_name);
	return buf;
}

/* ---- stability ----------------------------------------------------------------------------------------------- */

const char *dtrace_stability_name(dtrace_stability_t s)
{
	return s < dt_nstabilities ? dt_stabilities[s] : NULL;
}

const char *dtrace_class_name(dtrace_class_t c)
{
	return c < dt_nclasses ? dt_classes[c] : NULL;
}

char *dtrace_attr2str(dtrace_attribute_t a, char *buf, size_t size)
{
	const char *name = dtrace_stability_name(a.dtat_name),
		   *data = dtrace_stability_name(a.dtat_data);
	const char *class = dtrace_class_name(a.dtat_class);

	if (!name || !data || !class)
		return NULL;
	snprintf(buf, size, "%s/%s/%s", name, data, class);
	return buf;
}

int dtrace_str2attr(const char *s, dtrace_attribute_t *a)
{
	return dt_attr_parse(s, a) ? 0 : -1;
}
