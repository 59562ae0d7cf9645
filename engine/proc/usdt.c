/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usdt.c - static probes as files describe them: notes named "stapsdt" of type 3, each with three addresses (the probe, the
 * base that all were linked for, the counter of who traces it) and three texts (provider, name, arguments).
 */
#include <stdlib.h>
#include <string.h>

#include "proc/symbols.h"

#define NOTE_TYPE 3
#define MAX_TEXT 4096 /* of one field */

/* A NUL-terminated text within the note. */
static const char *take_text(const u8 **p, const u8 *end)
{
	const u8 *s = *p, *nul = memchr(s, '\0', (size_t)(end - s));

	if (!nul || nul - s > MAX_TEXT)
		return NULL;
	*p = nul + 1;
	return (const char *)s;
}

static u64 take_addr(const u8 **p)
{
	u64 v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return v;
}

int dt_usdt_note(const struct dt_elfnote *note, struct dt_usdtnote *out)
{
	const u8 *p = note->desc, *end = note->desc + note->descsz;
	u64 pc, base, counter;

	if (note->type != NOTE_TYPE || note->namesz != 8 || memcmp(note->name, "stapsdt", 8) != 0 ||
	    note->descsz < 3 * sizeof(u64))
		return -1;
	pc = take_addr(&p);
	base = take_addr(&p);
	counter = take_addr(&p);
	out->prov = take_text(&p, end);
	out->name = out->prov ? take_text(&p, end) : NULL;
	out->args = out->name ? take_text(&p, end) : NULL;
	if (!out->args || !*out->prov || !*out->name)
		return -1;
	/* prelink moves code, but not what notes say of it */
	out->shift = note->base && base ? note->base - base : 0;
	out->vaddr = pc + out->shift;
	out->counter = counter ? counter + out->shift : 0;
	return 0;
}
