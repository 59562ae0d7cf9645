/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - options by name: a row of options.def, a parser for each kind.
 *
 * Values as libdtrace reads them.  No value means "set" for flags; whatever needs a value and has none is
 * refused.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/handle.h"

enum kind {
	FLAG,
	SIZE,
	RATE,
	INT,
	LIMIT,
	POLICY,
	RESIZE,
	EVALTIME,
	TEXT,
	LIST,
	WORD,
	ATTR,
	VERSION,
	ACCEPT,
	PENDING,
	NKINDS
};
enum phase { BEFORE, COMPILE, RUNTIME, DYNAMIC };

#define UNSET DTRACEOPT_UNSET
#define CLEARED -1 /* a flag that was unset by name, which matters when its default is on */

static const struct option {
	const char *name;
	enum kind kind;
	enum phase phase;
	s64 dflt;
} options[DT_NOPTS] = {
#define OPTION(id, name, kind, phase, dflt) [DT_OPT_##id] = { name, kind, phase, dflt },
#include "api/options.def"
#undef OPTION
};

static const struct option *find(const char *name)
{
	size_t i;

	for (i = 0; name && i < DT_NOPTS; i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

/* ---- one parser per kind: 0, or -1 when the text is none ------------------------------------------------ */

/* A non-negative number in C notation and where it ends. */
static int parse_number(const char *text, s64 *val, const char **end)
{
	unsigned long long n;
	char *e;

	errno = 0;
	n = strtoull(text, &e, 0);
	*end = e;
	if (e == text || errno || n > INT64_MAX)
		return -1;
	*val = (s64)n;
	return 0;
}

static int parse_int(const char *text, s64 *val)
{
	const char *end;

	return !text || parse_number(text, val, &end) < 0 || *end ? -1 : 0;
}

static int parse_flag(const char *text, s64 *val)
{
	static const struct {
		const char *name;
		bool on;
	} words[] = {
		{ "yes", true },    { "enable", true },   { "enabled", true },
		{ "true", true },   { "on", true },       { "set", true },
		{ "no", false },    { "disable", false }, { "disabled", false },
		{ "false", false }, { "off", false },     { "unset", false },
		{ "", false },
	};
	size_t i;

	*val = 0; /* as a bare flag reads back: anything but DTRACEOPT_UNSET is set */
	if (!text)
		return 0;
	for (i = 0; i < DT_NELEM(words); i++)
		if (!strcasecmp(words[i].name, text)) {
			*val = words[i].on ? 1 : CLEARED;
			return 0;
		}
	return parse_int(text, val);
}

static int parse_size(const char *text, s64 *val)
{
	static const char suffixes[] = "kmgt";
	const char *end, *suffix;
	unsigned int shift = 0;

	if (!text || parse_number(text, val, &end) < 0)
		return -1;
	if (*end) {
		suffix = strchr(suffixes, tolower((unsigned char)*end));
		if (!suffix || end[1])
			return -1;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (*val > INT64_MAX >> shift)
		return -1;
	*val <<= shift;
	return 0;
}

static int parse_rate(const char *text, s64 *val)
{
	static const struct {
		const char *name;
		s64 ns; /* 0: times per second */
	} units[] = {
		{ "", 1 },
		{ "ns", 1 },
		{ "nsec", 1 },
		{ "us", 1000 },
		{ "usec", 1000 },
		{ "ms", 1000000 },
		{ "msec", 1000000 },
		{ "s", 1000000000 },
		{ "sec", 1000000000 },
		{ "m", 60000000000 },
		{ "min", 60000000000 },
		{ "h", 3600000000000 },
		{ "hour", 3600000000000 },
		{ "d", 86400000000000 },
		{ "day", 86400000000000 },
		{ "hz", 0 },
	};
	const char *end;
	size_t i;

	if (!text || parse_number(text, val, &end) < 0)
		return -1;
	for (i = 0; i < DT_NELEM(units) && strcasecmp(units[i].name, end); i++)
		;
	if (i == DT_NELEM(units))
		return -1;
	if (!units[i].ns)
		*val = *val ? 1000000000 / *val : 0;
	else if (__builtin_mul_overflow(*val, units[i].ns, val))
		return -1;
	return 0;
}

static int parse_word(const char *text, const char *const *words, size_t n, s64 *val)
{
	size_t i;

	for (i = 0; text && i < n; i++)
		if (words[i] && !strcmp(words[i], text)) {
			*val = (s64)i;
			return 0;
		}
	return -1;
}

static const char *const policies[] = {
	[DT_BUFPOLICY_RING] = "ring",
	[DT_BUFPOLICY_FILL] = "fill",
	[DT_BUFPOLICY_SWITCH] = "switch",
};

static int parse_policy(const char *text, s64 *val)
{
	return parse_word(text, policies, DT_NELEM(policies), val);
}

static int parse_resize(const char *text, s64 *val)
{
	static const char *const words[] = {
		[DT_BUFRESIZE_AUTO] = "auto",
		[DT_BUFRESIZE_MANUAL] = "manual",
	};

	return parse_word(text, words, DT_NELEM(words), val);
}

static int parse_evaltime(const char *text, s64 *val)
{
	static const char *const words[] = {
		[DT_EVAL_EXEC] = "exec",
		[DT_EVAL_PREINIT] = "preinit",
		[DT_EVAL_POSTINIT] = "postinit",
		[DT_EVAL_MAIN] = "main",
	};

	return parse_word(text, words, DT_NELEM(words), val);
}

static int parse_limit(const char *text, s64 *val)
{
	if (!text || strcasecmp(text, "unlimited") != 0)
		return parse_size(text, val);
	*val = INT64_MAX;
	return 0;
}

static int parse_any(const char *text, s64 *val)
{
	*val = 0;
	return 0;
}

static int parse_text(const char *text, s64 *val)
{
	*val = 0;
	return text && *text ? 0 : -1;
}

static int parse_attr(const char *text, s64 *val)
{
	dtrace_attribute_t attr;

	*val = 0;
	return text && dt_attr_parse(text, &attr) ? 0 : -1;
}

static int parse_version(const char *text, s64 *val)
{
	u32 version;

	if (!text || !dt_version_parse(text, &version))
		return -1;
	*val = version;
	return 0;
}

static int (*const parse[NKINDS])(const char *text, s64 *val) = {
	[FLAG] = parse_flag,         [SIZE] = parse_size,     [RATE] = parse_rate,
	[INT] = parse_int,           [POLICY] = parse_policy, [RESIZE] = parse_resize,
	[EVALTIME] = parse_evaltime, [ACCEPT] = parse_any,    [TEXT] = parse_text,
	[LIMIT] = parse_limit,       [LIST] = parse_text,     [WORD] = parse_text,
	[PENDING] = parse_any,       [ATTR] = parse_attr,     [VERSION] = parse_version,
};

/* The words that an option of kind WORD takes. */
static bool word_ok(enum dt_optid id, const char *text)
{
	static const struct {
		enum dt_optid id;
		const char *const words[5];
	} rows[] = {
		{ DT_OPT_LATE, { "static", "dynamic" } },
		{ DT_OPT_LINKMODE, { "kernel", "primary", "dynamic", "static" } },
		{ DT_OPT_LINKTYPE, { "elf", "dof" } },
		{ DT_OPT_STDC, { "a", "c", "s", "t" } },
		{ DT_OPT_ENCODING, { "ascii", "utf8" } },
		{ DT_OPT_EVALTIME, { "exec", "preinit", "postinit", "main" } },
	};
	size_t i, k;

	for (i = 0; i < DT_NELEM(rows); i++)
		for (k = 0; rows[i].id == id && rows[i].words[k]; k++)
			if (!strcmp(rows[i].words[k], text))
				return true;
	return false;
}

/* ---- setting --------------------------------------------------------------------------------------------------- */

/* kdefs takes back knodefs, and so on: the last one counts. */
static void unset_opposite(dtrace_hdl_t *h, enum dt_optid id)
{
	static const enum dt_optid pairs[][2] = {
		{ DT_OPT_KDEFS, DT_OPT_KNODEFS },
		{ DT_OPT_UDEFS, DT_OPT_UNODEFS },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(pairs); i++) {
		if (id == pairs[i][0])
			h->opts.val[pairs[i][1]] = UNSET;
		if (id == pairs[i][1])
			h->opts.val[pairs[i][0]] = UNSET;
	}
}

/* Keeps the text: the last one counts, or all do (LIST). */
static int keep_text(dtrace_hdl_t *h, enum dt_optid id, const char *text)
{
	struct dt_given *g = dt_vec_push(&h->arena, &h->opts.given);

	if (!g)
		return dt_set_errno(h, EDT_NOMEM);
	g->id = id;
	g->text = dt_arena_strdup(&h->arena, text);
	if (g->text)
		return 0;
	h->opts.given.n--;
	return dt_set_errno(h, EDT_NOMEM);
}

/* May it be set now? */
static int context_ok(dtrace_hdl_t *h, const struct option *o)
{
	if (o->kind == PENDING)
		return dt_fail(&h->err, EDT_BADOPTVAL, "Option '%s' is not supported yet", o->name);
	if (o->phase == BEFORE && h->compiling)
		return dt_fail(&h->err, EDT_BADOPTCTX,
			       "%s: option '%s' must be set before the program is compiled",
			       dt_errstr(EDT_BADOPTCTX), o->name);
	if (o->phase == RUNTIME && h->active)
		return dt_fail(&h->err, EDT_ACTIVE, "%s: option '%s'", dt_errstr(EDT_ACTIVE),
			       o->name);
	return 0;
}

/* A version that there is, and not one that was given up already. */
static int version_ok(dtrace_hdl_t *h, const char *text, s64 val)
{
	int code = !dt_version_known((u32)val)     ? EDT_VERSUNDEF :
		   val > (s64)dt_version_number(h) ? EDT_VERSREDUCED :
						     0;

	return code ? dt_fail(&h->err, code, "%s: %.64s", dt_errstr(code), text) : 0;
}

int dtrace_setopt(dtrace_hdl_t *h, const char *name, const char *value)
{
	const struct option *o = find(name);
	bool text = o && (o->kind == TEXT || o->kind == LIST || o->kind == WORD || o->kind == ATTR);
	s64 val = 0;

	if (!o)
		return dt_fail(&h->err, EDT_BADOPTNAME, "%s: '%.64s'", dt_errstr(EDT_BADOPTNAME),
			       name ? name : "");
	if (context_ok(h, o) < 0)
		return -1;
	if (parse[o->kind](value, &val) < 0 ||
	    (o->kind == WORD && !word_ok((enum dt_optid)(o - options), value))) {
		if (!value)
			return dt_fail(&h->err, EDT_BADOPTVAL, "Option '%s' needs a value", o->name);
		if (o->kind == VERSION)
			return dt_fail(&h->err, EDT_VERSINVAL, "%s: '%.64s'",
				       dt_errstr(EDT_VERSINVAL), value);
		return dt_fail(&h->err, EDT_BADOPTVAL, "%s '%s': '%.64s'", dt_errstr(EDT_BADOPTVAL),
			       o->name, value);
	}
	if (o->kind == VERSION && version_ok(h, value, val) < 0)
		return -1;
	if (text && keep_text(h, (enum dt_optid)(o - options), value) < 0)
		return -1;
	h->opts.val[o - options] = val;
	unset_opposite(h, (enum dt_optid)(o - options));
	return 0;
}

int dtrace_getopt(dtrace_hdl_t *h, const char *name, dtrace_optval_t *value)
{
	const struct option *o = find(name);
	s64 set;

	if (!o || o->phase <= COMPILE)
		return dt_fail(&h->err, EDT_BADOPTNAME, "%s: '%.64s'", dt_errstr(EDT_BADOPTNAME),
			       name ? name : "");
	set = h->opts.val[o - options];
	if (o->kind == FLAG)
		*value = set == CLEARED || (set == UNSET && !o->dflt) ? UNSET : DT_MAX(set, (s64)0);
	else
		*value = set == UNSET ? o->dflt : set;
	return 0;
}

extern char **environ;

/* DTRACE_OPT_BUFSIZE=1m, when the prefix is DTRACE_OPT_: what is there but empty counts as no value. */
static int set_from_env(dtrace_hdl_t *h, const char *var)
{
	const char *eq = strchr(var, '=');
	char name[64];
	size_t i, n = eq ? (size_t)(eq - var) : 0;

	if (!n || n >= sizeof(name))
		return 0;
	for (i = 0; i < n; i++)
		name[i] = (char)tolower((unsigned char)var[i]);
	name[n] = '\0';
	return dtrace_setopt(h, name, eq[1] ? eq + 1 : NULL);
}

int dtrace_setoptenv(dtrace_hdl_t *h, const char *prefix)
{
	size_t len = strlen(prefix);
	char **e;

	for (e = environ; e && *e; e++)
		if (!strncmp(*e, prefix, len) && set_from_env(h, *e + len) < 0)
			return -1;
	return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

s64 dt_opt(const dtrace_hdl_t *h, enum dt_optid id)
{
	const struct option *o = &options[id];
	s64 set = h->opts.val[id];

	if (o->kind == FLAG)
		return set == UNSET ? o->dflt : set != CLEARED;
	return set == UNSET ? o->dflt : set;
}

const char *dt_opt_text(const dtrace_hdl_t *h, enum dt_optid id)
{
	u32 i;

	for (i = h->opts.given.n; i-- > 0;)
		if (h->opts.given.v[i].id == id)
			return h->opts.given.v[i].text;
	return NULL;
}

u32 dt_opt_u32(const dtrace_hdl_t *h, enum dt_optid id, u32 least, u32 most)
{
	s64 val = dt_opt(h, id);

	return val<(s64)least ? least : val>(s64) most ? most : (u32)val;
}

u32 dt_opt_cflags(const dtrace_hdl_t *h)
{
	static const struct {
		enum dt_optid id;
		u32 flag;
	} flags[] = {
		{ DT_OPT_CPP, DTRACE_C_CPP },
		{ DT_OPT_ARGREF, DTRACE_C_ARGREF },
		{ DT_OPT_DEFAULTARGS, DTRACE_C_DEFARG },
		{ DT_OPT_EMPTY, DTRACE_C_EMPTY },
		{ DT_OPT_ERRTAGS, DTRACE_C_ETAGS },
		{ DT_OPT_KNODEFS, DTRACE_C_KNODEF },
		{ DT_OPT_NOLIBS, DTRACE_C_NOLIBS },
		{ DT_OPT_PSPEC, DTRACE_C_PSPEC },
		{ DT_OPT_UNODEFS, DTRACE_C_UNODEF },
		{ DT_OPT_ZDEFS, DTRACE_C_ZDEFS },
		{ DT_OPT_VERBOSE, DTRACE_C_DIFV },
	};
	u32 set = 0;
	size_t i;

	for (i = 0; i < DT_NELEM(flags); i++)
		if (dt_opt(h, flags[i].id))
			set |= flags[i].flag;
	return set;
}
