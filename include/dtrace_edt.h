/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dtrace_edt.h - the library's own error codes, as dtrace_errno() gives them.  Codes below 1000 are of errno(3).
 * Numbers never change; new ones are added at the end.
 */
#ifndef DTRACE_EDT_H
#define DTRACE_EDT_H

enum dtrace_edt {
	EDT_BASE = 999,
	EDT_VERSION,      /* API version asked for is not this library's */
	EDT_VERSINVAL,    /* Version string is malformed or too large */
	EDT_VERSUNDEF,    /* No such version of D */
	EDT_VERSREDUCED,  /* Version has already been reduced below this one */
	EDT_CTF,          /* Type information cannot be used */
	EDT_COMPILER,     /* D program does not compile */
	EDT_NOREG,        /* Expression needs too many registers */
	EDT_NOTUPREG,     /* Expression needs too many tuple registers */
	EDT_NOMEM,        /* Out of memory */
	EDT_INT2BIG,      /* Integer constant table is full */
	EDT_STR2BIG,      /* String table is full */
	EDT_NOMOD,        /* No such module */
	EDT_NOPROV,       /* No such provider */
	EDT_NOPROBE,      /* No such probe */
	EDT_NOSYM,        /* No such symbol */
	EDT_NOSYMADDR,    /* No symbol at this address */
	EDT_NOTYPE,       /* No such type */
	EDT_NOVAR,        /* No such variable */
	EDT_NOAGG,        /* No such aggregation */
	EDT_BADSCOPE,     /* Name cannot be used in this scope */
	EDT_BADSPEC,      /* Malformed probe description */
	EDT_BADSPCV,      /* Bad macro variable in probe description */
	EDT_BADID,        /* No such probe id */
	EDT_NOTLOADED,    /* Module is no longer loaded */
	EDT_NOCTF,        /* Module has no type information */
	EDT_DATAMODEL,    /* Module and program differ in data model */
	EDT_DIFVERS,      /* Program is of an unsupported version */
	EDT_BADAGG,       /* Unknown aggregating function */
	EDT_FIO,          /* Input/output error */
	EDT_BPFINVAL,     /* BPF program is not valid */
	EDT_BPFSIZE,      /* BPF program is too large */
	EDT_BPFFAULT,     /* BPF program has a bad pointer */
	EDT_BPF,          /* BPF program cannot be loaded */
	EDT_BADPROBE,     /* Bad probe description */
	EDT_BADPGLOB,     /* Probe description matches more than one probe */
	EDT_NOSCOPE,      /* Scope of declarations is empty */
	EDT_NODECL,       /* No declaration to be found */
	EDT_DMISMATCH,    /* Record does not fit the data of its statement */
	EDT_DOFFSET,      /* Record lies beyond the end of the data */
	EDT_DALIGN,       /* Record is misaligned */
	EDT_DSIZE,        /* Record has an impossible size */
	EDT_BADSTID,      /* No such stack */
	EDT_BADOPTNAME,   /* No such option */
	EDT_BADOPTVAL,    /* Bad value for option */
	EDT_BADOPTCTX,    /* Option cannot be set now */
	EDT_CPPFORK,      /* Preprocessor cannot be started */
	EDT_CPPEXEC,      /* Preprocessor cannot be run */
	EDT_CPPENT,       /* Preprocessor not found */
	EDT_CPPERR,       /* Preprocessor failed */
	EDT_SYMOFLOW,     /* Symbol table has too many identifiers */
	EDT_ACTIVE,       /* Not possible while tracing is active */
	EDT_DESTRUCTIVE,  /* Destructive actions are not allowed */
	EDT_NOANON,       /* No anonymous tracing state */
	EDT_ISANON,       /* Anonymous tracing state cannot be changed */
	EDT_ENDTOOBIG,    /* END enablings exceed the principal buffer */
	EDT_NOCONV,       /* No printf conversion for this datum */
	EDT_BADCONV,      /* Bad printf conversion */
	EDT_BADERROR,     /* Malformed ERROR record */
	EDT_ERRABORT,     /* Stopped by an error */
	EDT_DROPABORT,    /* Stopped by drops */
	EDT_DIRABORT,     /* Stopped by a directive */
	EDT_BADRVAL,      /* Callback returned an invalid value */
	EDT_BADNORMAL,    /* Bad normalize request */
	EDT_BUFTOOSMALL,  /* Buffer is too small for the enabled probes */
	EDT_BADTRUNC,     /* Bad truncation request */
	EDT_BUSY,         /* Another consumer has the resource */
	EDT_ACCESS,       /* DTrace requires additional privileges */
	EDT_NOENT,        /* DTrace is not available on this system */
	EDT_BRICKED,      /* Tracing was shut down as the system is unresponsive */
	EDT_HARDWIRE,     /* Definition is built in and cannot change */
	EDT_ELFVERSION,   /* ELF library is of another version */
	EDT_NOBUFFERED,   /* Buffered output has no handler */
	EDT_UNSTABLE,     /* Stability is below the minimum */
	EDT_BADSETOPT,    /* Malformed setopt() request */
	EDT_BADSTACKPC,   /* Bad program counter in stack */
	EDT_BADAGGVAR,    /* Bad aggregation variable */
	EDT_OVERSION,     /* Client was built for an older version of the library */
	EDT_ENABLING_ERR, /* Probe cannot be enabled */
	EDT_READMAXSTACK, /* Maximum stack depth of the kernel cannot be read */
	EDT_TRACEMEM,     /* Malformed tracemem() record */
	EDT_PCAP,         /* Packet capture failed */
	EDT_NOPROBES,     /* No probes to enable */
	EDT_CANTLOAD,     /* Module cannot be loaded */
	EDT_DIFINVAL,     /* Program is not valid */
	EDT_DIFSIZE,      /* Program is too large */
	EDT_DIFFAULT,     /* Program has a bad pointer */
	EDT_BADEPID,      /* No such enabled probe */
	EDT_END
};

#endif
