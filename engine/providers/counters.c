/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.c - vminfo and sysinfo: a probe for each counter, which fires when that goes up; arg0 says by how much.  There
 * is no counter to point to in arg1.
 */
#include <linux/perf_event.h>

#include "providers/derived.h"

#define BY(n) .args = { VALUE("int", n), VALUE("uint64_t *", "NULL") }

#define SWITCH \
	TP("sched_switch", "_Bool preempt", "struct task_struct *prev", \
	   "struct task_struct *next", "unsigned int state")
#define SYS_ENTER TP("sys_enter", "struct pt_regs *regs", "long nr")
#define SYS_EXIT TP("sys_exit", "struct pt_regs *regs", "long ret")
#define NEW_TASK TP("task_newtask", "struct task_struct *task", "uint64_t flags")
#define WAIT TP("contention_begin", "uintptr_t lock", "unsigned int flags")
#define BIO TP("block_bio_queue", "struct bio *bio")
/* error: bit 0 the page is there, bit 1 a write */
#define FAULT \
	TP("page_fault_user", "unsigned long address", "struct pt_regs *regs", "unsigned long error")

#define ROW(provider, counter, n, condition, ...) \
	{ .prov = provider, .name = counter, __VA_ARGS__, .when = condition, BY(n) }
#define SYS(...) ROW("sysinfo", __VA_ARGS__)
#define VM(...) ROW("vminfo", __VA_ARGS__)

static const struct dt_derived sysinfo[] = {
	SYS("pswitch", "1", NULL, SWITCH),
	SYS("inv_swtch", "1", "prev->pid && (preempt || state == 0)", SWITCH),
	SYS("idlethread", "1", "next->pid == 0", SWITCH),
	SYS("cpumigrate", "1", NULL, TP("sched_migrate_task", "struct task_struct *task", "int to")),
	SYS("sysread", "1", "__isread[nr]", SYS_ENTER),
	SYS("syswrite", "1", "__iswrite[nr]", SYS_ENTER),
	SYS("sysexec", "1", "__isexec[nr]", SYS_ENTER),
	SYS("msg", "1", "__ismsg[nr]", SYS_ENTER),
	SYS("sema", "1", "__issem[nr]", SYS_ENTER),
	SYS("readch", "(int)ret", "ret > 0 && __isread[__sysnr[regs]]", SYS_EXIT),
	SYS("writech", "(int)ret", "ret > 0 && __iswrite[__sysnr[regs]]", SYS_EXIT),
	/* CLONE_THREAD 0x10000, CLONE_VFORK 0x4000 */
	SYS("sysfork", "1", "!(flags & 0x14000)", NEW_TASK),
	SYS("sysvfork", "1", "(flags & 0x14000) == 0x4000", NEW_TASK),
	SYS("nthreads", "1", "flags & 0x10000", NEW_TASK),
	SYS("bread", "1", "!(bio->bi_opf & 1)", BIO),
	SYS("bwrite", "1", "bio->bi_opf & 1", BIO),
	SYS("mutex_adenters", "1", "flags & 0x20", WAIT),
	SYS("rw_rdfails", "1", "flags & 0x2", WAIT),
	SYS("rw_wrfails", "1", "flags & 0x4", WAIT),
	SYS("intr", "1", NULL, TP("irq_handler_entry", "int irq", "struct irqaction *action")),
	SYS("xcalls", "1", NULL, TP("ipi_send_cpu", "unsigned int to")),
	SYS("xcalls", "1", NULL, TP("ipi_send_cpumask", "uint64_t mask")),
	SYS("modload", "1", NULL, TP("module_load", "struct module *module")),
	SYS("modunload", "1", NULL, TP("module_free", "struct module *module")),
	{ .name = NULL },
};

static const struct dt_derived vminfo[] = {
	VM("as_fault", "1", "!(error & 1)", FAULT),
	VM("maj_fault", "1", NULL, PERF(PERF_COUNT_SW_PAGE_FAULTS_MAJ, "page-faults-maj")),
	VM("prot_fault", "1", "(error & 3) == 1", FAULT),
	VM("cow_fault", "1", "(error & 3) == 3", FAULT),
	VM("kernel_asflt", "1", NULL,
	   TP("page_fault_kernel", "unsigned long address", "struct pt_regs *regs",
	      "unsigned long error")),
	/* zeroed (0x100) memory that can be moved (0x8): a process's */
	VM("zfod", "1 << order", "(gfp & 0x108) == 0x108",
	   TP("mm_page_alloc", "struct page *page", "unsigned int order", "unsigned int gfp")),
	VM("pgin", "1", "!(bio->bi_opf & 1) && bio->bi_iter.bi_size", BIO),
	VM("pgout", "1", "bio->bi_opf & 1 && bio->bi_iter.bi_size", BIO),
	VM("pgpgin", "(int)((bio->bi_iter.bi_size + 4095) / 4096)",
	   "!(bio->bi_opf & 1) && bio->bi_iter.bi_size", BIO),
	VM("pgpgout", "(int)((bio->bi_iter.bi_size + 4095) / 4096)",
	   "bio->bi_opf & 1 && bio->bi_iter.bi_size", BIO),
	VM("fspgin", "(int)((bio->bi_iter.bi_size + 4095) / 4096)",
	   "!(bio->bi_opf & 1) && bio->bi_iter.bi_size && __bionamed[bio]", BIO),
	VM("fspgout", "(int)((bio->bi_iter.bi_size + 4095) / 4096)",
	   "bio->bi_opf & 1 && bio->bi_iter.bi_size && __bionamed[bio]", BIO),
	VM("scan", "(int)scanned", NULL,
	   TP("mm_vmscan_lru_isolate", "int zone", "int order", "unsigned long wanted",
	      "unsigned long scanned")),
	VM("pgrrun", "1", NULL, TP("mm_vmscan_kswapd_wake", "int node", "int zone", "int order")),
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(sysinfo, "sysinfo", sysinfo);
DT_DERIVED_PROVIDER(vminfo, "vminfo", vminfo);
