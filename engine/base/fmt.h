/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fmt.h - printf() formats of D, parsed once: the checker compares them with the arguments, the consumer
 * prints from them.  d-language reference: %[flags][width][.precision][size]conv; no %n$.
 */
#ifndef DT_FMT_H
#define DT_FMT_H

#include "base/base.h"

enum dt_conv_class {
	DT_CONV_LITERAL, /* no argument: text only */
	DT_CONV_INT,     /* d i u o x X c C: any integer (size modifiers force one) */
	DT_CONV_PTR,     /* p: pointer or integer */
	DT_CONV_ADDR,    /* a: kernel address (int, pointer, symaddr) */
	DT_CONV_UADDR,   /* A: user address (usymaddr, int) */
	DT_CONV_STR,     /* s S: string, char array (an integer or pointer is an error) */
	DT_CONV_TIME,    /* T Y: 64-bit ns since the epoch */
	DT_CONV_STACK,   /* k */
	DT_CONV_FLOAT,   /* e E f g G */
	DT_CONV_WIDE,    /* ws ls wc lc */
};

/* A literal text followed by one conversion. */
struct dt_conv {
	const char *text; /* literal in front, %% already folded, may hold any byte but NUL */
	size_t textlen;
	enum dt_conv_class cls;
	char conv;                                /* 'd', 's', ...; 0 for LITERAL */
	char size[3];                             /* "", "h", "hh", "l", "ll", "L", "w" */
	bool left, zero, plus, space, alt, group; /* - 0 + blank # ' */
	bool ptrwidth;                            /* ? */
	bool agg;                                 /* @: take the aggregation's result */
	bool dynwidth, dynprec;                   /* '*': an int argument each, before the value */
	int width, prec;                          /* -1: not given */
	u32 off;                                  /* where in the format the '%' is, for messages */
};

struct dt_fmt {
	struct dt_conv *conv;
	u32 n;
	u32 nargs;  /* arguments consumed, '*' included, '@' ones not */
	char *text; /* copy of the format */
};

/* The parsed form on the heap; NULL with a sentence in err (size bytes) when the format is wrong. */
struct dt_fmt *dt_fmt_parse(const char *format, char *err, size_t size);
void dt_fmt_free(struct dt_fmt *f);

#endif
