# SPDX-License-Identifier: Apache-2.0
"""Measures pydtrace beside a hand-written libbpf program, bpftrace and bcc, in one run.

    run.py [--quick] [--only GROUP] [--json FILE] [--rounds N] [--long SECONDS]

Contenders take turns within each round, so that a machine that slows down does so for all of them.
Every figure is the median over the rounds.  The tracers run on one CPU and the traced load on
another.  What cannot be run is shown as `-` and named below the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("PYDTRACE_BUILD", HERE.parent / "build")) / "bench"
CPUS = sorted(os.sched_getaffinity(0))
TRACER_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
LIMIT = 180.0  # seconds, for anything started here
OFFERED = 1_000_000  # events a second, of the load that may be too much

Result = dict[str, Any]


class Failed(Exception):
    """A contender could not do what was asked."""


# ---- contenders ---------------------------------------------------------------------------------
class Worker:
    """A contender that speaks the protocol of floor.c: says `ready`, and JSON at the end."""

    def __init__(self, name: str, command: list[str], env: dict[str, str] | None = None) -> None:
        self.name = name
        self.command = command
        self.env = {**os.environ, **(env or {})}

    def start(self, mode: list[str]) -> WorkerRun:
        return WorkerRun(self, mode)

    def process(self, what: str) -> list[str]:
        return [*self.command, *({"begin": ["begin"], "syscalls": ["syscalls", "0.1"]}[what])]

    def time_api(self, what: str, rounds: int) -> list[float] | None:
        """Nanoseconds that each of `rounds` starts and stops took inside of one process."""
        out = run_to_end([*self.command, "time", what, str(rounds)], self.env)
        return [float(ns) for ns in json.loads(out)]


class WorkerRun:
    def __init__(self, worker: Worker, mode: list[str]) -> None:
        self.rss = BUILD / "rss.json"
        self.rss.unlink(missing_ok=True)
        self.child = subprocess.Popen(
            [str(BUILD / "timed"), str(self.rss), *worker.command, *mode],
            env=worker.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin,
        )
        assert self.child.stdout
        while (line := self.child.stdout.readline()) != "ready\n":
            if not line:
                _, err = self.child.communicate()
                raise Failed(last_line(err))

    def pid(self) -> int:
        """Of the worker itself, which is the child of `timed`."""
        pid = self.child.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def stop(self) -> Result:
        out, err = self.child.communicate(timeout=LIMIT)
        if self.child.returncode or not out.strip():
            raise Failed(last_line(err))
        result: Result = json.loads(out.splitlines()[-1])
        result["peak_kb"] = json.loads(self.rss.read_text())["peak_kb"]
        return result

    def kill(self) -> None:
        if self.child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.communicate(timeout=20)
            self.child.kill()


class Bpftrace:
    """bpftrace(8): its programs are one-liners, its answers are text."""

    name = "bpftrace"
    env = {**os.environ, "BPFTRACE_MAP_KEYS_MAX": "200000", "BPFTRACE_PERF_RB_PAGES": "4096"}
    programs = {
        "count": "t:syscalls:sys_enter_getppid { @ = count(); }",
        "execname": "t:syscalls:sys_enter_getppid { @[comm] = count(); }",
        "quantize": "t:syscalls:sys_enter_read { @ = hist(args->count); }",
        "trace": r't:syscalls:sys_enter_read { printf("%d\n", args->fd); }',
        "printf": r't:syscalls:sys_enter_read { printf("%d %s %d\n", pid, comm, args->count); }',
        "keys": "t:syscalls:sys_enter_read { @[args->count] = count(); }",
        "footprint": "interval:hz:1000 { @n++; @[@n % 100] = count(); @sizes = hist(@n); "
        r'printf("%d\n", @n); } interval:ms:100 { print(@); }',
    }
    whole = {
        "begin": "BEGIN { exit(); }",
        "syscalls": "t:syscalls:sys_enter_* { @[probe] = count(); } interval:ms:100 { exit(); }",
        "syscalls-by-number": "t:raw_syscalls:sys_enter { @[args->id] = count(); } "
        "interval:ms:100 { exit(); }",
    }

    def start(self, mode: list[str]) -> BpftraceRun:
        if mode[0] == "callback":
            raise Failed("has no Python callbacks")
        return BpftraceRun(self, {"file": "trace", "run": mode[-1], "keys": "keys"}[mode[0]])

    def process(self, what: str) -> list[str]:
        return ["bpftrace", "-e", self.whole[what]]

    def time_api(self, what: str, rounds: int) -> list[float] | None:
        raise Failed("has no API")


class BpftraceRun:
    def __init__(self, tool: Bpftrace, what: str) -> None:
        self.what = what
        self.out = BUILD / "bpftrace.out"
        self.rss = BUILD / "rss.json"
        self.out.write_text("")
        # Large buffers count as memory: where that is what is measured, bpftrace has its defaults.
        env = None if what == "footprint" else tool.env
        # `timed` passes nothing on: the interrupt goes to bpftrace itself.
        self.child = subprocess.Popen(
            ["bpftrace", "-o", str(self.out), "-e", tool.programs[what]],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin,
        )
        while "Attaching" not in self.out.read_text(errors="replace")[:4096]:
            if self.child.poll() is not None:
                assert self.child.stderr
                raise Failed(last_line(self.child.stderr.read()))
            time.sleep(0.02)
        time.sleep(0.4)  # it says so before it attaches

    def pid(self) -> int:
        return self.child.pid

    def peak_kb(self) -> int:
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]

    def stop(self) -> Result:
        peak_kb = self.peak_kb()
        start = time.monotonic()
        self.child.send_signal(signal.SIGINT)
        self.child.communicate(timeout=LIMIT)
        seconds = time.monotonic() - start
        text = self.out.read_text(errors="replace")
        if self.what in ("trace", "printf"):
            return {"seen": len(re.findall(r"^-?\d", text, flags=re.M)), "peak_kb": peak_kb}
        if self.what == "quantize":
            counts = re.findall(r"\)\s+(\d+) \|", text)
        else:
            counts = re.findall(r"^@.*: (\d+)$", text, flags=re.M)
        return {
            "seen": sum(map(int, counts)),
            "rows": len(counts),
            "seconds": seconds,
            "peak_kb": peak_kb,
        }

    def kill(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class CommandRun:
    """The command line, printing to a file until it is interrupted."""

    def __init__(self, *args: str) -> None:
        self.out = BUILD / "command.out"
        self.out.unlink(missing_ok=True)
        self.child = subprocess.Popen(
            [*PYDTRACE, "-o", str(self.out), *args],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin,
        )
        time.sleep(0.5)  # to start and to attach
        if self.child.poll() is not None:
            assert self.child.stderr
            raise Failed(last_line(self.child.stderr.read()))

    def pid(self) -> int:
        return self.child.pid

    def stop(self) -> Result:
        self.child.send_signal(signal.SIGINT)
        self.child.communicate(timeout=LIMIT)
        with self.out.open("rb") as f:
            return {"seen": sum(line.count(b"\n") for line in iter(lambda: f.read(1 << 20), b""))}

    def kill(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self.out.unlink(missing_ok=True)


PYDTRACE = [str(Path(sys.executable).with_name("pydtrace"))]

Tool = Worker | Bpftrace
Run = WorkerRun | BpftraceRun | CommandRun


def all_tools() -> list[Tool]:
    here = str(HERE)
    return [
        Worker("floor", [str(BUILD / "floor"), str(BUILD / "floor.bpf.o")]),
        Worker("pydtrace", [sys.executable, f"{here}/contender_dtrace.py"]),
        Bpftrace(),
        Worker(
            "bcc",
            ["/usr/bin/python3", f"{here}/contender_bcc.py"],
            {"BCC_KERNEL_SOURCE": str(BUILD / "kernel-headers")},
        ),
    ]


def pin() -> None:
    os.sched_setaffinity(0, {TRACER_CPU})


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "ended without a word"


def run_to_end(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    if done.returncode:
        raise Failed(last_line(done.stderr))
    return done.stdout


def load(*args: object) -> Result:
    out: Result = json.loads(run_to_end([str(BUILD / "load"), str(LOAD_CPU), *map(str, args)]))
    return out


@contextlib.contextmanager
def tracing(tool: Tool, mode: list[str]) -> Iterator[Run]:
    run: Run = tool.start(mode)
    try:
        yield run
    finally:
        run.kill()


@contextlib.contextmanager
def standing(command: list[str]) -> Iterator[int]:
    """A process to be traced: says `ready`, and stays until its standard input ends."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        if child.stdout.readline() != "ready\n":
            raise Failed(f"{command[0]} did not start")
        yield child.pid


# Of each tool: the command up to the name of the file to write, the program, what a record looks
# like in that file, and how the tool tells of drops.
OVERLOAD: dict[str, tuple[list[str], list[str], bytes, bytes]] = {
    "pydtrace": (
        [*PYDTRACE, "-o"],
        ["-n", "syscall::getppid:entry /pid == $target/ { trace(arg0) }"],
        rb"getppid:entry",
        rb"(\d+) drops? on CPU",
    ),
    "bpftrace": (
        ["bpftrace", "-o"],
        [
            "-e",
            "t:syscalls:sys_enter_getppid /pid == cpid/ "
            r'{ printf("%d\n", args->__syscall_nr); }',
        ],
        rb"^\d+$",
        rb"Lost (\d+) events",
    ),
}


def overload(
    command: list[str], program: list[str], record: bytes, drops: bytes, seconds: float
) -> tuple[int, float, int, int]:
    """Calls made by a load under `command`, in what time; records seen, and drops told of."""
    out = BUILD / "overload.out"
    out.unlink(missing_ok=True)
    work = [str(BUILD / "load"), *map(str, (LOAD_CPU, "rate", "getppid", OFFERED, seconds))]
    try:
        done = subprocess.run(
            [*command, str(out), *program, "-c", " ".join(work)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            preexec_fn=pin,
        )
        answer = re.search(rb'^\{"calls.*\}$', done.stdout, flags=re.M)
        if not answer:
            raise Failed(last_line(done.stderr.decode(errors="replace")))
        text = out.read_bytes()
    finally:
        out.unlink(missing_ok=True)
    told = sum(int(n) for said in (done.stdout, done.stderr, text) for n in re.findall(drops, said))
    seen = sum(1 for _ in re.finditer(record, text, flags=re.M))
    result = json.loads(answer[0])
    return result["calls"], result["seconds"], seen, told


def resident_kb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


# ---- results ------------------------------------------------------------------------------------
class Row:
    """One line of the table: a measured quantity, and each contender's figures for it."""

    def __init__(
        self, group: str, name: str, unit: str, more_is_better: bool = False, compare: bool = True
    ) -> None:
        self.group, self.name, self.unit = group, name, unit
        self.more_is_better = more_is_better
        self.compare = compare  # does a ratio say anything?
        self.figures: dict[str, list[float]] = {}
        self.notes: dict[str, str] = {}

    def add(self, tool: str, figure: float) -> None:
        self.figures.setdefault(tool, []).append(figure)

    def median(self, tool: str) -> float | None:
        figures = self.figures.get(tool)
        return statistics.median(figures) if figures else None

    def ratio(self, to: str) -> float | None:
        """How many times better pydtrace is than `to` (below 1: worse); to the floor: its cost."""
        ours, theirs = self.median("pydtrace"), self.median(to)
        if not self.compare or not ours or not theirs:
            return None
        better = ours / theirs if self.more_is_better else theirs / ours
        return 1 / better if to == "floor" else better

    def as_json(self, tools: list[str]) -> Result:
        return {
            "group": self.group,
            "name": self.name,
            "unit": self.unit,
            "median": {t: self.median(t) for t in tools if t in self.figures},
            "all": self.figures,
            "times_floor": self.ratio("floor"),
            "better_than_bpftrace": self.ratio("bpftrace"),
            "better_than_bcc": self.ratio("bcc"),
            "notes": self.notes,
        }


class Bench:
    def __init__(self, tools: list[Tool], rounds: int, quick: bool, long: float) -> None:
        self.tools = tools
        self.rounds = rounds
        self.quick = quick
        self.long = long
        self.rows: list[Row] = []
        self.peaks: dict[tuple[str, str], Row] = {}

    def row(self, *args: Any, **kw: Any) -> Row:
        row = Row(*args, **kw)
        self.rows.append(row)
        print(f"  measuring: {row.name}", file=sys.stderr, flush=True)
        return row

    def each(self, row: Row, measure: Callable[[Tool], None], rounds: int | None = None) -> None:
        """Lets the contenders take turns; one that fails is out for this row."""
        for _ in range(rounds or self.rounds):
            for tool in self.tools:
                if tool.name in row.notes and tool.name not in row.figures:
                    continue
                try:
                    measure(tool)
                except (Failed, OSError, subprocess.TimeoutExpired, ValueError) as error:
                    row.notes[tool.name] = str(error)

    def peak(self, what: str, tool: Tool, kb: float) -> None:
        """Memory is a by-product of other measurements."""
        key = ("memory", what)
        if key not in self.peaks:
            self.peaks[key] = Row("memory", f"peak, {what}", "MB")
        self.peaks[key].add(tool.name, kb / 1024)

    # 1. from start to stop

    def timed(self, command: list[str], env: dict[str, str]) -> Result:
        rss = BUILD / "rss.json"
        rss.unlink(missing_ok=True)
        out = run_to_end([str(BUILD / "timed"), str(rss), *command], env)
        result: Result = json.loads(rss.read_text())
        result["lines"] = out.count("\n")
        if result["status"] != 0:
            raise Failed(f"exit status {result['status']}")
        return result

    def start(self) -> None:
        names = {"begin": "BEGIN { exit(0) }", "syscalls": "all system calls by name"}
        for what, name in names.items():
            row = self.row("start", f"{name}, in a process" + ", 0.1 s" * (what != "begin"), "ms")

            def process(tool: Tool, what: str = what, row: Row = row, name: str = name) -> None:
                if tool.name == "bpftrace" and what == "syscalls":
                    if row.figures.get("bpftrace"):
                        return  # it takes half a minute: once is enough
                    print("    (bpftrace takes its time here)", file=sys.stderr, flush=True)
                took = self.timed(tool.process(what), tool.env)
                row.add(tool.name, took["seconds"] * 1e3)
                self.peak(name, tool, took["peak_kb"])

            self.each(row, process)
            row = self.row("start", f"{name}, through the API", "ms")

            def api(tool: Tool, what: str = what, row: Row = row) -> None:
                for ns in tool.time_api(what, 5) or []:
                    row.add(tool.name, ns / 1e6)

            self.each(row, api, min(self.rounds, 3))
        row = self.row("start", "bpftrace: by number, one probe, 0.1 s", "ms")
        for _ in range(self.rounds):
            for tool in self.tools:
                if isinstance(tool, Bpftrace):
                    took = self.timed(tool.process("syscalls-by-number"), tool.env)
                    row.add(tool.name, took["seconds"] * 1e3)

    # 2. attaching to very much

    def attach_one(self, name: str, probes: str, rounds: int) -> Row:
        """Each time in a process of its own: nothing is known from the time before."""
        rows = {
            step: self.row("attach", f"{name}: {step}", "ms")
            for step in ("compile", "enable", "disable")
        }
        for _ in range(rounds):
            for tool in self.tools:
                if tool.name != "pydtrace" or not isinstance(tool, Worker):
                    continue
                try:
                    out = run_to_end([*tool.command, "attach", probes], tool.env)
                except (Failed, subprocess.TimeoutExpired) as error:
                    rows["enable"].notes[tool.name] = str(error)
                    continue
                for step, ms in json.loads(out).items():
                    rows[step].add(tool.name, ms)
        return rows["enable"]

    def attach(self) -> None:
        self.attach_one("all system calls, entry and return", "syscall:::", self.rounds)
        self.attach_one("all tracepoints", "sdt:::", self.rounds)
        with standing([str(BUILD / "functions")]) as pid:
            self.attach_one(
                "5,000 functions of a process", f"pid{pid}:functions:f[0-9]*:entry", self.rounds
            )
        python = [
            "/usr/bin/python3",
            "-c",
            "import ssl, sys; print('ready', flush=True); sys.stdin.read()",
        ]
        with standing(python) as pid:
            probes = f"pid{pid}:::entry"
            row = self.attach_one("every function of a Python process", probes, 1)
            with contextlib.suppress(Failed):
                listed = run_to_end([*PYDTRACE, "-l", "-n", probes]).count("\n") - 1
                row.notes["pydtrace"] = f"{listed:,} functions, libraries included"
        row = self.row("attach", "everything listed, start to exit", "ms")
        commands = {"pydtrace": [*PYDTRACE, "-l"], "bpftrace": ["bpftrace", "-l"]}

        def listing(tool: Tool) -> None:
            if tool.name not in commands:
                raise Failed("has no command line")
            took = self.timed(commands[tool.name], tool.env)
            row.add(tool.name, took["seconds"] * 1e3)
            row.notes[tool.name] = f"lists {took['lines']:,} lines"

        self.each(row, listing)

    # 3. what a firing costs

    def cost(self) -> None:
        programs = {
            "count": ("count()", "getppid"),
            "execname": ("count() by execname", "getppid"),
            "quantize": ("quantize(arg2)", "read"),
            "trace": ("trace(arg0)", "read"),
            "printf": ("printf of three values", "read"),
        }
        bursts = 30 if self.quick else 60
        for what, (name, call) in programs.items():
            row = self.row("cost", f"{name}", "ns")

            def measure(tool: Tool, what: str = what, call: str = call, row: Row = row) -> None:
                args = ("burst", call, bursts, 5000, 4000)
                bare = load(*args)["median"]
                with tracing(tool, ["run", what]) as run:
                    traced = load(*args)
                    seen = run.stop()["seen"]
                if seen < traced["calls"] * 0.99:
                    row.notes[tool.name] = f"saw {seen} of {traced['calls']} firings"
                    if seen < traced["calls"] / 2:
                        return
                row.add(tool.name, traced["median"] - bare)

            self.each(row, measure)

    # 4. records delivered

    def flood(self, tool: Tool, row: Row, mode: list[str]) -> None:
        seconds = 1.0 if self.quick else 2.0
        with tracing(tool, mode) as run:
            start = time.monotonic()
            calls = load("flood", "read", seconds)["calls"]
            seen = run.stop()["seen"]
            taken = time.monotonic() - start
        row.add(tool.name, seen / taken)
        if seen < calls * 0.99:
            row.notes[tool.name] = f"dropped {100 - 100 * seen / calls:.0f}% of what was offered"

    def records(self) -> None:
        callback = self.row("records", "to a Python callback", "1/s", more_is_better=True)
        self.each(
            callback,
            lambda t: self.flood(
                t, callback, ["run", "trace"] if t.name == "floor" else ["callback"]
            ),
        )
        callback.notes["floor"] = "a C callback"
        perf = self.row("records", "bcc: through a perf buffer", "1/s", more_is_better=True)
        for _ in range(self.rounds):
            for tool in self.tools:
                if tool.name == "bcc":
                    self.flood(tool, perf, ["callback-perf"])
        for mode, what in (("events", "events with names"), ("columns", "columns")):
            row = self.row("records", f"pydtrace: to {what}", "1/s", more_is_better=True)
            for _ in range(self.rounds):
                for tool in self.tools:
                    if tool.name == "pydtrace":
                        self.flood(tool, row, [mode])
        text = self.row("records", "to a file, no callback", "1/s", more_is_better=True)
        self.each(text, lambda t: self.flood(t, text, ["file", str(BUILD / "records.out")]))
        (BUILD / "records.out").unlink(missing_ok=True)

    # 5. more than can be delivered, perhaps

    def drops(self) -> None:
        seconds = 1.0 if self.quick else 3.0
        offered = self.row("drops", f"offered, {OFFERED:,} wanted", "1/s", more_is_better=True)
        delivered = self.row("drops", "delivered to a file", "1/s", more_is_better=True)
        dropped = self.row("drops", "dropped", "%", compare=False)
        silent = self.row("drops", "neither delivered nor told of", "records", compare=False)

        def measure(tool: Tool) -> None:
            if tool.name not in OVERLOAD:
                raise Failed("has no command line")
            calls, taken, seen, told = overload(*OVERLOAD[tool.name], seconds)
            offered.add(tool.name, calls / taken)
            delivered.add(tool.name, seen / taken)
            dropped.add(tool.name, 100 - 100 * seen / calls)
            silent.add(tool.name, calls - seen - told)

        self.each(offered, measure)
        for name in offered.figures:
            if (offered.median(name) or 0) < OFFERED * 0.95:
                offered.notes[name] = "slows the load down"

    # 6. aggregations read

    def rows_read(self) -> None:
        keys = 100_000
        row = self.row("rows", "aggregation rows read, 100,000 keys", "1/s", more_is_better=True)

        def measure(tool: Tool) -> None:
            with tracing(tool, ["keys"]) as run:
                load("keys", keys)
                result = run.stop()
            if result["rows"] < keys:
                row.notes[tool.name] = f"kept {result['rows']} of {keys} keys"
            row.add(tool.name, result["rows"] / result["seconds"])
            if "items" in result:
                single.add(tool.name, result["rows"] / result["items"])
            self.peak("100,000 keys read", tool, result["peak_kb"])

        def measure_columns(tool: Tool) -> None:
            with tracing(tool, ["keys-columns"]) as run:
                load("keys", keys)
                result = run.stop()
            columns.add(tool.name, result["rows"] / result["seconds"])

        single = Row("rows", "bcc: one look-up per row", "1/s", more_is_better=True)
        columns = Row("rows", "pydtrace: to columns", "1/s", more_is_better=True)
        self.each(row, measure)
        for _ in range(self.rounds):
            for tool in self.tools:
                if tool.name == "pydtrace":
                    measure_columns(tool)
        self.rows += [single, columns]
        row.notes["bpftrace"] = "prints them as text"
        row.notes["floor"] = "sums them in C"

    # 7. the command line

    def command_line(self) -> None:
        row = self.row("cli", "BEGIN { exit(0) }, start to exit", "ms")
        commands = {
            "pydtrace": [*PYDTRACE, "-n", "BEGIN { exit(0) }"],
            "bpftrace": ["bpftrace", "-e", "BEGIN { exit(); }"],
        }

        def start_to_exit(tool: Tool) -> None:
            if tool.name not in commands:
                raise Failed("has no command line")
            row.add(tool.name, self.timed(commands[tool.name], tool.env)["seconds"] * 1e3)

        self.each(row, start_to_exit)
        printf = r"""syscall::read:entry { printf("%d %s %d\n", pid, execname, arg2); }"""
        forms = {
            "printf of three values, printed": ["-qn", printf],
            "pydtrace: trace(arg0) with its probe": ["-n", "syscall::read:entry { trace(arg0); }"],
            "pydtrace: the same as JSON": [
                *("--format", "json", "-n", "syscall::read:entry { trace(arg0); }")
            ],
        }
        for name, args in forms.items():
            lines = self.row("cli", name, "1/s", more_is_better=True)

            def flood(tool: Tool, row: Row = lines, args: list[str] = args) -> None:
                run: Run
                if tool.name == "pydtrace":
                    run = CommandRun(*args)
                elif isinstance(tool, Bpftrace) and not row.name.startswith("pydtrace"):
                    run = tool.start(["run", "printf"])
                else:
                    return
                try:
                    start = time.monotonic()
                    calls = load("flood", "read", 1.0 if self.quick else 2.0)["calls"]
                    seen = run.stop()["seen"]
                    row.add(tool.name, seen / (time.monotonic() - start))
                finally:
                    run.kill()
                if seen < calls * 0.99:
                    row.notes[tool.name] = (
                        f"dropped {100 - 100 * seen / calls:.0f}% of what was offered"
                    )

            self.each(lines, flood)

    # 8. a long run

    def footprint(self) -> None:
        """All at the same time: it is memory that is measured, and it takes long enough."""
        program = (
            "tick-1000hz { n++; @[n % 100] = count(); @sizes = quantize(n); trace(n) } "
            "tick-100ms { printa(@); }"
        )
        kinds: dict[str, dict[str, Run]] = {"through the API": {}, "command line": {}}
        with contextlib.ExitStack() as stack:
            for tool in self.tools:
                started: list[tuple[str, Run]] = []
                if tool.name == "pydtrace":
                    started.append(("through the API", tool.start(["footprint"])))
                    started.append(("command line", CommandRun("-n", program)))
                elif isinstance(tool, Bpftrace):
                    started.append(("command line", tool.start(["run", "footprint"])))
                for kind, run in started:
                    stack.callback(run.kill)
                    kinds[kind][tool.name] = run
            samples = self.sample([run for runs in kinds.values() for run in runs.values()])
            seen = {run: run.stop()["seen"] for run in samples}
        for kind, runs in kinds.items():
            size = self.row("footprint", f"{kind}: resident", "MB")
            grown = self.row("footprint", f"{kind}: growth", "kB", compare=False)
            for name, run in runs.items():
                kb = samples[run]
                quarter = max(1, len(kb) // 4)
                first, last = (statistics.median(part) for part in (kb[:quarter], kb[-quarter:]))
                if seen[run] < 900 * self.long:
                    size.notes[name] = f"saw {seen[run]} firings"
                size.add(name, last / 1024)
                grown.add(name, last - first)
                grown.notes[name] = (
                    f"after {self.warm_up():.0f} s of warm-up, in {self.long - self.warm_up():.0f} s"
                )

    def warm_up(self) -> float:
        return min(10.0, self.long / 4)

    def sample(self, runs: list[Run]) -> dict[Run, list[float]]:
        """The resident memory of each after its warm-up, in kB, over the long run."""
        end = time.monotonic() + self.long
        time.sleep(self.warm_up())
        samples: dict[Run, list[float]] = {run: [] for run in runs}
        while time.monotonic() < end:
            for run in runs:
                samples[run].append(resident_kb(run.pid()))
            time.sleep(max(0.05, self.long / 400))
        return samples

    GROUPS = {
        "start": start,
        "attach": attach,
        "cost": cost,
        "records": records,
        "drops": drops,
        "rows": rows_read,
        "cli": command_line,
        "footprint": footprint,
    }

    def run(self, groups: list[str]) -> None:
        for group in groups:
            self.GROUPS[group](self)
        self.rows += self.peaks.values()

    def as_json(self) -> Result:
        names = [t.name for t in self.tools]
        return {
            "machine": machine(),
            "rounds": self.rounds,
            "rows": [row.as_json(names) for row in self.rows],
        }


def version_of(*command: str) -> str:
    with contextlib.suppress(OSError, Failed):
        return run_to_end(list(command)).strip().splitlines()[-1]
    return "none"


def machine() -> dict[str, str]:
    return {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": str(len(CPUS)),
        "bpftrace": version_of("bpftrace", "--version"),
        "bcc": version_of("/usr/bin/python3", "-c", "import bcc; print(bcc.__version__)"),
        "pydtrace": version_of(
            sys.executable, "-c", "import importlib.metadata as m; print(m.version('pydtrace'))"
        ),
    }


# ---- the table ----------------------------------------------------------------------------------
TITLES = {
    "start": "From start to stop",
    "attach": "Attaching to very much",
    "cost": "Cost of one firing, beyond the untraced system call",
    "records": "Records delivered per second",
    "drops": f"A load of {OFFERED:,} system calls per second, all of them printed, default options",
    "rows": "Aggregation rows delivered per second",
    "cli": "The command line",
    "footprint": "Memory over a long run: 1,000 firings per second, records and aggregations",
    "memory": "Peak memory of the tracer",
}


def number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x" if value < 10 else f"{value:,.0f}x"


def print_table(bench: Bench) -> None:
    names = [t.name for t in bench.tools]
    heads = ["", "unit", *names, "x floor", "vs bpftrace", "vs bcc"]
    lines: list[list[str]] = []
    notes: dict[str, list[str]] = {}
    group = None
    for row in bench.rows:
        if row.group != group:
            group = row.group
            lines.append([TITLES[group]])
        for tool, text in row.notes.items():
            if tool not in names:
                continue
            notes.setdefault(f"{tool}: {text}", []).append(row.name)
        cells = [number(row.median(n)) + ("*" if n in row.notes else " ") for n in names]
        ratios = [ratio(row.ratio(to)) for to in ("floor", "bpftrace", "bcc")]
        lines.append([f"  {row.name}", row.unit, *cells, *ratios])
    widths = [
        max(len(line[i]) for line in [heads, *lines] if len(line) > 1 and i < len(line))
        for i in range(len(heads))
    ]
    info = machine()
    print(f"\n{info['kernel']}, {info['cpus']} CPUs; {bench.rounds} rounds, medians")
    print(f"pydtrace {info['pydtrace']}, {info['bpftrace']}, bcc {info['bcc']}\n")
    for line in [heads, *lines]:
        if len(line) == 1:
            print(f"\n{line[0]}")
        else:
            first, unit, *cells = line
            padded = [c.rjust(w) for c, w in zip(cells, widths[2:], strict=True)]
            print(f"{first.ljust(widths[0])}  {unit.ljust(widths[1])}  {'  '.join(padded)}")
    print(
        "\nx floor: pydtrace's figure as a multiple of the hand-written program's cost (1 is the"
        " best there is).\nvs: how many times better pydtrace is."
    )
    if notes:
        print("\n* notes")
        for text, rows in notes.items():
            print(f"  {text} ({'; '.join(rows)})")


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--quick", action="store_true", help="fewer rounds, shorter loads")
    args.add_argument("--rounds", type=int, help="default: 5, or 2 with --quick")
    args.add_argument("--only", help=f"groups, with commas: {', '.join(Bench.GROUPS)}")
    args.add_argument(
        "--long", type=float, help="seconds of the long run; default: 60, or 4 with --quick"
    )
    args.add_argument("--tools", help="contenders, with commas")
    args.add_argument("--json", type=Path, default=BUILD.parent / "bench.json")
    opts = args.parse_args()
    tools = [t for t in all_tools() if not opts.tools or t.name in opts.tools.split(",")]
    groups = opts.only.split(",") if opts.only else list(Bench.GROUPS)
    if unknown := set(groups) - set(Bench.GROUPS):
        args.error(f"no such group: {', '.join(unknown)}")
    bench = Bench(
        tools,
        opts.rounds or (2 if opts.quick else 5),
        opts.quick,
        opts.long or (4.0 if opts.quick else 60.0),
    )
    bench.run(groups)
    print_table(bench)
    opts.json.write_text(json.dumps(bench.as_json(), indent=1) + "\n")
    print(f"\nall figures: {opts.json}")


if __name__ == "__main__":
    main()
