/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufunc.h - what the providers of user level share: probes that are places in files, and how descriptions name
 * the files.
 */
#ifndef DT_UFUNC_H
#define DT_UFUNC_H

#include "probe/probe.h"

/* Where probes are to be made: a file as one process, or everybody, runs it. */
struct dt_uscope {
	const struct dt_provider *prov;
	const char *provname; /* "pid123"; in the registry's arena */
	const char *mod;      /* what the file is called in probes */
	struct dt_ufile *file;
	pid_t pid;    /* 0: all processes */
	bool program; /* the file is the process's program */
};

/* Where entries and returns of functions hang. */
extern const struct dt_attach dt_on_uentry, dt_on_ureturn;

/* The probe of these names with this place among its sites; new ones are made.  0 or -1 with dt_fail. */
int dt_uprobe_add(struct dt_probes *ps, const struct dt_uscope *s, const char *func,
		  const char *name, const struct dt_attach *model, const struct dt_usite *site);
/* Entries and returns of functions, and instructions, that the description asks for. */
int dt_ufunc_provide(struct dt_probes *ps, const struct dt_uscope *s, const struct dt_pdesc *d);
int dt_ufunc_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out);
/* The attach points that functions of a description have. */
int dt_ufunc_late(struct dt_probes *ps, const struct dt_pdesc *d,
		  int (*cb)(struct dt_attach *at, void *arg), void *arg);

/* "libc" is also "libc.so.6" and "libc-2.36.so"; a path is a path. */
bool dt_umod_matches(const struct dt_ufile *f, const char *pattern);
/* Same for a probe's module. */
bool dt_uprobe_mod_matches(const struct dt_probe *p, const char *pattern);
/* The description can only mean files that are there from the start of a process. */
bool dt_umod_is_program(const struct dt_pdesc *d);
/* The process of a provider "NAME123"; -1: it does not end in a process's number. */
pid_t dt_uprov_pid(const char *prov, size_t *namelen);
/* NAME123, or a pattern of such, of provider NAME; pattern * alone does not mean every process there is. */
bool dt_uprov_accepts(const struct dt_provider *self, const char *prov);
/* make() for the process that the description's NAME123 says, or for those that its pattern matches: one of these that
 * fails has ended meanwhile. */
int dt_uprov_provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		     int (*make)(pid_t pid, void *arg), void *arg);
/* Copies to the registry's arena; NULL with dt_fail. */
const char *dt_uprobe_str(struct dt_probes *ps, const char *s);

#endif
