/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, offsets and numbers that programs built against dtrace.h rely on. */
#include <dtrace.h>
#include <dtrace_ext.h>
#include <stddef.h>

#define SAME(a, b) _Static_assert((a) == (b), #a)

SAME(DTRACE_VERSION, 3);
SAME(DTRACEOPT_UNSET, -2);
SAME(sizeof(dtrace_probedesc_t), 388);
SAME(offsetof(dtrace_probedesc_t, dtpd_func), 132);
SAME(sizeof(dtrace_recdesc_t), 40);
SAME(offsetof(dtrace_recdesc_t, dtrd_format), 16);
SAME(offsetof(dtrace_recdesc_t, dtrd_uarg), 32);
SAME(offsetof(dtrace_eprobedesc_t, dtepd_rec), 24);
SAME(offsetof(dtrace_aggdesc_t, dtagd_rec), 40);
SAME(sizeof(dtrace_probedata_t), 72);
SAME(sizeof(dtrace_aggdata_t), 72);
SAME(sizeof(dtrace_bufdata_t), 48);
SAME(sizeof(dtrace_errdata_t), 56);
SAME(sizeof(dtrace_dropdata_t), 40);
SAME(sizeof(dtrace_syminfo_t), 24);
SAME(sizeof(dtrace_typeinfo_t), 48);
SAME(offsetof(dtrace_typeinfo_t, dtt_size), 24);
SAME(sizeof(dtrace_objinfo_t), 72);
SAME(offsetof(dtrace_objinfo_t, dto_text_va), 24);
SAME(sizeof(dtrace_probeinfo_t), 24);
SAME(sizeof(dtrace_ecbdesc_t), 400);
SAME(sizeof(dtrace_actdesc_t), 32);
SAME(sizeof(dtrace_stmtdesc_t), 40);
SAME(sizeof(dtrace_proginfo_t), 24);
SAME(sizeof(dtrace_setoptdata_t), 40);
SAME(EDT_VERSION, 1000);
SAME(EDT_COMPILER, 1005);
SAME(EDT_BADEPID, 1086);
SAME(DTRACEACT_EXIT, 2);
SAME(DTRACEACT_USTACK, 0x101);
SAME(DTRACEACT_SYSTEM, 0x203);
SAME(DTRACEACT_STACK, 0x401);
SAME(DTRACEACT_SPECULATE, 0x601);
SAME(DTRACEAGG_COUNT, 0x701);
SAME(DTRACEAGG_LLQUANTIZE, 0x709);
SAME(DTRACE_CONSUME_ABORT, 2);
SAME(DTRACE_AGGWALK_REMOVE, 5);
SAME(DTRACE_STATUS_STOPPED, 4);
SAME(DTRACE_WORKSTATUS_DONE, 1);
SAME(DTRACE_QUANTIZE_BUCKETVAL(64), 1);
SAME(DTRACE_QUANTIZE_BUCKETVAL(62), -1);
SAME(DTRACE_QUANTIZE_BUCKETVAL(126), INT64_C(1) << 62);

int main(void)
{
	return 0;
}
