/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - a small dtrace(1): compiles D programs, runs them, prints what they record.
 *
 *	trace [-lqvwZ] [-x option[=value]] [-c command | -p pid] { -n program | -s file }... [argument...]
 */
#include <dtrace.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dtrace_hdl_t *hdl;
static volatile sig_atomic_t interrupted;
static int quiet, exit_status;

static void die(const char *what)
{
	fprintf(stderr, "trace: %s: %s\n", what, dtrace_errmsg(hdl, dtrace_errno(hdl)));
	if (hdl)
		dtrace_close(hdl);
	exit(1);
}

static void usage(void)
{
	fprintf(stderr, "usage: trace [-lqvwZ] [-x option[=value]] [-c command | -p pid] "
			"{ -n program | -s file }... [argument...]\n");
	exit(2);
}

static void on_signal(int sig)
{
	interrupted = sig;
}

/* ---- callbacks ---------------------------------------------------------------------------- */

/* A firing begins. */
static int on_probe(const dtrace_probedata_t *data, void *arg)
{
	const dtrace_probedesc_t *pd = data->dtpda_pdesc;
	char name[DTRACE_FUNCNAMELEN + DTRACE_NAMELEN + 2];

	if (quiet)
		return DTRACE_CONSUME_THIS;
	if (data->dtpda_flow == DTRACEFLOW_NONE)
		snprintf(name, sizeof(name), "%s:%s", pd->dtpd_func, pd->dtpd_name);
	else
		snprintf(name, sizeof(name), "%*s%s%s", data->dtpda_indent, "", data->dtpda_prefix,
			 pd->dtpd_func);
	printf("%3d %6u %32s ", data->dtpda_cpu, pd->dtpd_id, name);
	return DTRACE_CONSUME_THIS;
}

/* A datum; NULL: the firing ends. */
static int on_record(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	if (!rec) {
		if (!quiet)
			printf("\n");
		return DTRACE_CONSUME_NEXT;
	}
	if (rec->dtrd_action == DTRACEACT_EXIT) {
		memcpy(&exit_status, data->dtpda_data + rec->dtrd_offset, sizeof(exit_status));
		return DTRACE_CONSUME_NEXT;
	}
	return DTRACE_CONSUME_THIS; /* as the library shows it */
}

static int on_error(const dtrace_errdata_t *data, void *arg)
{
	fprintf(stderr, "trace: %s", data->dteda_msg);
	return DTRACE_HANDLE_OK;
}

static int on_drop(const dtrace_dropdata_t *data, void *arg)
{
	fprintf(stderr, "trace: %s", data->dtdda_msg);
	return DTRACE_HANDLE_OK;
}

/* ---- programs ----------------------------------------------------------------------------- */

static int show_statement(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_stmtdesc_t *s, void *arg)
{
	char probe[DTRACE_FULLNAMELEN], attr[64];
	const dtrace_actdesc_t *a;

	fprintf(stderr, "trace: %s (%s)\n",
		dtrace_desc2str(&s->dtsd_ecbdesc->dted_probe, probe, sizeof(probe)),
		dtrace_attr2str(s->dtsd_descattr, attr, sizeof(attr)));
	for (a = s->dtsd_action; a; a = a->dtad_next)
		fprintf(stderr, "trace:   %s\n", a->dtad_text);
	return 0;
}

static void enable(dtrace_prog_t *prog, const char *what, int verbose)
{
	dtrace_proginfo_t info;

	if (!prog)
		die(what);
	if (verbose)
		dtrace_stmt_iter(hdl, prog, show_statement, NULL);
	if (dtrace_program_exec(hdl, prog, &info) < 0)
		die(what);
	if (!quiet)
		fprintf(stderr, "trace: %s matched %u probe%s\n", what, info.dpi_matches,
			info.dpi_matches == 1 ? "" : "s");
}

static int list_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *pd, void *arg)
{
	printf("%6u %10s %17s %33s %s\n", pd->dtpd_id, pd->dtpd_provider, pd->dtpd_mod,
	       pd->dtpd_func, pd->dtpd_name);
	return 0;
}

static void list(const char *text)
{
	dtrace_probedesc_t pd;

	if (dtrace_str2desc(hdl, DTRACE_PROBESPEC_NAME, text, &pd) < 0 ||
	    dtrace_probe_iter(hdl, &pd, list_probe, NULL) < 0)
		die(text);
}

static void set_option(char *text)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	if (dtrace_setopt(hdl, text, value) < 0)
		die(text);
}

static struct ps_prochandle *create(char *command)
{
	char *argv[64], *word, *save = NULL;
	struct ps_prochandle *p;
	int n = 0;

	for (word = strtok_r(command, " ", &save); word && n < 63; word = strtok_r(NULL, " ", &save))
		argv[n++] = word;
	argv[n] = NULL;
	if (!n)
		usage();
	p = dtrace_proc_create(hdl, argv[0], argv);
	if (!p)
		die(argv[0]);
	return p;
}

/* ---- the loop ----------------------------------------------------------------------------- */

static void run(struct ps_prochandle *child)
{
	int stopped = 0, done = 0;

	if (dtrace_go(hdl) < 0)
		die("cannot trace");
	if (child)
		dtrace_proc_continue(hdl, child);
	while (!done) {
		if (!stopped)
			dtrace_sleep(hdl);
		if (interrupted && !stopped) {
			stopped = 1;
			if (dtrace_stop(hdl) < 0)
				die("cannot stop");
		}
		switch (dtrace_work(hdl, stdout, on_probe, on_record, NULL)) {
		case DTRACE_WORKSTATUS_DONE: done = 1; break;
		case DTRACE_WORKSTATUS_OKAY: break;
		default: die("tracing ended");
		}
	}
	if (dtrace_aggregate_print(hdl, stdout, NULL) < 0)
		die("aggregations");
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct ps_prochandle *proc, *child = NULL;
	unsigned int cflags = 0;
	int opt, err, listing = 0, verbose = 0, nprogs = 0, i;
	struct {
		char kind, *text;
	} progs[64];

	hdl = dtrace_open(DTRACE_VERSION, 0, &err);
	if (!hdl) {
		fprintf(stderr, "trace: %s\n", dtrace_errmsg(NULL, err));
		return 1;
	}
	while ((opt = getopt(argc, argv, "+lqvwZx:c:p:n:s:")) != -1)
		switch (opt) {
		case 'l': listing = 1; break;
		case 'q': quiet = 1; break;
		case 'v': verbose = 1; break;
		case 'w': set_option(strcpy((char[32]){ 0 }, "destructive")); break;
		case 'Z': cflags |= DTRACE_C_ZDEFS; break;
		case 'x': set_option(optarg); break;
		case 'c': child = create(optarg); break;
		case 'p':
			proc = dtrace_proc_grab(hdl, (pid_t)atoi(optarg), 0);
			if (!proc)
				die(optarg);
			break;
		case 'n':
		case 's':
			if (nprogs == 64)
				usage();
			progs[nprogs].kind = (char)opt;
			progs[nprogs++].text = optarg;
			break;
		default: usage();
		}
	if (!nprogs)
		usage();
	if (quiet)
		dtrace_setopt(hdl, "quiet", NULL);
	dtrace_handle_err(hdl, on_error, NULL);
	dtrace_handle_drop(hdl, on_drop, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	argv[optind - 1] = argv[0]; /* $0, then $1 ... */
	for (i = 0; i < nprogs; i++) {
		FILE *file;

		if (listing) {
			list(progs[i].text);
			continue;
		}
		if (progs[i].kind == 'n') {
			enable(dtrace_program_strcompile(hdl, progs[i].text, DTRACE_PROBESPEC_NAME,
							 cflags, argc - optind + 1, argv + optind - 1),
			       "program", verbose);
			continue;
		}
		file = fopen(progs[i].text, "r");
		if (!file) {
			perror(progs[i].text);
			return 1;
		}
		enable(dtrace_program_fcompile(hdl, file, cflags, argc - optind + 1,
					       argv + optind - 1),
		       progs[i].text, verbose);
		fclose(file);
	}
	if (!listing)
		run(child);
	dtrace_close(hdl);
	return exit_status;
}
