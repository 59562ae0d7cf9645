/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.c - input and output of block devices, in units of the kernel's bio.
 *
 * Devices that have queues of requests end requests, which one bio or several were merged into: done is about the first
 * one.  Others end bios.
 */
#include "providers/derived.h"

#define SWITCH \
	TP("sched_switch", "_Bool preempt", "struct task_struct *prev", \
	   "struct task_struct *next", "unsigned int state")
#define OF(type, expr) \
	{ \
		{ "bufinfo_t *", type, expr, NULL }, { "devinfo_t *", type, expr, NULL }, \
		{ \
			"fileinfo_t *", type, expr, NULL \
		} \
	}
#define OF_BIO(expr) OF("struct bio *", expr)
#define OF_NOTHING OF("struct __iowait *", "(struct __iowait *)NULL")

static const struct dt_derived rows[] = {
	{ .prov = "io",
	  .name = "start",
	  TP("block_bio_queue", "struct bio *bio"),
	  .args = OF_BIO("bio") },
	{ .prov = "io",
	  .name = "done",
	  TP("block_bio_complete", "struct request_queue *queue", "struct bio *bio"),
	  .args = OF_BIO("bio") },
	{ .prov = "io",
	  .name = "done",
	  TP("block_rq_complete", "struct request *request", "uint8_t status"),
	  .when = "request->bio",
	  .args = OF_BIO("request->bio") },
	{ .prov = "io",
	  .name = "wait-start",
	  SWITCH,
	  .when = "prev->in_iowait && state && !preempt",
	  .args = OF_NOTHING },
	{ .prov = "io",
	  .name = "wait-done",
	  SWITCH,
	  .task = "next",
	  .when = "next->in_iowait",
	  .args = OF_NOTHING },
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(io, "io", rows);
