/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ksym.c - names of kernel addresses, out of /proc/kallsyms.
 *
 * The file has 100,000 to 300,000 lines and takes the kernel some 40 ms to make, so it is read at the
 * first need, and again only when something is not found and the last reading is old: modules and JITed BPF
 * programs come and go.  Of several names of one address the first one counts: the kernel has sorted them
 * by preference.  Where the kernel hides addresses (kptr_restrict, no CAP_SYSLOG) all of them read as zero,
 * and nothing is known.
 */
#include "proc/proc.h"
#include "proc/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KALLSYMS "/proc/kallsyms"
#define CHUNK (64u << 10)
#define SECOND 1000000000ull
#define AFTER_MISS (10 * SECOND) /* how old the table must be to be read again */
#define AFTER_BPF (60 * SECOND)
#define MAX_MODS 4096u

struct dt_ksyms {
	struct dt_addrtab tab; /* tag: index in mods */
	char (*mods)[64];
	u32 nmods, capmods;
	u32 *byname; /* hash of the name -> 1 + index in tab; 0: free.  NULL: not made yet */
	u32 nbyname; /* a power of two */
	u32 bpf;     /* tag of JITed programs; 0: none */
	u64 read_at; /* when, ns; 0: never */
	bool zeros;  /* there were symbols, all of them at 0 */
};

struct dt_ksyms *dt_ksyms_new(struct dt_error *err)
{
	struct dt_ksyms *k = calloc(1, sizeof(*k));

	return k ? k : dt_fail_null(err, ENOMEM, "no memory for kernel symbols");
}

static void forget(struct dt_ksyms *k)
{
	dt_addrtab_fini(&k->tab);
	free(k->mods);
	free(k->byname);
	memset(k, 0, sizeof(*k));
}

void dt_ksyms_free(struct dt_ksyms *k)
{
	if (!k)
		return;
	forget(k);
	free(k);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static bool is_mod(const struct dt_ksyms *k, u32 tag, const char *s, size_t len)
{
	return strncmp(k->mods[tag], s, len) == 0 && !k->mods[tag][len];
}

/* The tag of a module, given as "[name]"; symbols of one module follow each other. */
static int mod_tag(struct dt_ksyms *k, const char *s, size_t len, u32 last, u32 *tag)
{
	len = DT_MIN(len, sizeof(*k->mods) - 1);
	if (last < k->nmods && is_mod(k, last, s, len)) {
		*tag = last;
		return 0;
	}
	for (*tag = 0; *tag < k->nmods; ++*tag)
		if (is_mod(k, *tag, s, len))
			return 0;
	if (k->nmods == k->capmods) {
		void *mods;

		if (k->nmods == MAX_MODS)
			return -1;
		k->capmods = k->capmods ? k->capmods * 2 : 16;
		mods = realloc(k->mods, k->capmods * sizeof(*k->mods));
		if (!mods)
			return -1;
		k->mods = mods;
	}
	memcpy(k->mods[k->nmods], s, len);
	k->mods[k->nmods++][len] = '\0';
	return 0;
}

static int hexval(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "ffffffff81000000 T name\t[module]" without its newline. */
static int add_line(struct dt_ksyms *k, const char *p, const char *end)
{
	struct dt_addrsym s = { .tag = k->tab.n ? k->tab.v[k->tab.n - 1].tag : 0 };
	const char *tab;

	for (; p < end && hexval(*p) >= 0; p++)
		s.addr = s.addr << 4 | (u64)hexval(*p);
	if (end - p < 4) /* " T x" */
		return 0;
	if (!(s.addr >> 63)) { /* hidden, or an offset into per-CPU memory */
		k->zeros |= s.addr == 0;
		return 0;
	}
	p += 3;
	tab = memchr(p, '\t', (size_t)(end - p));
	if (!tab)
		s.tag = 0;
	else if (end - tab > 3 && mod_tag(k, tab + 2, (size_t)(end - tab) - 3, s.tag, &s.tag) < 0)
		return -1;
	s.rank = UINT32_MAX - k->tab.n;
	return dt_addrtab_add(&k->tab, &s, p, (size_t)((tab ? tab : end) - p));
}

/* All whole lines of the buffer; what remains is moved to its front. */
static int add_lines(struct dt_ksyms *k, char *buf, size_t *len)
{
	char *p = buf, *end = buf + *len, *nl;

	while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
		if (add_line(k, p, nl) < 0)
			return -1;
		p = nl + 1;
	}
	*len = (size_t)(end - p);
	memmove(buf, p, *len);
	return 0;
}

static int read_all(struct dt_ksyms *k)
{
	_cleanup_fd_ int fd = open(KALLSYMS, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *buf = malloc(CHUNK);
	size_t len = 0;
	ssize_t got = 1;
	u32 tag;

	if (fd < 0 || !buf || mod_tag(k, "vmlinux", 7, 0, &tag) < 0)
		return -1;
	while (len < CHUNK) {
		got = read(fd, buf + len, CHUNK - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		len += (size_t)got;
		if (add_lines(k, buf, &len) < 0)
			return -1;
	}
	return got;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

/* Reads the table when it is that old, or there is none; true when it did. */
static bool refresh(struct dt_ksyms *k, u64 age)
{
	u64 now = now_ns();

	if (k->read_at && now - k->read_at < age)
		return false;
	forget(k);
	if (read_all(k) < 0)
		forget(k); /* half a table would name wrongly */
	k->read_at = now;
	k->zeros = k->zeros && k->tab.n == 0;
	for (u32 i = 0; i < k->nmods; i++)
		if (strcmp(k->mods[i], "bpf") == 0)
			k->bpf = i;
	dt_addrtab_sort(&k->tab);
	return true;
}

bool dt_ksyms_hidden(struct dt_ksyms *k)
{
	if (!k->read_at)
		refresh(k, 0);
	return k->zeros;
}

/* ---- asking ----------------------------------------------------------------------------------------- */

static int tell(const struct dt_ksyms *k, const struct dt_addrsym *s, struct dt_ksym *out)
{
	out->mod = k->mods[s->tag];
	out->name = dt_addrtab_name(&k->tab, s);
	out->addr = s->addr;
	out->size = dt_addrtab_size(&k->tab, s);
	return 0;
}

int dt_ksyms_by_addr(struct dt_ksyms *k, u64 addr, struct dt_ksym *out)
{
	const struct dt_addrsym *s = dt_addrtab_find(&k->tab, addr);
	bool bpf;

	/* The place of a JITed program may be another one's by now. */
	bpf = s && k->bpf && s->tag == k->bpf;
	if ((!s || bpf) && refresh(k, bpf ? AFTER_BPF : AFTER_MISS))
		s = dt_addrtab_find(&k->tab, addr);
	return s ? tell(k, s, out) : -1;
}

static u32 name_hash(const char *name)
{
	u32 h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (u8)*name) * 16777619u;
	return h ^ h >> 15;
}

static int index_names(struct dt_ksyms *k)
{
	u32 size = 1024;

	while (size < k->tab.n * 2)
		size *= 2;
	k->byname = calloc(size, sizeof(*k->byname));
	if (!k->byname)
		return -1;
	k->nbyname = size;
	for (u32 i = 0; i < k->tab.n; i++) {
		u32 h = name_hash(dt_addrtab_name(&k->tab, &k->tab.v[i]));

		while (k->byname[h & (size - 1)])
			h++;
		k->byname[h & (size - 1)] = i + 1;
	}
	return 0;
}

static const struct dt_addrsym *find_name(struct dt_ksyms *k, const char *mod, const char *name)
{
	if (!k->tab.n || (!k->byname && index_names(k) < 0))
		return NULL;
	for (u32 h = name_hash(name); k->byname[h & (k->nbyname - 1)]; h++) {
		const struct dt_addrsym *s = &k->tab.v[k->byname[h & (k->nbyname - 1)] - 1];

		if (strcmp(dt_addrtab_name(&k->tab, s), name) == 0 &&
		    (!mod || !*mod || strcmp(k->mods[s->tag], mod) == 0))
			return s;
	}
	return NULL;
}

int dt_ksyms_by_name(struct dt_ksyms *k, const char *mod, const char *name, struct dt_ksym *out)
{
	const struct dt_addrsym *s = find_name(k, mod, name);

	if (!s && refresh(k, AFTER_MISS))
		s = find_name(k, mod, name);
	return s ? tell(k, s, out) : -1;
}

int dt_kaddr_str(struct dt_ksyms *k, u64 addr, char *buf, size_t size)
{
	struct dt_ksym s;

	if (!k || dt_ksyms_by_addr(k, addr, &s) < 0)
		return snprintf(buf, size, "0x%llx", (unsigned long long)addr);
	if (addr == s.addr)
		return snprintf(buf, size, "%s`%s", s.mod, s.name);
	return snprintf(buf, size, "%s`%s+0x%llx", s.mod, s.name,
			(unsigned long long)(addr - s.addr));
}
