# SPDX-License-Identifier: Apache-2.0
"""The gallery's pictures and its page, made by running what they show.

    gallery.py FOLDER        writes FOLDER/*.svg, *.png and FOLDER.md beside it

One-liners are in ONELINERS, tools in examples/tools.  All of them trace what this script starts, nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYDTRACE = [sys.executable, "-m", "dtrace"]
SHELL = "sh -c 'ls /etc >/dev/null; cat /etc/hostname /etc/services >/dev/null; sleep 0.1'"
PYTHON = """python3 -c 'sum(i * i for i in range(3 * 10**6))'"""

# title, D, what is run
ONELINERS: list[tuple[str, str, str]] = [
    (
        "Which files does it open?",
        "syscall::openat:entry /progenyof($target)/ { self->path = arg1 }"
        ' syscall::openat:return /self->path/ { printf("%s", copyinstr(self->path)); self->path = 0 }',
        SHELL,
    ),
    (
        "Which system calls does it make?",
        "syscall:::entry /progenyof($target)/ { @[probefunc] = count() }",
        SHELL,
    ),
    (
        "Which of them fail, and with which error?",
        "syscall:::return /errno && progenyof($target)/ { @[probefunc, errno] = count() }",
        SHELL,
    ),
    (
        "How large are its reads?",
        'syscall::read:return /progenyof($target)/ { @["bytes"] = quantize(arg0) }',
        SHELL,
    ),
    (
        "Which programs are started, with which arguments?",
        "proc:::exec-success /progenyof($target)/ { trace(curpsinfo->pr_psargs) }",
        SHELL,
    ),
    (
        "How does each process end?",
        'proc:::exit /progenyof($target)/ { printf("%s %d: %d", execname, pid, args[0]) }',
        SHELL,
    ),
    (
        "How long does each of them live?",
        "proc:::start /progenyof($target)/ { self->t = timestamp }"
        " proc:::exit /self->t/ { @[execname] = avg((timestamp - self->t) / 1000) }",
        SHELL,
    ),
    (
        "Which signals are sent?",
        'proc:::signal-send /progenyof($target)/ { printf("%s sends %d to %s", execname, args[2],'
        " args[1]->pr_fname) }",
        "sh -c 'sleep 10 & kill $!; wait'",
    ),
    (
        "What does it wait for?",
        "sched:::off-cpu /pid == $target/ { @[stack(6)] = count() } END { trunc(@, 2) }",
        SHELL,
    ),
    (
        "How long does it run at a time?",
        "sched:::on-cpu /pid == $target/ { self->t = timestamp }"
        ' sched:::off-cpu /self->t/ { @["ns on the processor"] = quantize(timestamp - self->t);'
        " self->t = 0 }",
        SHELL,
    ),
    (
        "How many page faults, and who has them?",
        "vminfo:::as_fault /progenyof($target)/ { @[execname] = count() }",
        SHELL,
    ),
    (
        "Where does a program spend its time?",
        "profile-997 /pid == $target/ { @[ustack(3)] = count() } END { trunc(@, 2) }",
        PYTHON,
    ),
    (
        "In which Python functions?",
        "profile-997 /pid == $target/ { @[jstack(12)] = count() } END { trunc(@, 1) }",
        PYTHON,
    ),
    (
        "How often does a function of a library run?",
        "pid$target:libc:malloc*:entry { @[probefunc] = count() }",
        "sh -c 'exec ls /etc >/dev/null'",
    ),
    (
        "What does it allocate?",
        'pid$target:libc:malloc:entry { @["bytes"] = quantize(arg0) }',
        "sh -c 'exec ls /etc >/dev/null'",
    ),
    (
        "What does the interpreter collect?",
        'python$target:::gc-start { @["collections of generation", arg0] = count() }',
        "python3 -c 'for i in range(10**5): a = []; a.append(a)'",
    ),
    (
        "Who writes, by program and descriptor?",
        "syscall::write:return /progenyof($target)/ { @[execname] = sum(arg0) }",
        SHELL,
    ),
    (
        "What does the kernel know about a thread?",
        'BEGIN { printf("%s, child of %s", curthread->comm, curthread->real_parent->comm); exit(0) }',
        "",
    ),
    (
        "A whole structure",
        "BEGIN { print(curthread->se.load); exit(0) }",
        "",
    ),
    (
        "Which timers does the kernel start for it?",
        "sdt:timer::hrtimer_start /pid == $target/ { @[sym((uintptr_t)args[0]->function)] = count() }",
        "sleep 0.1",
    ),
]

LINES = 24  # of an output that are shown


def run(*args: str) -> str:
    done = subprocess.run(
        [*PYDTRACE, *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{args}: {done.stderr}")
    return done.stdout


def shortened(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    if len(lines) > LINES:
        lines = [*lines[:LINES], "..."]
    return "\n".join(lines)


def command(program: str, what: str) -> tuple[str, list[str]]:
    """As one types it, and as arguments."""
    flag = "-n" if "print" in program or "trace" in program else "-qn"
    args, shown = [flag, program], f"pydtrace {flag} '{program}'"
    if what:
        args += ["-c", what]
        quoted = f"'{what}'" if "'" not in what else '"' + what.replace("$", "\\$") + '"'
        shown += f" -c {quoted}"
    return shown, args


def oneliners(out: list[str]) -> None:
    for title, program, what in ONELINERS:
        shown, args = command(program, what)
        out += [f"### {title}", "", "```text", f"# {shown}", shortened(run(*args)), "```", ""]


def summary(path: Path) -> str:
    """The first sentence of the comment that a tool begins with."""
    text = re.search(r"^ \* \w+ - (.*?)\.\n", path.read_text(), re.M | re.S)
    assert text, path
    return " ".join(text[1].replace("\n *", " ").split())


WORK = {"pyprof": PYTHON, "offcpu": SHELL, "faults": "sh -c 'ls /etc >/dev/null'"}
CONNECT = (
    'python3 -c \'import socket as s; l = s.create_server(("127.0.0.1", 0));'
    " c = s.create_connection(l.getsockname()); a, _ = l.accept(); a.close(); c.close()'"
)


def tools(out: list[str]) -> None:
    for path in sorted((ROOT / "examples/tools").glob("*.d")):
        name = path.stem
        what = CONNECT if name == "tcplife" else WORK.get(name, SHELL)
        text = run("--timeout", "20", "-s", str(path.relative_to(ROOT)), "-c", what)
        out += [f"### {name}", "", f"{summary(path).capitalize()}: `examples/tools/{name}.d`.", ""]
        out += ["```text", shortened(text), "```", ""]


def pictures(folder: Path, out: list[str]) -> None:
    run(
        "--flamegraph", str(folder / "python.svg"), "-s", "examples/tools/pyprof.d", "-c", PYTHON
    )  # fmt: skip
    out += ["![A flame graph of Python functions](gallery/python.svg)", ""]
    import dtrace
    import dtrace.plot

    program = """syscall::read:entry /progenyof($target)/ { self->t = timestamp }
        syscall::read:return /self->t/ { @reads = quantize(timestamp - self->t); self->t = 0 }"""
    busy = "sh -c 'for i in 1 2 3 4 5 6 7 8; do cat /etc/* >/dev/null 2>&1; done'"
    with dtrace.trace(program, target=busy) as session:
        session.wait()
        figure = dtrace.plot.distribution(session["reads"].value).figure
        figure.set_size_inches(7, 3)
        figure.tight_layout()
        figure.savefig(folder / "reads.png", dpi=80)
    out += ["![How long reads take, in nanoseconds](gallery/reads.png)", ""]


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    out = [
        "# Gallery",
        "",
        "What stands here was made by running it (`script/docs --pictures`).",
        "",
        "## Pictures",
        "",
    ]
    pictures(folder, out)
    out += ["## Ten tools", "", "Each is a file of a screen, to be taken apart and changed.", ""]
    tools(out)
    out += ["## Twenty one-liners", ""]
    oneliners(out)
    folder.with_suffix(".md").write_text("\n".join(out).rstrip() + "\n")


if __name__ == "__main__":
    main()
