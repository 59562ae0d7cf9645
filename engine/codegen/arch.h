/* SPDX-License-Identifier: Apache-2.0 */
/* arch.h - all that depends on the processor: offsets in struct pt_regs (user ABI, <asm/ptrace.h>). */
#ifndef DT_ARCH_H
#define DT_ARCH_H

#if defined(__x86_64__)

/* system call arguments 0-5: rdi rsi rdx r10 r8 r9 */
static const unsigned char dt_arch_syscall_arg[6] = { 112, 104, 96, 56, 72, 64 };
/* ... and of 32-bit programs: rbx rcx rdx rsi rdi rbp */
static const unsigned char dt_arch_compat_arg[6] = { 40, 88, 96, 104, 112, 32 };
/* arguments of functions in registers: rdi rsi rdx rcx r8 r9 */
static const unsigned char dt_arch_func_arg[6] = { 112, 104, 96, 88, 72, 64 };
#define DT_ARCH_STACK_ARGS 8   /* at a function's first instruction: sp + this */
#define DT_ARCH_RETVAL 80      /* rax */
#define DT_ARCH_SYSCALL_NR 120 /* orig_rax */
#define DT_ARCH_IP 128
#define DT_ARCH_CS 136
#define DT_ARCH_SP 152
#define DT_ARCH_CS_USER 3 /* privilege level bits of cs: nonzero in user mode */
/* thread_info.status, which a task starts with, and its bit for "in a system call of 32-bit programs" (TS_COMPAT) */
#define DT_ARCH_TASK_STATUS 16
#define DT_ARCH_TASK_COMPAT 2

#else
#error "this processor has no row in engine/codegen/arch.h"
#endif

#endif
