// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * floor.bpf.c - the programs of the benchmarks written by hand, as cheap as we know how: raw tracepoints, typed
 * arguments read by plain loads, per-CPU cells, and one ring buffer that wakes nobody up.
 */
#include <linux/bpf.h>
#include <asm/ptrace.h>
#include <bpf/bpf_helpers.h>
#include "floor.h"

typedef unsigned int u32;
typedef unsigned long u64;

#define MAP(name, kind, nkeys, ktype, vtype) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, nkeys); \
		__type(key, ktype); \
		__type(value, vtype); \
	} name SEC(".maps")

struct comm {
	char text[FLOOR_COMM];
};

MAP(counts, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, u64);
MAP(buckets, BPF_MAP_TYPE_PERCPU_ARRAY, 66, u32, u64);
MAP(calls, BPF_MAP_TYPE_PERCPU_ARRAY, FLOOR_NCALLS, u32, u64);
MAP(comms, BPF_MAP_TYPE_PERCPU_HASH, 10240, struct comm, u64);
MAP(sizes, BPF_MAP_TYPE_PERCPU_HASH, FLOOR_KEYS, u64, u64);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, FLOOR_RING_BYTES);
} ring SEC(".maps");

u64 began;

/* What tp_btf/sys_enter hands over: the registers of the caller and the number of the system call. */
struct sys_enter {
	struct pt_regs *regs;
	u64 id;
};

static __always_inline void add(void *map, const void *key)
{
	u64 *cell = bpf_map_lookup_elem(map, key), one = 1;

	if (cell)
		*cell += 1;
	else
		bpf_map_update_elem(map, key, &one, BPF_NOEXIST);
}

SEC("raw_tp/sys_enter") int floor_begin(void *ctx)
{
	began = 1;
	return 0;
}

SEC("raw_tp/sys_enter") int floor_syscalls(struct sys_enter *ctx)
{
	u32 id = ctx->id;
	u64 *cell = bpf_map_lookup_elem(&calls, &id);

	if (cell)
		*cell += 1;
	return 0;
}

SEC("raw_tp/sys_enter") int floor_count(struct sys_enter *ctx)
{
	u32 zero = 0;

	if (ctx->id != FLOOR_GETPPID)
		return 0;
	u64 *cell = bpf_map_lookup_elem(&counts, &zero);
	if (cell)
		*cell += 1;
	return 0;
}

SEC("raw_tp/sys_enter") int floor_execname(struct sys_enter *ctx)
{
	struct comm comm;

	if (ctx->id != FLOOR_GETPPID)
		return 0;
	bpf_get_current_comm(&comm, sizeof(comm));
	add(&comms, &comm);
	return 0;
}

static __always_inline u32 bucket(u64 v)
{
	u32 b = 0;

	if (v >> 32)
		v >>= 32, b += 32;
	if (v >> 16)
		v >>= 16, b += 16;
	if (v >> 8)
		v >>= 8, b += 8;
	if (v >> 4)
		v >>= 4, b += 4;
	if (v >> 2)
		v >>= 2, b += 2;
	if (v >> 1)
		v >>= 1, b += 1;
	return b + (v != 0);
}

SEC("tp_btf/sys_enter") int floor_quantize(struct sys_enter *ctx)
{
	if (ctx->id != FLOOR_READ)
		return 0;
	u32 b = bucket(ctx->regs->rdx);
	u64 *cell = bpf_map_lookup_elem(&buckets, &b);
	if (cell)
		*cell += 1;
	return 0;
}

SEC("tp_btf/sys_enter") int floor_trace(struct sys_enter *ctx)
{
	if (ctx->id != FLOOR_READ)
		return 0;
	struct floor_trace *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0;
	r->id = 1;
	r->value = ctx->regs->rdi;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sys_enter") int floor_printf(struct sys_enter *ctx)
{
	if (ctx->id != FLOOR_READ)
		return 0;
	struct floor_printf *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0;
	r->id = 1;
	r->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	r->value = ctx->regs->rdx;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/sys_enter") int floor_keys(struct sys_enter *ctx)
{
	if (ctx->id != FLOOR_READ)
		return 0;
	u64 size = ctx->regs->rdx;
	add(&sizes, &size);
	return 0;
}

char program_license[] SEC("license") = "GPL";
