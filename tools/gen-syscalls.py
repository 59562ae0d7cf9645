#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes engine/providers/syscalls_x86_64.def: numbers, names, argument types of system calls.

The facts come from three places, each filling what the one before lacks:

  numbers     <asm/unistd_64.h>, and NEWER below for calls younger than that header
  types       the running kernel's tracefs (events/syscalls/sys_enter_NAME/format)
  types       the prototypes in include/linux/syscalls.h of a kernel header package, for calls
              that the running kernel was built without

usage: tools/gen-syscalls.py --tracefs /sys/kernel/tracing \\
           --headers /usr/src/linux-headers-6.1.0-NN-common > engine/providers/syscalls_x86_64.def
       tools/gen-syscalls.py --i386 /usr/include/x86_64-linux-gnu/asm/unistd_32.h
           > engine/providers/syscalls_i386.def

The second one writes which number of a 32-bit program's is which of ours.
"""

import argparse
import pathlib
import re
import sys

# Calls that the header of a Linux 6.1 system does not know.
NEWER = {
    335: "uretprobe",
    336: "uprobe",
    451: "cachestat",
    452: "fchmodat2",
    453: "map_shadow_stack",
    454: "futex_wake",
    455: "futex_wait",
    456: "futex_requeue",
    457: "statmount",
    458: "listmount",
    459: "lsm_get_self_attr",
    460: "lsm_set_self_attr",
    461: "lsm_list_modules",
    462: "mseal",
    463: "setxattrat",
    464: "getxattrat",
    465: "listxattrat",
    466: "removexattrat",
    467: "open_tree_attr",
    468: "file_getattr",
    469: "file_setattr",
    470: "listns",
}

# The function behind a call where it is called otherwise.
FUNCTION = {
    "stat": "newstat",
    "fstat": "newfstat",
    "lstat": "newlstat",
    "uname": "newuname",
    "sendfile": "sendfile64",
    "umount2": "umount",
}

# Signatures that neither source has: specific to x86-64, or too new for both.
BY_HAND = {
    "map_shadow_stack": ["unsigned long", "unsigned long", "unsigned int"],
    "listns": ["const struct ns_id_req *", "u64 *", "size_t", "unsigned int"],
}


# Calls of 32-bit programs that are called otherwise and mean the same.
SAME = {
    "_newselect": "select",
    "clock_nanosleep_time64": "clock_nanosleep",
    "fadvise64_64": "fadvise64",
    "fstatat64": "newfstatat",
    "mmap2": "mmap",
    "sendfile64": "sendfile",
    "sigreturn": "rt_sigreturn",
    "ugetrlimit": "getrlimit",
}
# Calls with names of others here, whose arguments they do not have.
OTHER = {"umount", "ipc", "socketcall", "select", "mmap", "sync_file_range"}


def native(name, calls):
    """The number here of a call of 32-bit programs, or None."""
    if name in OTHER:
        return None
    for known in (name, SAME.get(name), re.sub(r"(_time64|64|32)$", "", name)):
        if known in calls:
            return calls[known]
    return None


def compat(unistd, unistd_32):
    calls = {name: nr for nr, name in numbers(unistd).items()}
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Made by tools/gen-syscalls.py: COMPAT(number in 32-bit programs, number, name). */")
    for nr, name in sorted(numbers(unistd_32).items()):
        here = native(name, calls)
        if here is not None:
            print(f"COMPAT({nr}, {here}, {name})")


def numbers(unistd):
    calls = dict(NEWER)
    for name, nr in re.findall(r"#define __NR_(\w+) (\d+)", unistd.read_text()):
        calls[int(nr)] = name
    return calls


def tidy(ctype):
    """const char __user *const __user * -> const char *const *"""
    ctype = re.sub(r"\b__(user|rcu|iomem|force)\b", " ", ctype)
    ctype = re.sub(r"\s+", " ", ctype).strip()
    ctype = re.sub(r"\* (?=\*)", "*", ctype)
    return re.sub(r"\*\s*(const)\b\s*", r"*\1 ", ctype).strip()


def split_declaration(text):
    """ "const char *filename" -> "const char *"; a lone type keeps its last word."""
    text = tidy(text)
    match = re.fullmatch(r"(.*?[\s*])(\w+)", text)
    base = {"int", "long", "char", "short", "unsigned", "void"}
    if (
        match
        and match.group(2) not in base
        and match.group(1).strip() not in ("struct", "union", "const")
    ):
        text = tidy(match.group(1))
    # that a parameter is const itself matters to its function only
    text = re.sub(r"\s*\bconst$", "", text)
    return text if "*" in text else text.removeprefix("const ")


def from_tracefs(root, function):
    path = root / "events/syscalls" / f"sys_enter_{function}" / "format"
    if not path.exists():
        return None
    fields = re.findall(r"field:(.*?);\s*offset:(\d+);", path.read_text())
    return [split_declaration(text) for text, offset in fields if int(offset) >= 16]


def prototypes(header):
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
    found = {}
    for name, params in re.findall(r"asmlinkage long sys_(\w+)\(([^;]*?)\);", text):
        params = [p.strip() for p in params.split(",")]
        found[name] = [] if params == ["void"] else [split_declaration(p) for p in params]
    return found


UNISTD = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
HEADER = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Made by tools/gen-syscalls.py: SYSCALL(number, name, number of arguments, their C types). */"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unistd", type=pathlib.Path, default=UNISTD)
    parser.add_argument("--tracefs", type=pathlib.Path)
    parser.add_argument("--headers", type=pathlib.Path)
    parser.add_argument("--i386", type=pathlib.Path)
    args = parser.parse_args()

    if args.i386:
        compat(args.unistd, args.i386)
        return
    if not args.tracefs or not args.headers:
        parser.error("--tracefs and --headers are both needed")

    protos = prototypes(args.headers / "include/linux/syscalls.h")
    print(HEADER)
    for nr, name in sorted(numbers(args.unistd).items()):
        function = FUNCTION.get(name, name)
        types = from_tracefs(args.tracefs, function)
        if types is None:
            types = protos.get(function, BY_HAND.get(name))
        if types is None:
            # a number that was given away and never, or no longer, used
            print(f"left out: {nr} {name}", file=sys.stderr)
            continue
        text = ", ".join(f'"{t}"' for t in types) or "NULL"
        print(f'SYSCALL({nr}, "{name}", {len(types)}, {text})')


if __name__ == "__main__":
    main()
