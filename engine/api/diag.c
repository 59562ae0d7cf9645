/* SPDX-License-Identifier: Apache-2.0 */
/* diag.c - findings of the last compilation that failed, one by one. */
#include "api/handle.h"

int dtrace_diag_get(dtrace_hdl_t *h, int n, dtrace_diag_t *out)
{
	const struct dt_diag *d;
	int line, col;

	if (!h->failed || n < 0 || (u32)n >= h->failed->diags.list.n)
		return -1;
	d = &h->failed->diags.list.v[n];
	dt_loc_pos(&d->loc, &line, &col);
	dt_str_reset(&h->diagtext);
	dt_diag_render(d, &h->diagtext);
	*out = (dtrace_diag_t){
		.dtdg_tag = dt_tag_name(d->tag),
		.dtdg_message = d->msg,
		.dtdg_file = d->loc.src ? d->loc.src->name : NULL,
		.dtdg_line = line,
		.dtdg_column = col,
		.dtdg_length = (int)DT_MAX(d->loc.len, 1u),
		.dtdg_text = dt_str_cstr(&h->diagtext),
	};
	return 0;
}
