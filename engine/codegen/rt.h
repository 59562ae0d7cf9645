/* SPDX-License-Identifier: Apache-2.0 */
/* rt.h - loops over strings as bpf_loop() callbacks; rt.c says what is in each kind's block of words. */
#ifndef DT_RT_H
#define DT_RT_H

#include "codegen/gen.h"

enum rt_kind {
	RT_STRCMP,
	RT_BASENAME,
	RT_CASE,
	RT_CHR,
	RT_MATCH,
	RT_INDEX,
	RT_RINDEX,
	RT_DIRNAME,
	RT_DIGITS,
	RT_NUMBER,
	RT_ANCESTOR,
};

/* A block of words in the frame: n given ones, then zeros. */
s32 rt_block(struct gen *g, const vreg *words, u32 n, u32 zeros);
vreg rt_word(struct gen *g, s32 block, u32 n);
/* Run a body at most n times over a block. */
void rt_loop(struct gen *g, u32 n, enum rt_kind kind, u32 b1, u32 b2, s32 block);

#endif
