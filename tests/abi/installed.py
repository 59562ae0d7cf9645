# SPDX-License-Identifier: Apache-2.0
"""The C library as others get it: installed below some directory, found by pkg-config, consumers
compiled against the installed headers, with the shared and with the static library, and run.

usage: installed.py SOURCE-ROOT BUILD-ROOT"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
failures = []


def check(what, ok, detail=""):
    if not ok:
        failures.append(what)
        print(f"not so: {what}\n{detail}")


def run(*args, env=None, status=0, **kw):
    done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=60, **kw)
    if status is not None and done.returncode != status:
        sys.exit(
            f"{' '.join(map(str, args))}: status {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


class Library:
    def __init__(self, build, root):
        meson = shutil.which("meson")
        if not meson:
            print("SKIP: meson is not on the path")
            sys.exit(SKIPPED)
        run(
            meson,
            "install",
            "-C",
            build,
            "--no-rebuild",
            "--destdir",
            root,
            "--tags",
            "devel,runtime",
        )
        pc = next(root.rglob("dtrace-bpf.pc"))
        self.lib = pc.parent.parent
        self.env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent), LD_LIBRARY_PATH=str(self.lib))
        # the prefix as it will be is not where --destdir put things
        prefix = run("pkg-config", "--variable=prefix", "dtrace-bpf", env=self.env).stdout.strip()
        self.prefix = root / prefix.lstrip("/")
        self.root = root

    def flags(self, *what):
        define = f"--define-variable=prefix={self.prefix}"
        out = run("pkg-config", define, *what, "dtrace-bpf", env=self.env).stdout
        return out.split()

    def compile(self, source, compiler="cc", static=False, args=()):
        exe = self.root / f"{source.stem}-{compiler}{'-static' if static else ''}"
        warn = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-O1"]
        libs = self.flags("--libs")
        if static:
            libs = [str(self.lib / "libdtrace-bpf.a"), *self.flags("--libs", "--static")]
            libs = [x for x in libs if x != "-ldtrace-bpf"]
        run(compiler, *warn, *args, *self.flags("--cflags"), source, "-o", exe, *libs)
        needed = run("readelf", "-d", exe).stdout
        check(
            f"{exe.name} uses the library it should",
            ("libdtrace-bpf.so.0" in needed) != static,
            needed,
        )
        return exe

    def run(self, exe, *args, status=0):
        return run(exe, *args, env=self.env, status=status)


def consumers(source, lib):
    examples = source / "examples" / "c"
    probes = lib.compile(examples / "probes.c")
    out = lib.run(probes, "syscall::openat:").stdout
    check(
        "probes lists both",
        out.endswith("2 probes\n") and "syscall:vmlinux:openat:entry" in out,
        out,
    )
    check("probes tells arguments", "args[1]: const char *" in out, out)
    out = lib.run(probes, "nosuch:::", status=1)
    check("probes says that there is none", "probe" in out.stderr, out.stderr)

    types = source / "tests" / "abi" / "types.c"
    lib.run(lib.compile(types))
    lib.run(lib.compile(types, static=True))
    if shutil.which("g++"):
        lib.run(lib.compile(types, compiler="g++", args=["-x", "c++"]))

    trace = lib.compile(examples / "trace.c")
    out = lib.run(trace, "-l", "-n", "BEGIN").stdout
    check("trace -l", out.split() == ["1", "dtrace", "BEGIN"], out)
    out = lib.run(trace, "-n", "BEGIN { nosuch }", status=1).stderr
    check("trace shows the compiler's message", "nosuch" in out and "line 1" in out, out)
    return trace, lib.compile(examples / "syscalls.c")


def tracing(trace, syscalls, lib):
    done = lib.run(trace, "-qn", "BEGIN { exit(0); }", status=None)
    if done.returncode:
        check("without privilege it says so", "privileges" in done.stderr, done.stderr)
        return
    done = lib.run(
        trace, "-v", "-n", 'BEGIN /1/ { printf("%s=%d", $$1, $2); exit(3); }', "x", "42", status=3
    )
    check(
        "trace prints",
        done.stdout.split() == ["0", "1", ":BEGIN", "x=42"] or "x=42" in done.stdout,
        done.stdout,
    )
    check("trace -v", "dtrace:::BEGIN" in done.stderr or ":::BEGIN" in done.stderr, done.stderr)
    check("trace -v shows statements", "exit(3)" in done.stderr, done.stderr)
    out = lib.run(
        trace,
        "-q",
        "-n",
        "syscall::uname:entry /pid == $target/ { @[probefunc] = count(); }",
        "-c",
        "uname -s",
    ).stdout
    check("trace prints aggregations", out.split()[-2:] == ["uname", "1"], out)
    done = lib.run(trace, "-qn", "BEGIN { trace(*(int *)8); } BEGIN { exit(0); }")
    check("trace reports faults", "invalid address (0x8)" in done.stderr, done.stderr)

    out = lib.run(syscalls, "uname", "-s").stdout
    last = out.splitlines()[-1]
    rows = [line.split() for line in out.splitlines()]
    check("syscalls counts", ["uname", "1"] in rows and last.endswith("0 rows left"), out)
    check("syscalls shows times", any(row[:1] == ["from"] for row in rows), out)


def main():
    source, build = map(pathlib.Path, sys.argv[1:])
    for tool in ("cc", "pkg-config", "readelf"):
        if not shutil.which(tool):
            print(f"SKIP: {tool} is not installed")
            return SKIPPED
    with tempfile.TemporaryDirectory() as root:
        lib = Library(build, pathlib.Path(root))
        tracing(*consumers(source, lib), lib)
    return bool(failures)


sys.exit(main())
