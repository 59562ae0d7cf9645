/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.c - patterns of probe descriptions.  One position to come back to is enough: when the text
 * does not fit behind a star, only the last star can take more, so matching is never worse than
 * pattern times text.
 */
#include <string.h>

#include "base/base.h"

/* One character of a class, unescaped; false at the end of the pattern. */
static bool class_char(const char **p, unsigned char *c)
{
	if (**p == '\\')
		(*p)++;
	*c = (unsigned char)**p;
	if (!*c)
		return false;
	(*p)++;
	return true;
}

/* *p is behind the '['; moves it behind the ']'.  A class without an end matches nothing. */
static bool match_class(const char **p, unsigned char c)
{
	bool negated = **p == '!', hit = false, first = true;
	unsigned char lo, hi;

	if (negated)
		(*p)++;
	for (; first || **p != ']'; first = false) {
		if (!class_char(p, &lo))
			return false;
		hi = lo;
		if ((*p)[0] == '-' && (*p)[1] && (*p)[1] != ']') {
			(*p)++;
			if (!class_char(p, &hi))
				return false;
		}
		if (lo <= c && c <= hi)
			hit = true;
	}
	(*p)++;
	return hit != negated;
}

/* One pattern element that is no star against one character. */
static bool match_one(const char **p, unsigned char c)
{
	char e = *(*p)++;

	switch (e) {
	case '?': return true;
	case '[': return match_class(p, c);
	case '\\':
		if (!**p)
			return false;
		e = *(*p)++;
		return (unsigned char)e == c;
	default: return (unsigned char)e == c;
	}
}

bool dt_glob_match(const char *pattern, const char *text)
{
	const char *p = pattern, *star = NULL, *resume = NULL;

	if (!*p)
		return true;
	while (*text) {
		if (*p == '*') {
			star = ++p;
			resume = text;
			continue;
		}
		if (*p && match_one(&p, (unsigned char)*text)) {
			text++;
			continue;
		}
		if (!star)
			return false;
		p = star;
		text = ++resume;
	}
	while (*p == '*')
		p++;
	return !*p;
}

bool dt_glob_is_literal(const char *pattern)
{
	return *pattern && !strpbrk(pattern, "*?[\\");
}
