/* SPDX-License-Identifier: Apache-2.0 */
/* regs.d - indexes of uregs[ ]: the saved registers in the order of the kernel's struct pt_regs, then segments */

inline int R_R15 = 0;
inline int R_R14 = 1;
inline int R_R13 = 2;
inline int R_R12 = 3;
inline int R_RBP = 4;
inline int R_RBX = 5;
inline int R_R11 = 6;
inline int R_R10 = 7;
inline int R_R9 = 8;
inline int R_R8 = 9;
inline int R_RAX = 10;
inline int R_RCX = 11;
inline int R_RDX = 12;
inline int R_RSI = 13;
inline int R_RDI = 14;
inline int R_ERR = 15;
inline int R_RIP = 16;
inline int R_CS = 17;
inline int R_RFL = 18;
inline int R_RSP = 19;
inline int R_SS = 20;

inline int R_FSBASE = 21;
inline int R_GSBASE = 22;
inline int R_DS = 23;
inline int R_ES = 24;
inline int R_FS = 25;
inline int R_GS = 26;

inline int R_ORIG_RAX = R_ERR;
inline int R_PC = R_RIP;
inline int R_SP = R_RSP;
inline int R_PS = R_RFL;
inline int R_R0 = R_RAX;
inline int R_R1 = R_RBX;
inline int R_FP = R_RBP;
inline int R_EAX = R_RAX;
inline int R_EBX = R_RBX;
inline int R_ECX = R_RCX;
inline int R_EDX = R_RDX;
inline int R_ESI = R_RSI;
inline int R_EDI = R_RDI;
inline int R_EBP = R_RBP;
inline int R_ESP = R_RSP;
inline int R_UESP = R_RSP;
inline int R_EIP = R_RIP;
inline int R_EFL = R_RFL;
inline int R_TRAPNO = R_ERR;

/* Of a system call: is it one of 32-bit programs, with numbers of their own (TS_COMPAT)?  Its number, its arguments. */
inline int __compat = curthread->thread_info.status & 2;
inline long __sysnr[struct pt_regs *R] = R->orig_ax;
inline uint64_t __sysarg[struct pt_regs *R, int n] = __compat ? (uint32_t)(n == 0 ? R->bx : R->cx) :
	n == 0 ? R->di : R->si;

/* Calls that the providers look for, by their number. */
inline int __isexec[long nr] = __compat ? nr == 11 || nr == 358 : nr == 59 || nr == 322;
inline int __isexecat[long nr] = nr == (__compat ? 358 : 322);
inline int __isyield[long nr] = nr == (__compat ? 158 : 24);
inline int __issigwait[long nr] = __compat ? nr == 177 || nr == 421 : nr == 128;
/* read, readv, pread64, preadv, preadv2; write and so on */
inline int __isread[long nr] = __compat ? nr == 3 || nr == 145 || nr == 180 || nr == 333 || nr == 378 :
	nr == 0 || nr == 17 || nr == 19 || nr == 295 || nr == 327;
inline int __iswrite[long nr] = __compat ? nr == 4 || nr == 146 || nr == 181 || nr == 334 || nr == 379 :
	nr == 1 || nr == 18 || nr == 20 || nr == 296 || nr == 328;
/* msgsnd, msgrcv; semop, semtimedop */
inline int __ismsg[long nr] = __compat ? nr == 400 || nr == 401 : nr == 69 || nr == 70;
inline int __issem[long nr] = __compat ? nr == 420 : nr == 65 || nr == 220;
inline int __isfutex[long nr] = __compat ? nr == 240 || nr == 422 : nr == 202;
