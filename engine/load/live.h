/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - what the files of load/ share: the kernel calls, and the object once it is in the kernel.
 *
 *   bpf.c      bpf(2) and perf_event_open(2)
 *   feature.c  what this kernel can do: a row each
 *   maps.c     dt_mapspec -> map, mapped when programs and consumer share it
 *   funcs.c    type information for subprograms that are called back
 *   prog.c     dt_progspec -> loaded program, or the D line that the verifier did not like
 *   attach.c   loaded program -> events
 *   timers.c   ... that are clocks
 *   uprobe.c   loaded program -> places in files with code
 *   live.c     all of it, in order, and its end
 *
 * Everything is a file descriptor or a mapping of ours; nothing is pinned, so the kernel takes all of it
 * back when the process ends, however that happens.
 */
#ifndef DT_LIVE_H
#define DT_LIVE_H

#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "api/handle.h"

/* ---- bpf.c: all give a descriptor (close-on-exec) or 0, -1 with errno ------------------------------ */
int dt_bpf_map_create(const struct dt_mapspec *m, int btf_fd, u32 key_type, u32 value_type);
int dt_bpf_map_create_outer(const struct dt_mapspec *m, int inner_fd); /* a map of maps like that one */
int dt_bpf_map_lookup(int fd, const void *key, void *value);
int dt_bpf_map_update(int fd, const void *key, const void *value);
int dt_bpf_map_fill(int fd, const u32 *values, u32 n); /* elements from 0 on, of 4 bytes */
int dt_bpf_map_freeze(int fd);
int dt_bpf_btf_load(const void *data, size_t size);
struct dt_bpf_prog {
	u32 type;
	const char *name;
	const struct bpf_insn *insns;
	u32 ninsns;
	int btf_fd; /* with func_info: where its types are */
	const struct bpf_func_info *func_info;
	u32 nfunc_info;
	u32 attach_type, attach_btf_id; /* programs made for one function or tracepoint */
	u32 attach_btf_fd;              /* 0: of the kernel itself */
	bool sleepable;
	char *log; /* NULL, or room for what the verifier has to say */
	u32 logsize;
};
int dt_bpf_prog_load(const struct dt_bpf_prog *p);
/* tracepoint NULL: what the program was loaded for. */
int dt_bpf_raw_tp_open(const char *tracepoint, int prog_fd, u64 cookie);
/* Places in a file to a program: one link. */
#define DT_BPF_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI of newer headers */
struct dt_bpf_uprobes {
	const char *path;
	const u64 *offs, *counters, *cookies; /* counters: NULL, or 0 where there is none */
	u32 n;
	pid_t pid; /* 0: all processes */
	bool on_return;
};
int dt_bpf_uprobe_multi(int prog_fd, const struct dt_bpf_uprobes *u);
/* The same for one place, by a perf event of its own. */
int dt_bpf_uprobe_perf(int prog_fd, const struct dt_bpf_uprobes *u);
/* Many functions, by name or by address; the other is NULL, and so may cookies be. */
int dt_bpf_link_kprobes(int prog_fd, const char *const *syms, const u64 *addrs, const u64 *cookies,
			u32 n, bool at_return);
int dt_bpf_link_perf(int prog_fd, int perf_fd, u64 cookie); /* the link keeps the event */
int dt_perf_open_kprobe(const char *function, bool at_return);
int dt_bpf_module_btf(const char *module); /* its types */
int dt_bpf_test_run(int prog_fd, const void *ctx, u32 size);
/* Firings for which the program did not run, because it was running on that CPU already; 0 when not known. */
u64 dt_bpf_prog_misses(int prog_fd);
int dt_bpf_map_batch_probe(int map_fd);
int dt_perf_open_timer(u32 sw_event, u64 period_ns, int cpu);
int dt_perf_attach(int perf_fd, int prog_fd);
/* Names of maps and programs may hold letters, digits, _ and . only; the rest becomes _. */
void dt_bpf_name(char out[BPF_OBJ_NAME_LEN], const char *name);
/* The capabilities that bpf(2) wants and this process does not have, as text; "" when none is missing. */
const char *dt_caps_missing(void);
/* "0-3,8" of /sys/devices/system/cpu/WHICH: calls f for each CPU until it gives non-zero, which is returned;
 * -1 with errno when the file cannot be read. */
int dt_cpus_each(const char *which, int (*f)(int cpu, void *arg), void *arg);

/* ---- funcs.c ----------------------------------------------------------------------------------------- */
struct dt_funcs {
	int btf_fd; /* -1: the program needs none */
	struct bpf_func_info *info;
	u32 n;
};
/* 0, or -1 with errno. */
int dt_funcs_init(struct dt_funcs *f, const struct bpf_insn *insns, u32 ninsns);
void dt_funcs_fini(struct dt_funcs *f);

/* ---- the object in the kernel ------------------------------------------------------------------------ */

struct dt_live_map {
	int fd;
	u8 *mem; /* mapped elements; NULL: not shared */
	size_t len;
	u32 stride; /* bytes from element to element */
	u32 nelems;
};

/* Descriptors that only need closing. */
struct dt_fds {
	int *v;
	u32 n, cap;
};

/* Programs that a clock runs, and where it does. */
struct dt_timers {
	struct dt_clock {
		const struct dt_attach *at;
		int prog;
	} **clocks;
	u32 nclocks;
	struct dt_timer {
		const struct dt_clock *clock;
		int cpu, fd;
	} *v;
	u32 n, cap;
	bool *online; /* as seen last; NULL: not looked at */
	int ncpus;
};

struct dt_live {
	const struct dt_object *obj;
	int ncpus;
	struct dt_live_map *maps; /* one per obj->maps */
	int *progs;               /* one per obj->progs */
	struct dt_fds links;
	struct dt_timers timers;
	u64 ring_cap;
	u64 spec_cap,
		spec_room; /* speculation buffers: bytes, a power of two, and how many may be used */
	/* the doorbell's pages: positions of reader and writer */
	u64 *bell_read;
	const u64 *bell_written;
};

int dt_maps_create(dtrace_hdl_t *h, struct dt_live *l);
int dt_map_create_self(const struct dt_mapspec *m); /* task storage, with the BTF that it wants */
void dt_maps_free(struct dt_live *l);
void dt_maps_disown(struct dt_live *l);
int dt_progs_load(dtrace_hdl_t *h, struct dt_live *l);
int dt_progs_attach(dtrace_hdl_t *h, struct dt_live *l);
/* uprobe.c: probes of an attach point of user level to its program; -1: none of them could be attached. */
int dt_uprobes_attach(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog,
		      struct dt_probe *const *probes, u32 n);
/* What programs look up in globals before the first of them runs. */
void dt_usersets_fill(struct dt_live *l);
/* The same for one more probe, but for the mask of clauses that want it. */
void dt_userset_fill(struct dt_live *l, const struct dt_userset *u, const struct dt_probe *p);
int dt_timers_add(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog);
void dt_timers_close(struct dt_timers *t);
int dt_fds_add(struct dt_fds *s, int fd); /* takes fd, closes it when it fails */
void dt_fds_close(struct dt_fds *s);

const char *dt_feature_name(enum dt_feature f);

/* dt_fail() for a kernel call that set errno: EDT_ACCESS naming the capability when that was the reason,
 * else EDT_BPF; what: "map 'ring' (8 MiB)". */
int dt_live_fail(dtrace_hdl_t *h, const char *what, ...) DT_PRINTF(2, 3);

#endif
