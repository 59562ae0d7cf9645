/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched.d - processors.
 *
 * What the kernel keeps per processor lies at a symbol's address plus the processor's offset.  Of a
 * member that is given several times, the first one counts that this kernel's types and symbols allow.
 */

typedef int processorid_t;
typedef int psetid_t;
typedef int chipid_t;
typedef int lgrp_id_t;

typedef struct cpuinfo {
	processorid_t cpu_id;
	psetid_t cpu_pset;
	chipid_t cpu_chip;
	lgrp_id_t cpu_lgrp;
	uintptr_t cpu_info;
} cpuinfo_t;

inline uintptr_t __percpu[int c] = (uintptr_t)((uint64_t *)&`__per_cpu_offset)[c];

translator cpuinfo_t < int C > {
	cpu_id = C;
	cpu_pset = 0;
	cpu_chip = ((struct cpuinfo_x86 *)((uintptr_t)&`cpu_info + __percpu[C]))->topo.pkg_id;
	cpu_chip = ((struct cpuinfo_x86 *)((uintptr_t)&`cpu_info + __percpu[C]))->phys_proc_id;
	cpu_lgrp = *(int *)((uintptr_t)&`numa_node + __percpu[C]);
	cpu_lgrp = 0;
	cpu_info = (uintptr_t)&`cpu_info + __percpu[C];
};

inline cpuinfo_t *curcpu = xlate <cpuinfo_t *>(cpu);
inline chipid_t chip = curcpu->cpu_chip;
inline psetid_t pset = curcpu->cpu_pset;
inline lgrp_id_t lgrp = curcpu->cpu_lgrp;

/* Interrupts that this processor is in: 0 none, 1 soft, 2 hard, 3 not maskable. */
typedef struct __context {
	int preempt;
	uint_t level;
} __context_t;

translator __context_t < int C > {
	preempt = *(int *)((uintptr_t)&`__preempt_count + __percpu[C]);
	preempt = ((struct pcpu_hot *)((uintptr_t)&`pcpu_hot + __percpu[C]))->preempt_count;
	level = (xlate <__context_t *>(C))->preempt & 0xf00000 ? 3 :
		(xlate <__context_t *>(C))->preempt & 0xf0000 ? 2 :
		(xlate <__context_t *>(C))->preempt & 0x100 ? 1 : 0;
};

inline uint_t ipl = (xlate <__context_t *>(cpu))->level;
