/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rt.h - loops as bpf_loop() callbacks, and the files of subroutines that are made of them.
 *
 * A loop gets two blocks.  The context is in the caller's frame and holds addresses only: of the words, then up to
 * RT_MAXPTRS others.  The words are numbers in scratch, where the verifier does not follow their values: a
 * counter among them is any number to it, which has to be compared with a bound before it is used as an offset,
 * and the callback looks the same in every round.
 */
#ifndef DT_RT_H
#define DT_RT_H

#include "codegen/gen.h"

#define RT_MAXPTRS 3

/* Inside a body: the index and the context. */
struct rt_body {
	vreg idx, ctx;
};

/* A sort of loop.  The body ends every path with e_ret(): 0 goes on, 1 ends the loop. */
struct rt_kind {
	const char *name;
	void (*body)(struct gen *g, const struct rt_body *b, u32 b1, u32 b2);
};

/* For callers: n words with their first values, then zeros; reading one; running a body at most `rounds` times. */
struct mem rt_words(struct gen *g, const vreg *first, u32 n, u32 zeros);
vreg rt_word(struct gen *g, struct mem words, u32 k);
vreg rt_pos(struct gen *g, struct mem words,
	    u32 k); /* one that is compared with a bound and then used */
void rt_loop(struct gen *g, u32 rounds, const struct rt_kind *kind, u32 b1, u32 b2,
	     struct mem words, const struct mem *ptrs, u32 nptrs);

/* For bodies: the words, the k-th address, and the at-th byte there (0 from `bound` on); `at` is the index, or pinned. */
struct mem rt_own_words(struct gen *g, const struct rt_body *b);
vreg rt_ptr(struct gen *g, const struct rt_body *b, u32 k);
vreg rt_byte(struct gen *g, const struct rt_body *b, u32 k, vreg at, u32 bound);
void rt_set(struct gen *g, struct mem words, u32 k, vreg v);
void rt_seti(struct gen *g, struct mem words, u32 k, s64 v);
/* Add to a word that was read as v. */
void rt_step(struct gen *g, struct mem words, u32 k, vreg v, s64 by);
void rt_next(struct gen *g); /* end of the round */
void rt_stop(struct gen *g); /* end of the loop */

/* ---- subroutines, by file: what their rows in subrs.c point at -------------------------------------------- */
bool subr_is_null(const struct dt_node *n); /* the constant NULL */
/* An argument as a string; NULL is a fault. */
struct sval subr_str_arg(struct gen *g, const struct dt_node *n, u32 k);
/* size bytes from off behind where argument k points, to dst */
void subr_fetch(struct gen *g, const struct dt_node *n, u32 k, u32 off, struct mem dst, u32 size);
vreg subr_const_or(struct gen *g, const struct dt_node *n, u32 k,
		   s64 absent); /* argument k, or a constant */

/* subrs_str.c */
void into_substr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_tolower(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_toupper(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_strchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_strrchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_strstr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_strtok(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_lltostr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
vreg subr_strlen(struct gen *g, const struct dt_node *n);
vreg subr_index(struct gen *g, const struct dt_node *n);
vreg subr_strtoll(struct gen *g, const struct dt_node *n);
vreg subr_decimal(struct gen *g, vreg v, struct mem at); /* a number as text; the address of its NUL */

/* subrs_path.c */
void into_basename(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_dirname(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_cleanpath(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);

/* path.c */
void into_d_path(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);

/* subrs_net.c */
void into_inet_ntoa(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_inet_ntoa6(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_inet_ntop(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);
void into_link_ntop(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);

/* subrs_json.c */
void into_json(struct gen *g, const struct dt_node *n, struct mem dst, u32 size);

/* subrs_kernel.c */
vreg subr_progenyof(struct gen *g, const struct dt_node *n);
vreg subr_getf(struct gen *g, const struct dt_node *n);
vreg subr_mutex(struct gen *g, const struct dt_node *n);
vreg subr_rw(struct gen *g, const struct dt_node *n);

#endif
