/* SPDX-License-Identifier: Apache-2.0 */
/* sched.d - processors: the package (chip) and the NUMA node (lgrp) that one is in, as sysfs tells */

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

translator cpuinfo_t < int C > {
	cpu_id = C;
	cpu_pset = 0;
	cpu_chip = __chip(C);
	cpu_lgrp = __lgrp(C);
	cpu_info = 0;
};

inline cpuinfo_t *curcpu = xlate <cpuinfo_t *>(cpu);
inline chipid_t chip = curcpu->cpu_chip;
inline psetid_t pset = curcpu->cpu_pset;
inline lgrp_id_t lgrp = curcpu->cpu_lgrp;
inline uint_t ipl = 0; /* Linux has no levels of interrupts */
