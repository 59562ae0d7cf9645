/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probes.c - lists probes with what is known about them.
 *
 *	probes [description]
 */
#include <dtrace.h>

#include <string.h>

static void show_info(dtrace_hdl_t *h, const dtrace_probedesc_t *pd)
{
	dtrace_probeinfo_t info;
	char attr[64];

	if (dtrace_probe_info(h, pd, &info) < 0) {
		printf("\t%s\n", dtrace_errmsg(h, dtrace_errno(h)));
		return;
	}
	printf("\tstability %s\n", dtrace_attr2str(info.dtp_attr, attr, sizeof(attr)));
	for (int i = 0; i < info.dtp_argc; i++)
		printf("\targs[%d]: %s\n", i, info.dtp_argv[i]);
}

static int show(dtrace_hdl_t *h, const dtrace_probedesc_t *pd, void *arg)
{
	dtrace_probedesc_t again;
	char text[DTRACE_FULLNAMELEN];

	if (dtrace_id2desc(h, pd->dtpd_id, &again) < 0)
		return -1;
	again.dtpd_id = 0; /* by name */
	printf("%u %s\n", pd->dtpd_id, dtrace_desc2str(&again, text, sizeof(text)));
	show_info(h, &again);
	++*(int *)arg;
	return 0;
}

int main(int argc, char **argv)
{
	dtrace_probedesc_t pd;
	int err, n = 0, rv = 1;
	dtrace_hdl_t *h = dtrace_open(DTRACE_VERSION, DTRACE_O_NODEV, &err);

	if (!h) {
		fprintf(stderr, "probes: %s\n", dtrace_errmsg(NULL, err));
		return 1;
	}
	if (dtrace_str2desc(h, DTRACE_PROBESPEC_NAME, argc > 1 ? argv[1] : ":::", &pd) < 0 ||
	    dtrace_probe_iter(h, &pd, show, &n) < 0)
		fprintf(stderr, "probes: %s\n", dtrace_errmsg(h, dtrace_errno(h)));
	else
		rv = 0;
	printf("%d probes\n", n);
	dtrace_close(h);
	return rv;
}
