/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every probe of every derived provider, with each member of each of its arguments, compiles to code for the running kernel.
 *
 * DT_TEST_BTF names another kernel's type information.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"
#include "world.h"

static struct world w;

struct list {
	struct dt_probe *v[256];
	u32 n;
};

static int note(struct dt_probe *p, void *arg)
{
	struct list *l = arg;

	if (l->n < DT_NELEM(l->v))
		l->v[l->n++] = p;
	return 0;
}

static struct list probes_of(const char *prov)
{
	const struct dt_pdesc d = { .prov = prov, .mod = "", .func = "", .name = "" };
	struct list l = { .n = 0 };

	dt_probes_match(&w.probes, &d, note, &l);
	return l;
}

/* Does the program compile, down to BPF?  What it says about it goes to why. */
static bool compiles(const char *text, char *why, size_t size)
{
	struct dt_object *o = NULL;
	struct dt_program *p;
	bool ok;

	p = dt_program_new(&w.env, NULL, text, strlen(text), DTRACE_PROBESPEC_NAME);
	ok = p && dt_program_compile(p, DT_STAGE_CHECK) == 0;
	if (ok) {
		o = dt_generate(p->clauses.v, p->clauses.n, &w.env, world_genopts(&w), &w.err, 'a',
				NULL);
		snprintf(why, size, "%s", o ? "" : w.err.msg);
	} else {
		snprintf(why, size, "%s",
			 p && p->diags.list.n ? p->diags.list.v[0].msg : "no memory");
	}
	ok = o != NULL;
	dt_object_free(o);
	dt_program_free(p);
	return ok;
}

static void t_program(const struct dt_probe *p, const char *body)
{
	char text[512], why[1200];

	snprintf(text, sizeof(text), "%s:%s:%s:%s { %s; }", p->provider, p->mod, p->func, p->name,
		 body);
	if (!CHECK(compiles(text, why, sizeof(why))))
		fprintf(stderr, "  %s: %s\n", text, why);
}

/* The names of a translated structure's members: as the libraries declare it. */
static const char *const members[][2] = {
	{ "psinfo_t *",
	  "pr_nlwp pr_pid pr_ppid pr_pgid pr_sid pr_uid pr_euid pr_gid pr_egid pr_addr pr_size pr_rssize pr_ttydev "
	  "pr_pctcpu pr_pctmem pr_start pr_time pr_ctime pr_fname pr_psargs pr_wstat pr_argc pr_argv pr_envp pr_dmodel "
	  "pr_taskid pr_projid pr_nzomb pr_poolid pr_zoneid pr_contract pr_lwp.pr_lwpid" },
	{ "lwpsinfo_t *",
	  "pr_flag pr_lwpid pr_addr pr_wchan pr_stype pr_state pr_sname pr_nice pr_syscall pr_oldpri pr_cpu pr_pri "
	  "pr_pctcpu pr_start pr_time pr_clname pr_name pr_onpro pr_bindpro pr_bindpset pr_lgrp" },
	{ "cpuinfo_t *", "cpu_id cpu_pset cpu_chip cpu_lgrp cpu_info" },
	{ "bufinfo_t *",
	  "b_flags b_bcount b_addr b_lblkno b_blkno b_resid b_bufsize b_iodone b_error b_edev" },
	{ "devinfo_t *", "dev_major dev_minor dev_instance dev_name dev_statname dev_pathname" },
	{ "fileinfo_t *", "fi_name fi_dirname fi_pathname fi_offset fi_fs fi_mount fi_oflags" },
	{ "pktinfo_t *", "pkt_addr" },
	{ "csinfo_t *", "cs_addr cs_cid cs_pid cs_zoneid sport dport" },
	{ "ipinfo_t *", "ip_ver ip_plength ip_saddr ip_daddr" },
	{ "ifinfo_t *", "if_name if_local if_ipstack if_addr" },
	{ "ipv4info_t *",
	  "ipv4_ver ipv4_ihl ipv4_tos ipv4_length ipv4_ident ipv4_flags ipv4_offset ipv4_ttl ipv4_protocol ipv4_protostr "
	  "ipv4_checksum ipv4_src ipv4_dst ipv4_saddr ipv4_daddr ipv4_hdr" },
	{ "ipv6info_t *",
	  "ipv6_ver ipv6_tclass ipv6_flow ipv6_plen ipv6_nexthdr ipv6_nextstr ipv6_hlim ipv6_src ipv6_dst ipv6_saddr "
	  "ipv6_daddr ipv6_hdr" },
	{ "tcpinfo_t *",
	  "tcp_sport tcp_dport tcp_seq tcp_ack tcp_offset tcp_flags tcp_window tcp_checksum tcp_urgent tcp_hdr" },
	{ "tcpsinfo_t *",
	  "tcps_addr tcps_local tcps_lport tcps_rport tcps_laddr tcps_raddr tcps_state tcps_iss tcps_suna tcps_snxt "
	  "tcps_rnxt tcps_swnd tcps_snd_ws tcps_rwnd tcps_rcv_ws tcps_cwnd tcps_cwnd_ssthresh tcps_sack_snxt tcps_rto "
	  "tcps_mss tcps_retransmit tcps_rtt tcps_rtt_sd tcps_irs" },
	{ "tcplsinfo_t *", "tcps_state" },
	{ "udpinfo_t *", "udp_sport udp_dport udp_length udp_checksum udp_hdr" },
	{ "udpsinfo_t *", "udps_addr udps_lport udps_rport udps_laddr udps_raddr" },
};

static void t_members(const struct dt_probe *p, int arg, const char *names)
{
	char copy[1024], body[128], *name, *save = NULL;

	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		snprintf(body, sizeof(body), "trace(args[%d]->%s)", arg, name);
		t_program(p, body);
	}
}

static void t_arg(const struct dt_probe *p, int arg, const struct dt_derived_arg *a)
{
	char body[128];
	size_t i;

	snprintf(body, sizeof(body), "trace(arg%d)", arg);
	t_program(p, body);
	for (i = 0; i < DT_NELEM(members); i++)
		if (strcmp(members[i][0], a->type) == 0) {
			t_members(p, arg, members[i][1]);
			return;
		}
	CHECK(!a->native || a->value); /* else a structure that this test does not know */
	snprintf(body, sizeof(body), "trace(args[%d])", arg);
	t_program(p, body);
}

static void t_provider(const struct dt_provider *prov)
{
	struct list l = probes_of(prov->name);
	u32 i;
	int arg;

	CHECK(l.n > 0);
	printf("%s: %u probes\n", prov->name, l.n);
	for (i = 0; i < l.n; i++) {
		CHECK(l.v[i]->derived && l.v[i]->at->several);
		t_program(l.v[i], "@[execname, pid, tid, uid, ppid, probename] = count()");
		for (arg = 0; arg < DT_MAXARGS && l.v[i]->derived->args[arg].type; arg++)
			t_arg(l.v[i], arg, &l.v[i]->derived->args[arg]);
	}
}

/* All at once: what the probes of one event say about each other's clauses. */
static void t_together(const struct dt_provider *prov)
{
	char text[128], why[1200];

	snprintf(text, sizeof(text), "%s::: { @all[probefunc, probename] = sum(arg0); self->n++; }",
		 prov->name);
	if (!CHECK(compiles(text, why, sizeof(why))))
		fprintf(stderr, "  %s: %s\n", text, why);
}

static bool yes(void *arg)
{
	return true;
}

int main(void)
{
	const char *path = getenv("DT_TEST_BTF");
	const struct dt_provider *const *prov;

	if (!path)
		path = "/sys/kernel/btf/vmlinux";
	if (access(path, R_OK)) {
		printf("no type information: %s\n", path);
		return 77;
	}
	if (dt_types_init(&w.types, path) || dt_probes_init(&w.probes, &w.err))
		return 1;
	w.probes.types = &w.types;
	w.probes.sources.traces_functions = yes;
	world_begin(&w, "");
	for (prov = dt_providers; *prov; prov++) {
		if (!(*prov)->rows)
			continue;
		t_provider(*prov);
		t_together(*prov);
	}
	world_end(&w);
	world_fini(&w);
	return test_status();
}
