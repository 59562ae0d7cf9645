/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf.c - the system calls, one thin function each.
 *
 * libbpf's wrappers of these find out at their first use what the kernel knows by loading programs
 * of their own, and raise RLIMIT_MEMLOCK for kernels that we do not run on: milliseconds, and a change of
 * the process that embeds us.  The bare calls are no longer than theirs.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load/live.h"

/* Helpers that read kernel memory want a licence compatible with the kernel's; this says so to the kernel about
 * the programs that we generate. */
static const char prog_license[] = "Dual BSD/GPL";

static u64 ptr(const void *p)
{
	return (u64)(uintptr_t)p;
}

/* The kernel takes a shorter attr, and refuses a longer one only when the unknown part is not zero. */
#define ATTR_SIZE(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))

static int bpf(int cmd, union bpf_attr *attr, size_t size)
{
	return (int)syscall(__NR_bpf, cmd, attr, (unsigned int)size);
}

void dt_bpf_name(char out[BPF_OBJ_NAME_LEN], const char *name)
{
	size_t i;

	memset(out, 0, BPF_OBJ_NAME_LEN);
	for (i = 0; i < BPF_OBJ_NAME_LEN - 1 && name[i]; i++)
		out[i] = isalnum((unsigned char)name[i]) || name[i] == '.' ? name[i] : '_';
}

int dt_bpf_map_create_outer(const struct dt_mapspec *m, int inner_fd)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = m->type;
	a.key_size = m->key_size;
	a.value_size = m->value_size;
	a.max_entries = m->max_entries;
	a.inner_map_fd = (u32)inner_fd;
	dt_bpf_name(a.map_name, m->name);
	return bpf(BPF_MAP_CREATE, &a, ATTR_SIZE(map_name));
}

int dt_bpf_map_create(const struct dt_mapspec *m, int btf_fd, u32 key_type, u32 value_type)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = m->type;
	a.key_size = m->key_size;
	a.value_size = m->value_size;
	a.max_entries = m->max_entries;
	a.map_flags = m->flags;
	dt_bpf_name(a.map_name, m->name);
	if (btf_fd >= 0) {
		a.btf_fd = (u32)btf_fd;
		a.btf_key_type_id = key_type;
		a.btf_value_type_id = value_type;
	}
	return bpf(BPF_MAP_CREATE, &a, ATTR_SIZE(btf_value_type_id));
}

int dt_bpf_map_lookup(int fd, const void *key, void *value)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (u32)fd;
	a.key = ptr(key);
	a.value = ptr(value);
	return bpf(BPF_MAP_LOOKUP_ELEM, &a, ATTR_SIZE(flags));
}

int dt_bpf_map_update(int fd, const void *key, const void *value)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (u32)fd;
	a.key = ptr(key);
	a.value = ptr(value);
	a.flags = BPF_ANY;
	return bpf(BPF_MAP_UPDATE_ELEM, &a, ATTR_SIZE(flags));
}

/* Elements 0 to n - 1 of an array, in one call: for a map of maps the kernel waits for programs that may be using
 * the old ones once for each call, 12 ms. */
int dt_bpf_map_fill(int fd, const u32 *values, u32 n)
{
	_cleanup_free_ u32 *keys = malloc((n + 1) * sizeof(*keys));
	union bpf_attr a;
	u32 i;

	if (!keys)
		return -1;
	for (i = 0; i < n; i++)
		keys[i] = i;
	memset(&a, 0, sizeof(a));
	a.batch.map_fd = (u32)fd;
	a.batch.keys = ptr(keys);
	a.batch.values = ptr(values);
	a.batch.count = n;
	return bpf(BPF_MAP_UPDATE_BATCH, &a, ATTR_SIZE(batch));
}

int dt_bpf_map_freeze(int fd)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (u32)fd;
	return bpf(BPF_MAP_FREEZE, &a, ATTR_SIZE(map_fd));
}

int dt_bpf_btf_load(const void *data, size_t size)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.btf = ptr(data);
	a.btf_size = (u32)size;
	return bpf(BPF_BTF_LOAD, &a, ATTR_SIZE(btf_log_level));
}

int dt_bpf_prog_load(const struct dt_bpf_prog *p)
{
	union bpf_attr a;
	int fd, tries = 5;

	memset(&a, 0, sizeof(a));
	a.prog_type = p->type;
	a.insns = ptr(p->insns);
	a.insn_cnt = p->ninsns;
	a.license = ptr(prog_license);
	dt_bpf_name(a.prog_name, p->name);
	if (p->nfunc_info) {
		a.prog_btf_fd = (u32)p->btf_fd;
		a.func_info = ptr(p->func_info);
		a.func_info_cnt = p->nfunc_info;
		a.func_info_rec_size = sizeof(*p->func_info);
	}
	a.expected_attach_type = p->attach_type;
	a.attach_btf_id = p->attach_btf_id;
	a.attach_btf_obj_fd = p->attach_btf_fd;
	a.prog_flags = p->sleepable ? BPF_F_SLEEPABLE : 0;
	if (p->log) {
		a.log_buf = ptr(p->log);
		a.log_size = p->logsize;
		a.log_level = 1;
	}
	/* EAGAIN: a signal interrupted the verifier */
	do {
		fd = bpf(BPF_PROG_LOAD, &a, ATTR_SIZE(attach_btf_obj_fd));
	} while (fd < 0 && errno == EAGAIN && --tries > 0);
	return fd;
}

/* Headers may be older than the kernel; kernels without cookies take what ends before a cookie of 0. */
int dt_bpf_raw_tp_open(const char *tracepoint, int prog_fd, u64 cookie)
{
	struct {
		u64 name;
		u32 prog_fd, pad;
		u64 cookie;
	} a = { ptr(tracepoint), (u32)prog_fd, 0, cookie };
	size_t size = cookie ? sizeof(a) : offsetof(typeof(a), cookie);

	return (int)syscall(__NR_bpf, BPF_RAW_TRACEPOINT_OPEN, &a, size);
}

/* ---- user code --------------------------------------------------------------------------------------- */

int dt_bpf_uprobe_multi(int prog_fd, const struct dt_bpf_uprobes *u)
{
	/* as union bpf_attr of newer headers has it */
	struct {
		u32 prog_fd, target_fd, attach_type, flags;
		u64 path, offsets, counters, cookies;
		u32 n, multi_flags, pid, pad;
	} a = {
		.prog_fd = (u32)prog_fd,
		.attach_type = DT_BPF_UPROBE_MULTI,
		.path = ptr(u->path),
		.offsets = ptr(u->offs),
		.counters = ptr(u->counters),
		.cookies = ptr(u->cookies),
		.n = u->n,
		.multi_flags = u->on_return, /* BPF_F_UPROBE_MULTI_RETURN */
		.pid = (u32)u->pid,
	};

	return (int)syscall(__NR_bpf, BPF_LINK_CREATE, &a, sizeof(a) - sizeof(a.pad));
}

/* A number that a file of sysfs holds behind a prefix. */
static int read_sys(const char *path, const char *fmt, u32 *n)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	return f && fscanf(f, fmt, n) == 1 ? 0 : -1;
}

#define UPROBE_DIR "/sys/bus/event_source/devices/uprobe/"

static int perf_open_uprobe(const struct dt_bpf_uprobes *u)
{
	struct perf_event_attr a;
	u32 type, retbit;

	if (read_sys(UPROBE_DIR "type", "%u", &type) < 0 ||
	    read_sys(UPROBE_DIR "format/retprobe", "config:%u", &retbit) < 0 || retbit > 31) {
		errno = EOPNOTSUPP;
		return -1;
	}
	memset(&a, 0, sizeof(a));
	a.type = type;
	a.size = sizeof(a);
	a.config = (u64)u->on_return << retbit;
	a.config |= (u->counters ? u->counters[0] : 0) << 32; /* format/ref_ctr_offset */
	a.uprobe_path = ptr(u->path);
	a.probe_offset = u->offs[0];
	return (int)syscall(__NR_perf_event_open, &a, u->pid ? u->pid : -1, u->pid ? -1 : 0, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

int dt_bpf_uprobe_perf(int prog_fd, const struct dt_bpf_uprobes *u)
{
	_cleanup_fd_ int perf = perf_open_uprobe(u); /* the link keeps it */
	union bpf_attr a;

	if (perf < 0)
		return -1;
	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (u32)prog_fd;
	a.link_create.target_fd = (u32)perf;
	a.link_create.attach_type = BPF_PERF_EVENT;
	a.link_create.perf_event.bpf_cookie = u->cookies[0];
	return bpf(BPF_LINK_CREATE, &a, ATTR_SIZE(link_create));
}

int dt_bpf_link_kprobes(int prog_fd, const char *const *syms, const u64 *addrs, const u64 *cookies,
			u32 n, bool at_return)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (u32)prog_fd;
	a.link_create.attach_type = BPF_TRACE_KPROBE_MULTI;
	a.link_create.kprobe_multi.flags = at_return ? BPF_F_KPROBE_MULTI_RETURN : 0;
	a.link_create.kprobe_multi.cnt = n;
	a.link_create.kprobe_multi.syms = ptr(syms);
	a.link_create.kprobe_multi.addrs = ptr(addrs);
	a.link_create.kprobe_multi.cookies = ptr(cookies);
	return bpf(BPF_LINK_CREATE, &a, ATTR_SIZE(link_create.kprobe_multi));
}

int dt_bpf_link_perf(int prog_fd, int perf_fd, u64 cookie)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (u32)prog_fd;
	a.link_create.target_fd = (u32)perf_fd;
	a.link_create.attach_type = BPF_PERF_EVENT;
	a.link_create.perf_event.bpf_cookie = cookie;
	return bpf(BPF_LINK_CREATE, &a, ATTR_SIZE(link_create.perf_event));
}

/* The first word of a file of sysfs. */
static int read_word(const char *path, char *word, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	if (!f || !fgets(word, (int)size, f))
		return -1;
	word[strcspn(word, "\n")] = '\0';
	return 0;
}

/* Functions have a PMU of their own, where the kernel has kprobes at all. */
int dt_perf_open_kprobe(const char *function, bool at_return)
{
	static const char dir[] = "/sys/bus/event_source/devices/kprobe";
	struct perf_event_attr a;
	char path[96], word[32];
	unsigned int bit = 0;

	memset(&a, 0, sizeof(a));
	snprintf(path, sizeof(path), "%s/type", dir);
	if (read_word(path, word, sizeof(word)) < 0)
		return -1;
	a.type = (u32)strtoul(word, NULL, 10);
	snprintf(path, sizeof(path), "%s/format/retprobe", dir);
	if (at_return && (read_word(path, word, sizeof(word)) < 0 ||
			  sscanf(word, "config:%u", &bit) != 1 || bit > 63))
		return -1;
	a.size = sizeof(a);
	a.config = at_return ? UINT64_C(1) << bit : 0;
	a.kprobe_func = ptr(function);
	return (int)syscall(__NR_perf_event_open, &a, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

static int btf_is(int fd, const char *name)
{
	struct bpf_btf_info info = { 0 };
	char buf[64] = "";
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	info.name = ptr(buf);
	info.name_len = sizeof(buf);
	a.info.bpf_fd = (u32)fd;
	a.info.info_len = sizeof(info);
	a.info.info = ptr(&info);
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &a, ATTR_SIZE(info)) == 0 && info.kernel_btf &&
	       strcmp(buf, name) == 0;
}

int dt_bpf_module_btf(const char *module)
{
	union bpf_attr a, get;
	int fd;

	memset(&a, 0, sizeof(a));
	while (bpf(BPF_BTF_GET_NEXT_ID, &a, ATTR_SIZE(next_id)) == 0) {
		a.start_id = a.next_id;
		memset(&get, 0, sizeof(get));
		get.btf_id = a.start_id;
		fd = bpf(BPF_BTF_GET_FD_BY_ID, &get, ATTR_SIZE(open_flags));
		if (fd < 0)
			continue;
		if (btf_is(fd, module))
			return fd;
		close(fd);
	}
	return -1;
}

int dt_bpf_test_run(int prog_fd, const void *ctx, u32 size)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.test.prog_fd = (u32)prog_fd;
	a.test.ctx_in = ptr(ctx);
	a.test.ctx_size_in = size;
	return bpf(BPF_PROG_TEST_RUN, &a, ATTR_SIZE(test));
}

/* Batched look-up of at most one element: 0 also when the map is empty. */
int dt_bpf_map_batch_probe(int map_fd)
{
	union bpf_attr a;
	u64 key = 0, value = 0, next = 0;

	memset(&a, 0, sizeof(a));
	a.batch.map_fd = (u32)map_fd;
	a.batch.out_batch = ptr(&next);
	a.batch.keys = ptr(&key);
	a.batch.values = ptr(&value);
	a.batch.count = 1;
	if (bpf(BPF_MAP_LOOKUP_BATCH, &a, ATTR_SIZE(batch)) == 0 || errno == ENOENT)
		return 0;
	return -1;
}

int dt_perf_open_timer(u32 sw_event, u64 period_ns, int cpu)
{
	struct perf_event_attr a;

	memset(&a, 0, sizeof(a));
	a.type = PERF_TYPE_SOFTWARE;
	a.size = sizeof(a);
	a.config = sw_event;
	a.sample_period = period_ns;
	a.disabled = 1;
	return (int)syscall(__NR_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

int dt_perf_attach(int perf_fd, int prog_fd)
{
	if (ioctl(perf_fd, PERF_EVENT_IOC_SET_BPF, prog_fd) < 0)
		return -1;
	return ioctl(perf_fd, PERF_EVENT_IOC_ENABLE, 0);
}

/* ---- what the process may do, and where -------------------------------------------------------------- */

static u64 caps_effective(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long caps;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			return caps;
	return ~(u64)0; /* unknown: do not accuse */
}

const char *dt_caps_missing(void)
{
	u64 caps = caps_effective();
	bool admin = caps & (1ull << CAP_SYS_ADMIN);
	bool bpf_ok = admin || (caps & (1ull << CAP_BPF));
	bool perf_ok = admin || (caps & (1ull << CAP_PERFMON));

	if (!bpf_ok && !perf_ok)
		return "CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)";
	if (!bpf_ok)
		return "CAP_BPF (or CAP_SYS_ADMIN)";
	return perf_ok ? "" : "CAP_PERFMON (or CAP_SYS_ADMIN)";
}

int dt_cpus_each(const char *which, int (*f)(int cpu, void *arg), void *arg)
{
	char path[64];
	_cleanup_fclose_ FILE *fp = NULL;
	unsigned int from, to;
	int rv, c;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/%s", which);
	fp = fopen(path, "re");
	if (!fp)
		return -1;
	while (fscanf(fp, "%u", &from) == 1) {
		to = from;
		c = fgetc(fp);
		if (c == '-') {
			if (fscanf(fp, "%u", &to) != 1)
				break;
			c = fgetc(fp);
		}
		for (; from <= to && to < INT_MAX; from++) {
			rv = f((int)from, arg);
			if (rv)
				return rv;
		}
		if (c != ',')
			break;
	}
	return 0;
}

u64 dt_bpf_prog_misses(int prog_fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr a = { 0 };

	a.info.bpf_fd = (u32)prog_fd;
	a.info.info_len = sizeof(info);
	a.info.info = (u64)(uintptr_t)&info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &a, ATTR_SIZE(info)) < 0 ? 0 : info.recursion_misses;
}
