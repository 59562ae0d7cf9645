/* SPDX-License-Identifier: Apache-2.0 */
/* stack.c - stacks and symbols as text. */
#include <string.h>

#include "consume2/consume.h"

#define NAME_MAX_TEXT 1024 /* symbols of C++ are long; what is longer is cut */

static u64 word(const struct dt_value *v, u32 n)
{
	u64 w = 0;

	if ((u64)(n + 1) * 8 <= v->size)
		memcpy(&w, (const char *)v->data + (size_t)n * 8, sizeof(w));
	return w;
}

void dt_text_stack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v, int indent)
{
	bool user = v->kind == DT_D_USTACK;
	u32 n = v->size / 8, i = user ? 1 : 0;
	pid_t pid = user ? (pid_t)word(v, 0) : 0;
	char text[NAME_MAX_TEXT];

	dt_str_putc(out, '\n');
	for (; i < n && word(v, i); i++) {
		if (user)
			dt_uaddr_str(h->usyms, pid, word(v, i), text, sizeof(text));
		else
			dt_kaddr_str(h->ksyms, word(v, i), text, sizeof(text));
		dt_str_printf(out, "%*s%s\n", indent, "", text);
	}
}

/* The name alone: mod`name without the offset. */
static void cut_offset(char *text)
{
	char *tick = strrchr(text, '`'), *plus;

	plus = tick ? strstr(tick, "+0x") : NULL;
	if (plus)
		*plus = '\0';
}

/* The object alone; what has none stays a number. */
static void cut_name(char *text)
{
	char *tick = strchr(text, '`');

	if (tick)
		*tick = '\0';
}

void dt_text_symbol(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v)
{
	char text[NAME_MAX_TEXT];

	if (v->kind == DT_D_SYM || v->kind == DT_D_MOD)
		dt_kaddr_str(h->ksyms, word(v, 0), text, sizeof(text));
	else
		dt_uaddr_str(h->usyms, (pid_t)word(v, 0), word(v, 1), text, sizeof(text));
	if (v->kind == DT_D_SYM || v->kind == DT_D_USYM)
		cut_offset(text);
	else if (v->kind == DT_D_MOD || v->kind == DT_D_UMOD)
		cut_name(text);
	dt_str_puts(out, text);
}
