/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake.c - a libdtrace that does what a script says, for what the real thing will not do when asked: failures of
 * every call, odd records, drops, callbacks that are cut short.  It needs no kernel and no privilege.
 *
 * The script is the "D program".  Each line is a word and its arguments:
 *
 *	fail CALL CODE [TEXT]     from now on CALL (setopt, exec, go, stop, work, snap, walk, status) fails
 *	diag LINE COLUMN TEXT     strcompile fails with this finding (may be repeated)
 *	verifier TEXT             go fails and there is a log
 *	due MS                    work is due after so long
 *	block MS                  work takes so long before anything else happens
 *	drop KIND N               work reports a drop
 *	fault CODE                work reports a fault
 *	probe ID P:M:F:N [TIMES]  a firing; its records follow:
 *	  int|uint SIZE VALUE, float SIZE VALUE, ptr VALUE, str SIZE TEXT, bytes HEX, stack PC..., ustack PID PC...,
 *	  sym|mod ADDR, usym|umod|uaddr PID ADDR, none, printf TEXT, printa PIECE|PIECE..., tracemem SIZE HEX,
 *	  exit STATUS, past (a record beyond the end of the data)
 *	agg VARID ACTION [NORMAL] a row of an aggregation: ACTION is DTRACEAGG_* - DTRACEACT_AGGREGATION; its keys follow
 *	                          like records, then
 *	  words N...              its value
 *	rows TIMES                the last row so many times
 *
 * Addresses resolve to "mod`symADDR+0x1"; odd ones to nothing but a number.
 */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FAKE_ECOMPILE 2001
#define MAXRECS 32
#define MAXDATA 4096
#define MAXITEMS 64
#define MAXDIAGS 8

enum kind { FIRING, ROW, DROP, FAULT };

struct item {
	enum kind kind;
	dtrace_epid_t epid;
	long times;
	dtrace_probedesc_t probe;
	dtrace_recdesc_t recs[MAXRECS];
	char *text[MAXRECS];
	int nrecs;
	char data[MAXDATA];
	uint32_t used;
	long a, b; /* DROP: kind, number; FAULT: code; ROW: varid, normal */
	int action;
};

struct dtrace_hdl {
	int err;
	char msg[256];
	struct {
		char call[16];
		int code;
		char text[128];
	} fails[8];
	int nfails;
	char *diags[MAXDIAGS];
	dtrace_diag_t diag[MAXDIAGS];
	int ndiags;
	char *log;
	long due, block;
	struct item *items[MAXITEMS];
	int nitems;
	bool active, stopped, exited, quiet;
	int fd;
	dtrace_handle_err_f *on_err;
	dtrace_handle_drop_f *on_drop;
	dtrace_handle_buffered_f *on_buf;
	void *err_arg, *drop_arg, *buf_arg;
	char argtext[128];
};

struct dtrace_prog {
	int unused;
};
static struct dtrace_prog the_prog;

static atomic_int handles, forked;

/* For the tests, by ctypes. */
EXPORT int fake_handles(void);
EXPORT int fake_forked_handles(void);
int fake_forked_handles(void)
{
	return atomic_load(&forked);
}

int fake_handles(void)
{
	return atomic_load(&handles);
}

static int set_error(dtrace_hdl_t *h, int code, const char *text)
{
	h->err = code;
	snprintf(h->msg, sizeof(h->msg), "%s", text);
	return -1;
}

/* Does the script want this call to fail? */
static bool failing(dtrace_hdl_t *h, const char *call)
{
	for (int i = 0; i < h->nfails; i++) {
		if (strcmp(h->fails[i].call, call) == 0) {
			set_error(h, h->fails[i].code, h->fails[i].text);
			return true;
		}
	}
	return false;
}

static void pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- the handle -------------------------------------------------------------------------------- */

static dtrace_hdl_t *fake_open(int version, int flags, int *err)
{
	const char *fail = getenv("FAKE_OPEN_ERROR");
	dtrace_hdl_t *h;

	if (fail) {
		*err = atoi(fail);
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	if (!h) {
		*err = ENOMEM;
		return NULL;
	}
	h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->due = -1;
	atomic_fetch_add(&handles, 1);
	return h;
}

static void item_free(struct item *it)
{
	for (int i = 0; i < it->nrecs; i++)
		free(it->text[i]);
	free(it);
}

/* What was read does not come again; it stays where it is, since a walk may be under way. */
static void items_done(dtrace_hdl_t *h, bool rows)
{
	for (int i = 0; i < h->nitems; i++)
		if ((h->items[i]->kind == ROW) == rows)
			h->items[i]->times = 0;
}

static void fake_close(dtrace_hdl_t *h)
{
	for (int i = 0; i < h->nitems; i++)
		item_free(h->items[i]);
	for (int i = 0; i < h->ndiags; i++)
		free(h->diags[i]);
	free(h->log);
	close(h->fd);
	free(h);
	atomic_fetch_sub(&handles, 1);
}

static int fake_errno(dtrace_hdl_t *h)
{
	return h->err;
}

static const char *fake_errmsg(dtrace_hdl_t *h, int err)
{
	if (!h)
		return err == 1 ? "DTrace requires additional privileges" : strerror(err);
	return h->msg;
}

static int fake_setopt(dtrace_hdl_t *h, const char *name, const char *value)
{
	if (failing(h, "setopt"))
		return -1;
	if (strcmp(name, "echo") == 0) /* tells what it was given */
		return set_error(h, 7, value ? value : "(null)");
	if (strcmp(name, "bufsize") && strcmp(name, "aggsize") && strcmp(name, "quiet"))
		return set_error(h, 8, "No such option");
	if (strcmp(name, "quiet") == 0)
		h->quiet = !value || strcmp(value, "false");
	return 0;
}

static int fake_getopt(dtrace_hdl_t *h, const char *name, dtrace_optval_t *value)
{
	*value = h->quiet ? 0 : DTRACEOPT_UNSET;
	return 0;
}

/* ---- the script ------------------------------------------------------------------------------------ */

static struct item *item_new(dtrace_hdl_t *h, enum kind kind)
{
	struct item *it = h->nitems < MAXITEMS ? calloc(1, sizeof(*it)) : NULL;

	if (!it)
		return NULL;
	it->kind = kind;
	it->epid = (dtrace_epid_t)h->nitems + 1;
	it->times = 1;
	h->items[h->nitems++] = it;
	return it;
}

static dtrace_recdesc_t *rec_new(struct item *it, int action, dtrace_datakind_t kind, uint32_t size)
{
	dtrace_recdesc_t *rec = &it->recs[it->nrecs];

	if (it->nrecs == MAXRECS || it->used + size > MAXDATA)
		return NULL;
	rec->dtrd_action = (dtrace_actkind_t)action;
	rec->dtrd_size = size;
	rec->dtrd_offset = it->used;
	rec->dtrd_alignment = 1;
	rec->dtrd_uarg = (uint64_t)kind + 1;
	it->used += size;
	it->nrecs++;
	return rec;
}

static bool put(struct item *it, int action, dtrace_datakind_t kind, const void *p, uint32_t size)
{
	uint32_t at = it->used;

	if (!rec_new(it, action, kind, size))
		return false;
	memcpy(it->data + at, p, size);
	return true;
}

static uint32_t from_hex(const char *s, unsigned char *out, uint32_t max)
{
	uint32_t n = 0;
	unsigned int byte;

	while (n < max && sscanf(s, "%2x", &byte) == 1) {
		out[n++] = (unsigned char)byte;
		s += 2;
	}
	return n;
}

static uint32_t numbers(const char *s, uint64_t *out, uint32_t max)
{
	uint32_t n = 0;
	char *end;

	for (; n < max; s = end) {
		out[n] = *s == '-' || (*s == ' ' && s[1] == '-') ? (uint64_t)strtoll(s, &end, 0) :
								   strtoull(s, &end, 0);
		if (end == s)
			break;
		n++;
	}
	return n;
}

static bool put_number(struct item *it, const char *word, const char *rest)
{
	uint64_t v[2] = { 0 };
	double d;
	float f;

	numbers(rest, v, 2);
	if (strcmp(word, "int") == 0)
		return put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_INT, &v[1], (uint32_t)v[0]);
	if (strcmp(word, "uint") == 0)
		return put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_UINT, &v[1], (uint32_t)v[0]);
	if (strcmp(word, "ptr") == 0)
		return put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_PTR, &v[0], 8);
	if (strcmp(word, "exit") == 0)
		return put(it, DTRACEACT_EXIT, DTRACE_DATA_INT, &v[0], 4);
	d = strtod(strchr(rest, ' '), NULL);
	f = (float)d;
	return v[0] == 4 ? put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_FLOAT, &f, 4) :
			   put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_FLOAT, &d, 8);
}

static bool put_bytes(struct item *it, const char *word, char *rest)
{
	unsigned char buf[512] = { 0 };
	uint32_t shown, n;

	if (strcmp(word, "bytes") == 0) {
		n = from_hex(rest, buf, sizeof(buf));
		return put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_BYTES, buf, n);
	}
	shown = (uint32_t)strtoul(rest, &rest, 10);
	rest += *rest == ' ';
	if (strcmp(word, "str") == 0) {
		memcpy(buf, rest, strnlen(rest, sizeof(buf)));
		return put(it, DTRACEACT_DIFEXPR, DTRACE_DATA_STR, buf, shown);
	}
	n = from_hex(rest, buf, sizeof(buf));
	return put(it, DTRACEACT_TRACEMEM, DTRACE_DATA_BYTES, buf, n) &&
	       put(it, DTRACEACT_TRACEMEM_DYNSIZE, DTRACE_DATA_UINT, &shown, 4);
}

static const struct {
	const char *word;
	int action;
	dtrace_datakind_t kind;
} address_words[] = {
	{ "stack", DTRACEACT_STACK, DTRACE_DATA_STACK },
	{ "ustack", DTRACEACT_USTACK, DTRACE_DATA_USTACK },
	{ "sym", DTRACEACT_SYM, DTRACE_DATA_SYM },
	{ "mod", DTRACEACT_MOD, DTRACE_DATA_MOD },
	{ "usym", DTRACEACT_USYM, DTRACE_DATA_USYM },
	{ "umod", DTRACEACT_UMOD, DTRACE_DATA_UMOD },
	{ "uaddr", DTRACEACT_UADDR, DTRACE_DATA_UADDR },
};

static bool put_record(struct item *it, const char *word, char *rest)
{
	uint64_t v[16];

	for (size_t i = 0; i < sizeof(address_words) / sizeof(address_words[0]); i++)
		if (strcmp(word, address_words[i].word) == 0)
			return put(it, address_words[i].action, address_words[i].kind, v,
				   8 * numbers(rest, v, 16));
	if (strcmp(word, "printf") == 0 || strcmp(word, "printa") == 0) {
		it->text[it->nrecs] = strdup(rest);
		return rec_new(it, word[5] == 'f' ? DTRACEACT_PRINTF : DTRACEACT_PRINTA,
			       DTRACE_DATA_NONE, 0);
	}
	if (strcmp(word, "none") == 0)
		return rec_new(it, DTRACEACT_DIFEXPR, DTRACE_DATA_NONE, 0);
	if (strcmp(word, "past") == 0) {
		dtrace_recdesc_t *rec = rec_new(it, DTRACEACT_DIFEXPR, DTRACE_DATA_INT, 8);

		return rec && (it->used = rec->dtrd_offset + 4);
	}
	if (strcmp(word, "str") == 0 || strcmp(word, "bytes") == 0 || strcmp(word, "tracemem") == 0)
		return put_bytes(it, word, rest);
	return put_number(it, word, rest);
}

static bool add_probe(dtrace_hdl_t *h, char *rest)
{
	struct item *it = item_new(h, FIRING);
	dtrace_probedesc_t *d;
	char *at = rest, *field[4];

	if (!it)
		return false;
	d = &it->probe;
	d->dtpd_id = (dtrace_id_t)strtoul(rest, &at, 10);
	at++;
	for (int i = 0; i < 4; i++)
		field[i] = strsep(&at, i < 3 ? ":" : " ");
	snprintf(d->dtpd_provider, sizeof(d->dtpd_provider), "%s", field[0]);
	snprintf(d->dtpd_mod, sizeof(d->dtpd_mod), "%s", field[1]);
	snprintf(d->dtpd_func, sizeof(d->dtpd_func), "%s", field[2]);
	snprintf(d->dtpd_name, sizeof(d->dtpd_name), "%s", field[3]);
	it->times = at ? strtol(at, NULL, 10) : 1;
	return true;
}

static bool add_agg(dtrace_hdl_t *h, const char *rest)
{
	struct item *it = item_new(h, ROW);

	if (!it)
		return false;
	it->b = 1;
	sscanf(rest, "%ld %d %ld", &it->a, &it->action, &it->b);
	return rec_new(it, DTRACEACT_DIFEXPR, DTRACE_DATA_INT, 8);
}

static bool add_words(struct item *it, const char *rest)
{
	uint64_t v[160];
	uint32_t n = numbers(rest, v, 160);

	return put(it, DTRACEACT_AGGREGATION + it->action, DTRACE_DATA_NONE, v, 8 * n);
}

static bool add_fail(dtrace_hdl_t *h, const char *rest)
{
	int n = 0;

	if (h->nfails == 8)
		return false;
	sscanf(rest, "%15s %d %n", h->fails[h->nfails].call, &h->fails[h->nfails].code, &n);
	snprintf(h->fails[h->nfails].text, sizeof(h->fails[0].text), "%s", rest + n);
	h->nfails++;
	return true;
}

static bool add_diag(dtrace_hdl_t *h, const char *rest)
{
	dtrace_diag_t *d = &h->diag[h->ndiags];
	int n = 0;

	if (h->ndiags == MAXDIAGS)
		return false;
	sscanf(rest, "%d %d %n", &d->dtdg_line, &d->dtdg_column, &n);
	h->diags[h->ndiags] = strdup(rest + n);
	d->dtdg_tag = "D_FAKE";
	d->dtdg_message = h->diags[h->ndiags];
	d->dtdg_length = 3;
	d->dtdg_text = "1:1: error\n   1 | source\n     | ^~~\n";
	h->ndiags++;
	return true;
}

static bool line(dtrace_hdl_t *h, char *s)
{
	char *rest = s, *word = strsep(&rest, " ");
	struct item *it = h->nitems ? h->items[h->nitems - 1] : NULL;
	static char empty[1];

	if (!rest)
		rest = empty;
	if (!*word)
		return true;
	if (strcmp(word, "fail") == 0)
		return add_fail(h, rest);
	if (strcmp(word, "diag") == 0)
		return add_diag(h, rest);
	if (strcmp(word, "verifier") == 0)
		return (h->log = strdup(rest)) != NULL;
	if (strcmp(word, "due") == 0)
		return (h->due = atol(rest)) >= 0;
	if (strcmp(word, "block") == 0)
		return (h->block = atol(rest)) >= 0;
	if (strcmp(word, "probe") == 0)
		return add_probe(h, rest);
	if (strcmp(word, "agg") == 0)
		return add_agg(h, rest);
	if (strcmp(word, "drop") == 0 || strcmp(word, "fault") == 0) {
		it = item_new(h, *word == 'd' ? DROP : FAULT);
		return it && sscanf(rest, "%ld %ld", &it->a, &it->b) >= 1;
	}
	if (!it)
		return false;
	if (strcmp(word, "rows") == 0)
		return (it->times = atol(rest)) > 0;
	if (strcmp(word, "words") == 0)
		return add_words(it, rest);
	return put_record(it, word, rest);
}

static dtrace_prog_t *fake_strcompile(dtrace_hdl_t *h, const char *text, dtrace_probespec_t spec,
				      unsigned int flags, int argc, char *const argv[])
{
	char *copy = strdup(text), *at = copy, *s;
	bool ok = copy;

	h->ndiags = 0;
	for (int i = 1; i < argc; i++)
		snprintf(h->argtext + strlen(h->argtext), sizeof(h->argtext) - strlen(h->argtext),
			 "%s,", argv[i]);
	while (ok && (s = strsep(&at, "\n")))
		ok = line(h, s + strspn(s, " \t"));
	free(copy);
	if (!ok)
		set_error(h, FAKE_ECOMPILE, "line 1: not in the script language");
	if (h->active)
		ok = set_error(h, 9, "Not possible while tracing is active") == 0;
	else if (h->ndiags)
		ok = set_error(h, FAKE_ECOMPILE, h->diags[0]) == 0;
	else if (*h->argtext)
		ok = set_error(h, FAKE_ECOMPILE, h->argtext) == 0;
	return ok ? &the_prog : NULL;
}

static int fake_exec(dtrace_hdl_t *h, dtrace_prog_t *p, dtrace_proginfo_t *info)
{
	return failing(h, "exec") ? -1 : 0;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static int fake_go(dtrace_hdl_t *h)
{
	if (h->active)
		return set_error(h, 9, "Not possible while tracing is active");
	if (h->log)
		return set_error(h, 10, "BPF program cannot be loaded");
	if (failing(h, "go"))
		return -1;
	h->active = true;
	return 0;
}

static int fake_stop(dtrace_hdl_t *h)
{
	if (failing(h, "stop"))
		return -1;
	h->stopped = true;
	return 0;
}

static int fake_status(dtrace_hdl_t *h)
{
	if (failing(h, "status"))
		return -1;
	return h->exited  ? DTRACE_STATUS_EXITED :
	       h->stopped ? DTRACE_STATUS_STOPPED :
			    DTRACE_STATUS_OKAY;
}

static int print(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *pd,
		 const dtrace_recdesc_t *rec, const char *text)
{
	char *copy = strdup(text), *at = copy, *s;
	int rc = 0;

	while (rc == 0 && (s = strsep(&at, rec->dtrd_action == DTRACEACT_PRINTF ? "" : "|"))) {
		dtrace_bufdata_t buf = { .dtbda_handle = h, .dtbda_buffered = s, .dtbda_recdesc = rec };

		if (fp)
			fputs(s, fp);
		else
			rc = h->on_buf(&buf, h->buf_arg);
	}
	free(copy);
	return rc == 0 ? 0 : set_error(h, 11, "Stopped by a directive");
}

static int fire(dtrace_hdl_t *h, struct item *it, FILE *fp, dtrace_consume_probe_f *pf,
		dtrace_consume_rec_f *rf, void *arg)
{
	dtrace_eprobedesc_t e = { .dtepd_epid = it->epid,
				  .dtepd_probeid = it->probe.dtpd_id,
				  .dtepd_size = it->used,
				  .dtepd_nrecs = it->nrecs,
				  .dtepd_rec = it->recs };
	dtrace_probedata_t pd = { .dtpda_handle = h,
				  .dtpda_edesc = &e,
				  .dtpda_pdesc = &it->probe,
				  .dtpda_data = it->data,
				  .dtpda_flow = DTRACEFLOW_NONE };
	int rv;

	rv = pf(&pd, arg);
	if (rv == DTRACE_CONSUME_ABORT)
		return set_error(h, 11, "Stopped by a directive");
	if (rv == DTRACE_CONSUME_NEXT) {
		for (int i = 0; i < it->nrecs; i++)
			h->exited |= it->recs[i].dtrd_action == DTRACEACT_EXIT;
		return 0;
	}
	for (int i = 0; i < it->nrecs; i++) {
		int rc = rf(&pd, &it->recs[i], arg);

		if (it->recs[i].dtrd_action == DTRACEACT_EXIT)
			h->exited = true;
		if (rc == DTRACE_CONSUME_ABORT)
			return set_error(h, 11, "Stopped by a directive");
		if (rc == DTRACE_CONSUME_THIS &&
		    print(h, fp, &pd, &it->recs[i], it->text[i] ? it->text[i] : ""))
			return -1;
	}
	rf(&pd, NULL, arg);
	return 0;
}

static int tell_drop(dtrace_hdl_t *h, struct item *it)
{
	char msg[64];
	dtrace_dropdata_t d = { .dtdda_handle = h,
				.dtdda_cpu = 1,
				.dtdda_kind = (dtrace_dropkind_t)it->a,
				.dtdda_drops = (uint64_t)it->b,
				.dtdda_total = (uint64_t)it->b * 2,
				.dtdda_msg = msg };

	snprintf(msg, sizeof(msg), "%ld drops on CPU 1\n", it->b);
	return h->on_drop(&d, h->drop_arg) == 0 ? 0 : set_error(h, 12, "Stopped by drops");
}

static int tell_fault(dtrace_hdl_t *h, struct item *it)
{
	dtrace_probedesc_t p = { .dtpd_id = 3, .dtpd_provider = "dtrace", .dtpd_name = "ERROR" };
	dtrace_errdata_t d = {
		.dteda_handle = h,
		.dteda_pdesc = &p,
		.dteda_cpu = 0,
		.dteda_action = 1,
		.dteda_fault = (int)it->a,
		.dteda_addr = 0x10,
		.dteda_msg = "error on enabled probe ID 1: invalid address (0x10) in action #1\n"
	};

	return h->on_err(&d, h->err_arg) == 0 ? 0 : set_error(h, 13, "Stopped by an error");
}

static dtrace_workstatus_t fake_work(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf,
				     dtrace_consume_rec_f *rf, void *arg)
{
	uint64_t woken;
	int rc = 0;

	if (!h->active)
		return (dtrace_workstatus_t)set_error(h, EINVAL, "Invalid argument");
	if (failing(h, "work"))
		return DTRACE_WORKSTATUS_ERROR;
	pause_ms(h->block);
	if (read(h->fd, &woken, sizeof(woken)) < 0)
		woken = 0;
	for (int i = 0; i < h->nitems && rc == 0; i++) {
		struct item *it = h->items[i];

		for (long n = 0; n < it->times && rc == 0; n++) {
			if (it->kind == FIRING)
				rc = fire(h, it, fp, pf, rf, arg);
			else if (it->kind == DROP)
				rc = tell_drop(h, it);
			else if (it->kind == FAULT)
				rc = tell_fault(h, it);
		}
	}
	items_done(h, false);
	if (rc)
		return DTRACE_WORKSTATUS_ERROR;
	return h->exited || h->stopped ? DTRACE_WORKSTATUS_DONE : DTRACE_WORKSTATUS_OKAY;
}

static int fake_handle_err(dtrace_hdl_t *h, dtrace_handle_err_f *f, void *arg)
{
	h->on_err = f;
	h->err_arg = arg;
	return 0;
}

static int fake_handle_drop(dtrace_hdl_t *h, dtrace_handle_drop_f *f, void *arg)
{
	h->on_drop = f;
	h->drop_arg = arg;
	return 0;
}

static int fake_handle_buffered(dtrace_hdl_t *h, dtrace_handle_buffered_f *f, void *arg)
{
	h->on_buf = f;
	h->buf_arg = arg;
	return 0;
}

/* ---- aggregations -------------------------------------------------------------------------------------- */

static int fake_snap(dtrace_hdl_t *h)
{
	return failing(h, "snap") ? -1 : 0;
}

static void fake_clear(dtrace_hdl_t *h)
{
	items_done(h, true);
}

static int fake_walk(dtrace_hdl_t *h, dtrace_aggregate_f *f, void *arg)
{
	if (failing(h, "walk"))
		return -1;
	for (int i = 0; i < h->nitems; i++) {
		struct item *it = h->items[i];
		dtrace_aggdesc_t desc = { .dtagd_name = "_",
					  .dtagd_varid = it->a,
					  .dtagd_size = it->used,
					  .dtagd_nrecs = it->nrecs,
					  .dtagd_rec = it->recs };
		dtrace_aggdata_t agg = { .dtada_handle = h,
					 .dtada_desc = &desc,
					 .dtada_data = it->data,
					 .dtada_normal = (uint64_t)it->b,
					 .dtada_size = it->used };

		for (long n = it->kind == ROW ? it->times : 0; n > 0; n--) {
			int rc = f(&agg, arg);

			if (rc == DTRACE_AGGWALK_REMOVE)
				it->times--;
			else if (rc != DTRACE_AGGWALK_NEXT)
				return set_error(h, 11, "Stopped by a directive");
		}
	}
	return 0;
}

/* ---- the rest -------------------------------------------------------------------------------------------- */

static int fake_addr2str(dtrace_hdl_t *h, uint64_t addr, char *buf, int size)
{
	if (addr & 1)
		return snprintf(buf, (size_t)size, "0x%llx", (unsigned long long)addr);
	return snprintf(buf, (size_t)size, "mod`sym%0*llx+0x1", addr == 0x1000 ? 2000 : 1,
			(unsigned long long)addr);
}

static int fake_uaddr2str(dtrace_hdl_t *h, pid_t pid, uint64_t addr, char *buf, int size)
{
	return snprintf(buf, (size_t)size, "exe%d`f%llx+0x1", (int)pid, (unsigned long long)addr);
}

static int fake_diag_get(dtrace_hdl_t *h, int n, dtrace_diag_t *out)
{
	if (n >= h->ndiags)
		return -1;
	*out = h->diag[n];
	return 0;
}

static int fake_rec_kind(const dtrace_recdesc_t *rec, dtrace_reckind_t *out)
{
	if (!rec->dtrd_uarg || DTRACEACT_ISAGG(rec->dtrd_action))
		return -1;
	out->dtrk_kind = (dtrace_datakind_t)(rec->dtrd_uarg - 1);
	out->dtrk_size = rec->dtrd_size;
	return 0;
}

static int fake_pollfd(dtrace_hdl_t *h)
{
	return h->active ? h->fd : -1;
}

static int64_t fake_work_due(dtrace_hdl_t *h)
{
	return h->due < 0 ? INT64_MAX : h->due * 1000000;
}

static void fake_wakeup(dtrace_hdl_t *h)
{
	(void)!eventfd_write(h->fd, 1);
}

static void fake_forked(dtrace_hdl_t *h)
{
	atomic_fetch_add(&forked, 1);
}

static const char *fake_verifier_log(dtrace_hdl_t *h)
{
	return h->log;
}

static void fake_sleep(dtrace_hdl_t *h)
{
	pause_ms(h->due < 0 ? 1000 : h->due);
}

static const char *fake_version(void)
{
	return "0.0.1";
}

#ifdef FAKE_CLASSIC /* no more than a platform's libdtrace has */
#define EXTRA(f) (0 ? f : NULL)
#define BUFFERED false
#else
#define EXTRA(f) f
#define BUFFERED true
#endif

static const char *d_version(void)
{
	return "Sun D 1.99";
}

const struct py_engine py_engine = {
	.name = "fake",
	.d_version = d_version,
	.buffered = BUFFERED,
	.fork_safe = true,
	.diag_get = EXTRA(fake_diag_get),
	.rec_kind = EXTRA(fake_rec_kind),
	.pollfd = EXTRA(fake_pollfd),
	.work_due = EXTRA(fake_work_due),
	.wakeup = EXTRA(fake_wakeup),
	.forked = EXTRA(fake_forked),
	.verifier_log = EXTRA(fake_verifier_log),
	.version = EXTRA(fake_version),
	.open = fake_open,
	.close = fake_close,
	.errnum = fake_errno,
	.errmsg = fake_errmsg,
	.setopt = fake_setopt,
	.getopt = fake_getopt,
	.strcompile = fake_strcompile,
	.exec = fake_exec,
	.go = fake_go,
	.stop = fake_stop,
	.status = fake_status,
	.sleep = fake_sleep,
	.work = fake_work,
	.handle_err = fake_handle_err,
	.handle_drop = fake_handle_drop,
	.handle_buffered = fake_handle_buffered,
	.aggregate_snap = fake_snap,
	.aggregate_clear = fake_clear,
	.aggregate_walk = fake_walk,
	.addr2str = fake_addr2str,
	.uaddr2str = fake_uaddr2str,
};
