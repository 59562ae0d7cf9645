/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.c - map specifications to maps.
 *
 * The three maps that programs and consumer share are mapped; the rest is reached by system call.  What
 * depends on the machine is decided here: elements per CPU, and how large the principal buffer is.
 * Its memory is zeroed and mapped page by page, 2.5 ms for 4 MiB, so it is kept small when only the
 * consumer's own thread will write to it, and for machines with many CPUs unless the user asked for more.
 */
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load/live.h"

#define RING_MIN 512u
#define RING_MAX (1u << 29) /* the verifier follows no offset beyond that */
#define SPEC_MIN 64u
#define RING_SMALL (64u << 10)          /* BEGIN, END and ERROR only */
#define RING_DEFAULT_TOTAL (128u << 20) /* all CPUs, when bufsize was not set */
#define ENTRIES_MIN 64u

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- making one map ------------------------------------------------------------------------------------ */

/* Task storage wants its key and value described: an int, and an array of bytes. */
int dt_map_create_self(const struct dt_mapspec *m)
{
	static const char strings[] = "\0int\0char";
	enum { INT = 1, CHAR, VALUE };
	struct {
		struct btf_header hdr;
		struct btf_type int_type;
		u32 int_bits;
		struct btf_type char_type;
		u32 char_bits;
		struct btf_type array_type;
		struct btf_array array;
		char strings[sizeof(strings)];
	} btf = {
		.hdr = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(btf.hdr) },
		.int_type = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.int_bits = BTF_INT_SIGNED << 24 | 32,
		.char_type = { .name_off = 5, .info = BTF_KIND_INT << 24, .size = 1 },
		.char_bits = 8,
		.array_type = { .info = BTF_KIND_ARRAY << 24 },
		.array = { .type = CHAR, .index_type = INT, .nelems = m->value_size },
	};
	_cleanup_fd_ int fd = -1;

	btf.hdr.str_off = btf.hdr.type_len =
		(u32)(offsetof(typeof(btf), strings) - offsetof(typeof(btf), int_type));
	btf.hdr.str_len = sizeof(strings);
	memcpy(btf.strings, strings, sizeof(strings));
	fd = dt_bpf_btf_load(&btf, offsetof(typeof(btf), strings) + sizeof(strings));
	if (fd < 0)
		return -1;
	return dt_bpf_map_create(m, fd, INT, VALUE);
}

static int create(const struct dt_mapspec *m)
{
	return m->needs_btf ? dt_map_create_self(m) : dt_bpf_map_create(m, -1, 0, 0);
}

/* Would less have been possible? */
static bool too_big(int err)
{
	return err == ENOMEM || err == E2BIG || err == EINVAL;
}

static u64 power_of_2_below(u64 n)
{
	return n ? 1ull << (63 - __builtin_clzll(n)) : 0;
}

/* ---- the principal buffer -------------------------------------------------------------------------------- */

static u64 ring_least(const struct dt_object *o)
{
	u64 least = RING_MIN;

	while (least <= o->ring_slack + o->end_reserve)
		least *= 2;
	return least;
}

/* Nothing but faults goes there: every clause has a body, and it records nothing. */
static bool only_faults(const struct dt_object *o)
{
	u32 i;

	for (i = 0; i < o->nepids; i++)
		if (!o->epids[i].clause || !o->epids[i].clause->stmts || o->epids[i].desc.dtepd_nrecs)
			return false;
	return true;
}

static u64 ring_wanted(const dtrace_hdl_t *h, const struct dt_live *l)
{
	bool set = h->opts.val[DT_OPT_BUFSIZE] != DTRACEOPT_UNSET;
	u64 size = (u64)dt_opt(h, DT_OPT_BUFSIZE);

	if (!set && (l->obj->only_consumer_cpu || only_faults(l->obj)))
		size = RING_SMALL;
	else if (!set)
		size = DT_MIN(size, RING_DEFAULT_TOTAL / (u64)l->ncpus);
	size = power_of_2_below(DT_MIN(size, (u64)RING_MAX));
	return DT_MAX(size, ring_least(l->obj));
}

/* Halves the size until the kernel takes it, when bufresize allows; the option says what it got. */
static int create_ring(dtrace_hdl_t *h, struct dt_live *l, struct dt_mapspec *m)
{
	bool resize = dt_opt(h, DT_OPT_BUFRESIZE) == DT_BUFRESIZE_AUTO;
	u64 cap = ring_wanted(h, l), least = ring_least(l->obj), wanted = cap;
	int fd;

	for (;; cap /= 2) {
		m->value_size = (u32)(DT_RING_DATA + cap + DT_ROUNDUP(l->obj->ring_slack, 64u));
		fd = create(m);
		if (fd >= 0 || !resize || !too_big(errno) || cap / 2 < least)
			break;
	}
	l->ring_cap = cap;
	if (fd >= 0 && (cap < wanted || (u64)dt_opt(h, DT_OPT_BUFSIZE) > RING_MAX))
		h->opts.val[DT_OPT_BUFSIZE] = (s64)cap;
	return fd;
}

/* ---- speculation buffers ---------------------------------------------------------------------------------- */

#define SPEC_DEFAULT_TOTAL (32u << 20) /* all of them, when specsize was not set */

static int create_spec(dtrace_hdl_t *h, struct dt_live *l, struct dt_mapspec *m)
{
	bool resize = dt_opt(h, DT_OPT_BUFRESIZE) == DT_BUFRESIZE_AUTO;
	u64 room = (u64)dt_opt(h, DT_OPT_SPECSIZE), cap = SPEC_MIN;
	int fd;

	m->max_entries *= DT_MAX(l->obj->nspec, 1u);
	if (h->opts.val[DT_OPT_SPECSIZE] == DTRACEOPT_UNSET)
		room = DT_MIN(room, power_of_2_below(SPEC_DEFAULT_TOTAL / m->max_entries));
	room = DT_MIN(room, (u64)RING_MAX);
	while (cap < room)
		cap *= 2;
	for (;; cap /= 2) {
		room = DT_MIN(room, cap);
		m->value_size = (u32)(DT_RING_DATA + cap + DT_ROUNDUP(l->obj->max_record, 64u));
		fd = create(m);
		if (fd >= 0 || !resize || !too_big(errno) || cap / 2 < SPEC_MIN)
			break;
	}
	l->spec_cap = cap;
	l->spec_room = room;
	if (fd >= 0 && room < (u64)dt_opt(h, DT_OPT_SPECSIZE))
		h->opts.val[DT_OPT_SPECSIZE] = (s64)room;
	return fd;
}

/* ---- aggregations and dynamic variables ------------------------------------------------------------------ */

static int create_hash(dtrace_hdl_t *h, struct dt_mapspec *m)
{
	bool resize = dt_opt(h, DT_OPT_BUFRESIZE) == DT_BUFRESIZE_AUTO;
	int fd;

	for (;; m->max_entries /= 2) {
		fd = create(m);
		if (fd >= 0 || !resize || (errno != ENOMEM && errno != E2BIG) ||
		    m->max_entries / 2 < ENTRIES_MIN)
			return fd;
	}
}

/* ---- sharing ------------------------------------------------------------------------------------------------ */

static int share(struct dt_live_map *map, const struct dt_mapspec *m)
{
	void *p;

	map->stride = DT_ROUNDUP(m->value_size, 8u);
	map->nelems = m->max_entries;
	map->len = DT_ROUNDUP((size_t)map->stride * map->nelems, page_size());
	p = mmap(NULL, map->len, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
	if (p == MAP_FAILED)
		return -1;
	map->mem = p;
	return 0;
}

static int share_doorbell(struct dt_live *l, const struct dt_live_map *map)
{
	void *p = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);

	if (p == MAP_FAILED)
		return -1;
	l->bell_read = p;
	p = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, map->fd, (off_t)page_size());
	if (p == MAP_FAILED)
		return -1;
	l->bell_written = p;
	return 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

static int create_by_role(dtrace_hdl_t *h, struct dt_live *l, struct dt_mapspec *m)
{
	switch (m->role) {
	case DT_MAP_RING: return create_ring(h, l, m);
	case DT_MAP_SPEC: return create_spec(h, l, m);
	case DT_MAP_AGG:
	case DT_MAP_ASSOC: return create_hash(h, m);
	case DT_MAP_AGGSET: return dt_bpf_map_create_outer(m, l->maps[m->inner[0]].fd);
	default: return create(m);
	}
}

static int fill_set(const struct dt_live *l, const struct dt_live_map *map,
		    const struct dt_mapspec *m)
{
	_cleanup_free_ u32 *fds = malloc(m->max_entries * sizeof(*fds));
	u32 i;

	for (i = 0; fds && i < m->max_entries; i++)
		fds[i] = (u32)l->maps[m->inner[i]].fd;
	return fds ? dt_bpf_map_fill(map->fd, fds, m->max_entries) : -1;
}

static int init(const struct dt_live *l, const struct dt_live_map *map, const struct dt_mapspec *m)
{
	u32 zero = 0;

	if (m->role == DT_MAP_AGGSET)
		return fill_set(l, map, m);
	if (m->init && dt_bpf_map_update(map->fd, &zero, m->init) < 0)
		return -1;
	return m->role == DT_MAP_RODATA ? dt_bpf_map_freeze(map->fd) : 0;
}

static int make(dtrace_hdl_t *h, struct dt_live *l, u32 i)
{
	struct dt_mapspec m = l->obj->maps[i];
	struct dt_live_map *map = &l->maps[i];

	if (m.per_cpu_elems)
		m.max_entries = (u32)l->ncpus;
	map->fd = create_by_role(h, l, &m);
	if (map->fd < 0)
		return dt_live_fail(h, "map '%s' (%u entries of %u bytes)", m.name, m.max_entries,
				    m.key_size + m.value_size);
	if (init(l, map, &m) < 0)
		return dt_live_fail(h, "map '%s': initial contents", m.name);
	if ((m.flags & BPF_F_MMAPABLE) && share(map, &m) < 0)
		return dt_live_fail(h, "map '%s': sharing %zu bytes", m.name, map->len);
	if (m.role == DT_MAP_DOORBELL && share_doorbell(l, map) < 0)
		return dt_live_fail(h, "map '%s': sharing", m.name);
	return 0;
}

int dt_maps_create(dtrace_hdl_t *h, struct dt_live *l)
{
	int cpu;
	u32 i;

	for (i = 0; i < l->obj->nmaps; i++)
		if (make(h, l, i) < 0)
			return -1;
	if (l->obj->state_map >= 0)
		for (cpu = 0; cpu < l->ncpus && dt_live_ring(l, cpu); cpu++)
			dt_live_ring(l, cpu)->wake_at = ~(u64)0; /* nobody sleeps yet */
	return 0;
}

void dt_maps_free(struct dt_live *l)
{
	u32 i;

	for (i = 0; l->maps && i < l->obj->nmaps; i++) {
		if (l->maps[i].mem)
			munmap(l->maps[i].mem, l->maps[i].len);
		dt_cleanup_close(&l->maps[i].fd);
	}
	if (l->bell_read)
		munmap(l->bell_read, page_size());
	if (l->bell_written)
		munmap((void *)(uintptr_t)l->bell_written, page_size());
	free(l->maps);
}

/* Other memory in the same place: a pass over the rings that the fork cut in two can be walked to its end. */
static void replace(void *mem, size_t len, int prot)
{
	if (mem && mmap(mem, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		munmap(mem, len);
}

void dt_maps_disown(struct dt_live *l)
{
	u32 i;

	for (i = 0; i < l->obj->nmaps; i++) {
		replace(l->maps[i].mem, l->maps[i].len, PROT_READ | PROT_WRITE);
		dt_cleanup_close(&l->maps[i].fd);
		l->maps[i].fd = -1;
	}
	replace(l->bell_read, page_size(), PROT_READ | PROT_WRITE);
	replace((void *)(uintptr_t)l->bell_written, page_size(), PROT_READ);
}
