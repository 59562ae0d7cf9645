/* SPDX-License-Identifier: Apache-2.0 */
/* providers.c - the table of providers, in the order in which they are asked and listed. */
#include "probe/probe.h"

/* clang-format off */
const struct dt_provider *const dt_providers[] = {
	&dt_provider_dtrace,
	&dt_provider_syscall,
	&dt_provider_profile,
	&dt_provider_sdt,
	&dt_provider_rawtp,
	&dt_provider_proc,
	&dt_provider_sched,
	&dt_provider_io,
	&dt_provider_ip,
	&dt_provider_tcp,
	&dt_provider_udp,
	&dt_provider_fbt,
	&dt_provider_rawfbt,
	&dt_provider_pid,
	&dt_provider_uprobe,
	&dt_provider_usdt_file,
	&dt_provider_usdt,
	&dt_provider_lockstat,
	&dt_provider_vminfo,
	&dt_provider_sysinfo,
	&dt_provider_plockstat,
	NULL,
};
