/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as a printf() format.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), err[64];
	struct dt_fmt *f;
	u32 args = 0;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	f = dt_fmt_parse(text, err, sizeof(err));
	if (!f && !err[0])
		__builtin_trap();
	for (u32 i = 0; f && i < f->n; i++) {
		const struct dt_conv *c = &f->conv[i];

		if (memchr(c->text, '\0', c->textlen) || c->off > strlen(text))
			__builtin_trap();
		if ((c->cls == DT_CONV_LITERAL) != !c->conv)
			__builtin_trap();
		args += (c->conv && !c->agg) + c->dynwidth + c->dynprec;
	}
	if (f && args != f->nargs)
		__builtin_trap();
	dt_fmt_free(f);
	free(text);
	return 0;
}
