/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs_json.c - json(document, path): the value at a path such as "a.b[2]", as it stands in the document.
 *
 * One loop goes over the document and knows where in the path it is.  It compares keys while they pass by, so
 * nothing has to be copied: the result is a piece of the document, of a string what is between the quotes.
 * This is no validator: what is wrong with a document shows only where it hinders the search.
 */
#include "codegen/rt.h"

enum {
	J_TOP,    /* an object or an array has to begin */
	J_INDEX,  /* in an array: its element's number is read from the path */
	J_KEY,    /* in an object: a key has to begin */
	J_KEYSTR, /* in a key */
	J_KEYESC, /* after a backslash there */
	J_COLON,
	J_VALUE, /* a value has to begin */
	J_STR,   /* in a string */
	J_STRESC,
	J_WORD,    /* in a number, true, false or null */
	J_NEST,    /* in an object or array of no interest, or the result */
	J_NESTSTR, /* in a string there */
	J_NESTESC,
	J_COMMA,
	J_NSTATES
};

/* words */
enum {
	W_AT, /* in the document */
	W_STATE,
	W_ELEM,  /* in the path: the element looked for */
	W_MATCH, /* how much of it matches; -1: it does not */
	W_FOUND, /* 1: what comes next is the element's value */
	W_ARRAY, /* 1: we are in an array */
	W_COUNT, /* there: values until the one we look for */
	W_DEPTH,
	W_START, /* of the value */
	W_FROM,  /* the result; TO 0: none */
	W_TO,
	W_WORDS
};

#define MAX_INDEX 1000000000

struct scan {
	const struct rt_body *b;
	struct mem w;
	u32 bpath;
	vreg at, c;
	u32 fail;
};

static void take(struct gen *g, const struct scan *s)
{
	rt_step(g, s->w, W_AT, s->at, 1);
	rt_next(g);
}

static void take_to(struct gen *g, const struct scan *s, s64 state)
{
	rt_seti(g, s->w, W_STATE, state);
	take(g, s);
}

/* Another state when c is this character */
static void on(struct gen *g, const struct scan *s, s64 c, s64 state)
{
	u32 other = ir_label(g->f);

	e_jcci(g, BPF_JNE, s->c, c, other);
	take_to(g, s, state);
	e_label(g, other);
}

static void skip_space(struct gen *g, const struct scan *s)
{
	u32 space = ir_label(g->f), other = ir_label(g->f);

	e_jcci(g, BPF_JEQ, s->c, ' ', space);
	e_jcci(g, BPF_JGT, e_alui(g, IR_SUB, s->c, '\t'), '\r' - '\t', other);
	e_label(g, space);
	take(g, s);
	e_label(g, other);
}

/* ---- the path -------------------------------------------------------------------------------------------- */

static vreg path_char(struct gen *g, const struct scan *s, vreg at)
{
	return rt_byte(g, s->b, 1, e_bounded(g, at), s->bpath);
}

/* To `is` when an element ends at c, else on. */
static void if_end(struct gen *g, vreg c, u32 is)
{
	e_jcci(g, BPF_JEQ, c, 0, is);
	e_jcci(g, BPF_JEQ, c, '.', is);
	e_jcci(g, BPF_JEQ, c, '[', is);
	e_jcci(g, BPF_JEQ, c, ']', is);
}

/* Where the element after the current one begins; *c: the character before it, 0 when there is none. */
static vreg next_elem(struct gen *g, const struct scan *s, vreg *c)
{
	u32 open = ir_label(g->f);
	vreg p = e_mov(g, e_alu(g, IR_ADD, rt_word(g, s->w, W_ELEM), rt_word(g, s->w, W_MATCH)));
	vreg ch = e_mov(g, path_char(g, s, p));

	e_jcci(g, BPF_JNE, ch, ']', open);
	e_set(g, p, e_alui(g, IR_ADD, p, 1));
	e_set(g, ch, path_char(g, s, p));
	e_label(g, open);
	*c = ch;
	return e_alui(g, IR_ADD, p, 1);
}

/* A character of a key against the path */
static void match_char(struct gen *g, const struct scan *s)
{
	u32 done = ir_label(g->f), differ = ir_label(g->f);
	vreg m = rt_word(g, s->w, W_MATCH);

	e_jcci(g, BPF_JSLT, m, 0, done);
	vreg p = path_char(g, s, e_alu(g, IR_ADD, rt_word(g, s->w, W_ELEM), m));

	if_end(g, p, differ);
	e_jcc(g, BPF_JNE, p, s->c, differ);
	rt_step(g, s->w, W_MATCH, m, 1);
	e_jmp(g, done);
	e_label(g, differ);
	rt_seti(g, s->w, W_MATCH, -1);
	e_label(g, done);
}

/* ---- what ends a value ------------------------------------------------------------------------------------- */

/* The value from W_START to `end` is over: the result, or not looked for; what goes on inside it cannot be had. */
static void value_ends(struct gen *g, const struct scan *s, vreg end, bool taken)
{
	u32 found = ir_label(g->f);
	vreg c;

	e_jcci(g, BPF_JNE, rt_word(g, s->w, W_FOUND), 0, found);
	rt_seti(g, s->w, W_STATE, J_COMMA);
	if (taken)
		take(g, s);
	else
		rt_next(g);
	e_label(g, found);
	next_elem(g, s, &c);
	e_jcci(g, BPF_JNE, c, 0, s->fail);
	rt_set(g, s->w, W_FROM, rt_word(g, s->w, W_START));
	rt_set(g, s->w, W_TO, end);
	rt_stop(g);
}

/* ---- states ------------------------------------------------------------------------------------------------ */

static void in_top(struct gen *g, const struct scan *s)
{
	skip_space(g, s);
	on(g, s, '{', J_KEY);
	on(g, s, '[', J_INDEX);
	e_jmp(g, s->fail);
}

static void in_index(struct gen *g, const struct scan *s)
{
	u32 end = ir_label(g->f), first = ir_label(g->f);
	vreg m = rt_word(g, s->w, W_MATCH), count = rt_word(g, s->w, W_COUNT);
	vreg c = path_char(g, s, e_alu(g, IR_ADD, rt_word(g, s->w, W_ELEM), m));

	if_end(g, c, end);
	vreg d = e_alui(g, IR_SUB, c, '0');

	e_jcci(g, BPF_JGT, d, 9, s->fail);
	e_jcci(g, BPF_JGT, count, MAX_INDEX, s->fail);
	rt_set(g, s->w, W_COUNT, e_alu(g, IR_ADD, e_alui(g, IR_MUL, count, 10), d));
	rt_step(g, s->w, W_MATCH, m, 1);
	rt_next(g);
	e_label(g, end);
	e_jcci(g, BPF_JEQ, m, 0, s->fail); /* no number */
	rt_seti(g, s->w, W_ARRAY, 1);
	rt_seti(g, s->w, W_STATE, J_VALUE);
	e_jcci(g, BPF_JEQ, count, 0, first);
	rt_next(g);
	e_label(g, first);
	rt_seti(g, s->w, W_FOUND, 1);
	rt_next(g);
}

static void in_key(struct gen *g, const struct scan *s)
{
	skip_space(g, s);
	e_jcci(g, BPF_JNE, s->c, '"', s->fail);
	rt_seti(g, s->w, W_MATCH, 0);
	rt_seti(g, s->w, W_ARRAY, 0);
	take_to(g, s, J_KEYSTR);
}

static void in_keystr(struct gen *g, const struct scan *s)
{
	u32 end = ir_label(g->f), escape = ir_label(g->f), found = ir_label(g->f),
	    no = ir_label(g->f);

	e_jcci(g, BPF_JEQ, s->c, '"', end);
	match_char(g, s);
	e_jcci(g, BPF_JEQ, s->c, '\\', escape);
	take(g, s);
	e_label(g, escape);
	take_to(g, s, J_KEYESC);
	e_label(g, end);
	vreg m = rt_word(g, s->w, W_MATCH);

	e_jcci(g, BPF_JSLT, m, 0, no);
	if_end(g, path_char(g, s, e_alu(g, IR_ADD, rt_word(g, s->w, W_ELEM), m)), found);
	e_label(g, no);
	take_to(g, s, J_COLON);
	e_label(g, found);
	rt_seti(g, s->w, W_FOUND, 1);
	take_to(g, s, J_COLON);
}

static void in_keyesc(struct gen *g, const struct scan *s)
{
	match_char(g, s);
	take_to(g, s, J_KEYSTR);
}

static void in_colon(struct gen *g, const struct scan *s)
{
	skip_space(g, s);
	on(g, s, ':', J_VALUE);
	e_jmp(g, s->fail);
}

/* Into an object or an array when the path does, else over it */
static void value_opens(struct gen *g, const struct scan *s)
{
	u32 over = ir_label(g->f), array = ir_label(g->f);
	vreg c;

	e_jcci(g, BPF_JEQ, rt_word(g, s->w, W_FOUND), 0, over);
	vreg next = next_elem(g, s, &c);

	e_jcci(g, BPF_JEQ, c, 0, over);
	rt_set(g, s->w, W_ELEM, next);
	rt_seti(g, s->w, W_MATCH, 0);
	rt_seti(g, s->w, W_COUNT, 0);
	rt_seti(g, s->w, W_FOUND, 0);
	e_jcci(g, BPF_JEQ, s->c, '[', array);
	take_to(g, s, J_KEY);
	e_label(g, array);
	take_to(g, s, J_INDEX);
	e_label(g, over);
	rt_seti(g, s->w, W_DEPTH, 1);
	take_to(g, s, J_NEST);
}

static void in_value(struct gen *g, const struct scan *s)
{
	u32 opens = ir_label(g->f), string = ir_label(g->f), word = ir_label(g->f);

	skip_space(g, s);
	rt_set(g, s->w, W_START, s->at);
	e_jcci(g, BPF_JEQ, s->c, '{', opens);
	e_jcci(g, BPF_JEQ, s->c, '[', opens);
	e_jcci(g, BPF_JEQ, s->c, '"', string);
	e_jcci(g, BPF_JEQ, s->c, '-', word);
	e_jcci(g, BPF_JLE, e_alui(g, IR_SUB, s->c, '0'), 9, word);
	e_jcci(g, BPF_JGT, e_alui(g, IR_SUB, s->c, 'a'), 25, s->fail);
	e_label(g, word);
	take_to(g, s, J_WORD);
	e_label(g, string);
	rt_step(g, s->w, W_START, s->at, 1);
	take_to(g, s, J_STR);
	e_label(g, opens);
	value_opens(g, s);
}

static void in_str(struct gen *g, const struct scan *s)
{
	u32 end = ir_label(g->f);

	on(g, s, '\\', J_STRESC);
	e_jcci(g, BPF_JEQ, s->c, '"', end);
	take(g, s);
	e_label(g, end);
	value_ends(g, s, s->at, true);
}

static void in_stresc(struct gen *g, const struct scan *s)
{
	take_to(g, s, J_STR);
}

static void in_word(struct gen *g, const struct scan *s)
{
	u32 more = ir_label(g->f), end = ir_label(g->f);

	e_jcci(g, BPF_JLE, e_alui(g, IR_SUB, s->c, '0'), 9, more);
	e_jcci(g, BPF_JLE, e_alui(g, IR_SUB, e_alui(g, IR_OR, s->c, 0x20), 'a'), 25, more);
	e_jcci(g, BPF_JEQ, s->c, '.', more);
	e_jcci(g, BPF_JEQ, s->c, '-', more);
	e_jcci(g, BPF_JNE, s->c, '+', end);
	e_label(g, more);
	take(g, s);
	e_label(g, end);
	value_ends(g, s, s->at, false);
}

static void in_nest(struct gen *g, const struct scan *s)
{
	u32 deeper = ir_label(g->f), up = ir_label(g->f), end = ir_label(g->f);
	vreg c = e_alui(g, IR_OR, s->c, 0x20); /* [] become {} */

	on(g, s, '"', J_NESTSTR);
	e_jcci(g, BPF_JEQ, c, '{', deeper);
	e_jcci(g, BPF_JEQ, c, '}', up);
	take(g, s);
	e_label(g, deeper);
	rt_step(g, s->w, W_DEPTH, rt_word(g, s->w, W_DEPTH), 1);
	take(g, s);
	e_label(g, up);
	vreg depth = e_alui(g, IR_ADD, rt_word(g, s->w, W_DEPTH), -1);

	rt_set(g, s->w, W_DEPTH, depth);
	e_jcci(g, BPF_JEQ, depth, 0, end);
	take(g, s);
	e_label(g, end);
	value_ends(g, s, e_alui(g, IR_ADD, s->at, 1), true);
}

static void in_neststr(struct gen *g, const struct scan *s)
{
	on(g, s, '\\', J_NESTESC);
	on(g, s, '"', J_NEST);
	take(g, s);
}

static void in_nestesc(struct gen *g, const struct scan *s)
{
	take_to(g, s, J_NESTSTR);
}

static void in_comma(struct gen *g, const struct scan *s)
{
	u32 array = ir_label(g->f), found = ir_label(g->f);

	skip_space(g, s);
	e_jcci(g, BPF_JNE, s->c, ',', s->fail);
	e_jcci(g, BPF_JNE, rt_word(g, s->w, W_ARRAY), 0, array);
	take_to(g, s, J_KEY);
	e_label(g, array);
	vreg left = e_alui(g, IR_ADD, rt_word(g, s->w, W_COUNT), -1);

	rt_set(g, s->w, W_COUNT, left);
	e_jcci(g, BPF_JEQ, left, 0, found);
	take_to(g, s, J_VALUE);
	e_label(g, found);
	rt_seti(g, s->w, W_FOUND, 1);
	take_to(g, s, J_VALUE);
}

/* The most frequent ones first */
static const struct {
	s64 state;
	void (*in)(struct gen *g, const struct scan *s);
} states[] = {
	{ J_NESTSTR, in_neststr }, { J_STR, in_str },         { J_NEST, in_nest },
	{ J_KEYSTR, in_keystr },   { J_WORD, in_word },       { J_VALUE, in_value },
	{ J_KEY, in_key },         { J_COLON, in_colon },     { J_COMMA, in_comma },
	{ J_INDEX, in_index },     { J_TOP, in_top },         { J_STRESC, in_stresc },
	{ J_KEYESC, in_keyesc },   { J_NESTESC, in_nestesc },
};

/* at 0: document, 1: path */
static void body_json(struct gen *g, const struct rt_body *b, u32 bdoc, u32 bpath)
{
	struct scan s = { .b = b, .bpath = bpath, .fail = ir_label(g->f) };
	vreg state;

	s.w = rt_own_words(g, b);
	s.at = rt_pos(g, s.w, W_AT);
	s.c = rt_byte(g, b, 0, s.at, bdoc);
	state = rt_word(g, s.w, W_STATE);
	e_jcci(g, BPF_JEQ, s.c, 0, s.fail); /* nothing may be open at the end */
	for (u32 k = 0; k < DT_NELEM(states); k++) {
		u32 other = ir_label(g->f);

		e_jcci(g, BPF_JNE, state, states[k].state, other);
		states[k].in(g, &s);
		e_label(g, other);
	}
	e_label(g, s.fail);
	rt_stop(g);
}

void into_json(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	static const struct rt_kind kind = { "json", body_json };
	struct sval doc = subr_str_arg(g, n, 0), path = subr_str_arg(g, n, 1);
	struct mem w = rt_words(g, NULL, 0, W_WORDS);
	u32 plain = ir_label(g->f);

	e_jcci(g, BPF_JNE, e_ld(g, path.m, 1), '[', plain);
	rt_seti(g, w, W_ELEM, 1);
	e_label(g, plain);
	rt_loop(g, 2 * (doc.bound + path.bound), &kind, doc.bound, path.bound, w,
		(const struct mem[]){ doc.m, path.m }, 2);
	vreg from = rt_word(g, w, W_FROM);

	g_slice(g, dst, size, doc, from, e_alu(g, IR_SUB, rt_word(g, w, W_TO), from));
}
