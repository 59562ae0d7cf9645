# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' programs in D: what floor.c does, with the same arguments and answers.

begin | syscalls SECONDS | time begin|syscalls ROUNDS | attach PROBES | footprint
run count|execname|quantize|trace|printf | file OUT | callback | events | columns | keys | keys-columns
"""

from __future__ import annotations

import itertools
import json
import select
import sys
import time
from collections.abc import Callable
from typing import Any

import dtrace

BEGIN = "BEGIN { exit(0) }"
SYSCALLS = "syscall:::entry { @[probefunc] = count() }"
PROGRAMS = {
    "count": "syscall::getppid:entry { @ = count() }",
    "execname": "syscall::getppid:entry { @[execname] = count() }",
    "quantize": "syscall::read:entry { @ = quantize(arg2) }",
    "trace": "syscall::read:entry { trace(arg0) }",
    "printf": r'syscall::read:entry { printf("%d %s %d\n", pid, execname, arg2) }',
    "file": r'syscall::read:entry { printf("%d\n", arg0) }',
    "keys": "syscall::read:entry { @[arg2] = count() }",
    "footprint": "tick-1000hz { n++; @[n % 100] = count(); @sizes = quantize(n); trace(n) }",
}


def consumer(program: str, **options: str) -> dtrace.DTraceConsumer:
    c = dtrace.DTraceConsumer(on_drop=lambda drop: None)
    c.setopt("quiet")
    for name, value in options.items():
        c.setopt(name, value)
    c.strcompile(program)
    c.go()
    return c


def start_stop(what: str, seconds: float) -> None:
    if what == "begin":
        c = consumer(BEGIN)
        while not c.consume(lambda probe, rec: None):
            c.sleep()
    else:
        c = consumer(SYSCALLS)
        time.sleep(seconds)
        rows: list[Any] = []
        c.aggwalk(lambda varid, key, value: rows.append((key, value)))
        if seconds:
            print(len(rows))
    c.close()


def time_rounds(what: str, rounds: int) -> None:
    taken = []
    for _ in range(rounds):
        start = time.monotonic_ns()
        start_stop(what, 0)
        taken.append(time.monotonic_ns() - start)
        time.sleep(0.05)
    print(json.dumps(taken))


def attach(probes: str) -> None:
    """How long it takes to compile for, to enable and to disable these probes, in milliseconds."""
    c = dtrace.DTraceConsumer(on_drop=lambda drop: None)

    def disable() -> None:
        c.stop()
        c.close()

    times = [time.monotonic()]
    steps: list[Callable[[], None]] = [
        lambda: c.strcompile(f"{probes} {{ @ = count() }}"),
        c.go,
        disable,
    ]
    for step in steps:
        step()
        times.append(time.monotonic())
    taken = (1e3 * (end - start) for start, end in itertools.pairwise(times))
    print(json.dumps(dict(zip(("compile", "enable", "disable"), taken, strict=True))))


def footprint() -> None:
    """Reads records and aggregations a hundred times a second."""
    c = consumer(PROGRAMS["footprint"])
    seen = 0

    def on_record(probe: dict[str, str], rec: Any) -> None:
        nonlocal seen
        seen += rec is not None

    def drain() -> bool:
        c.consume(on_record)
        c.aggwalk(lambda varid, key, value: None)
        return False

    wait_for_end(drain)
    c.stop()
    print(json.dumps({"seen": seen}))


def wait_for_end(drain: Callable[[], bool] | None = None) -> None:
    """Until standard input ends; `drain` says whether it found anything."""
    print("ready", flush=True)
    busy = False
    while not select.select([0], [], [], 0 if busy else 0.01 if drain else None)[0]:
        busy = bool(drain and drain())


def run(what: str, on_record: Callable[[Any], Any] | None = None) -> None:
    if what in ("trace", "printf"):
        c = consumer(PROGRAMS[what], bufsize="32m", switchrate="5ms")
        seen = 0

        def callback(probe: dict[str, str], rec: Any) -> None:
            nonlocal seen
            if rec is not None:
                seen += 1
                if on_record:
                    on_record(rec)

        def drain() -> bool:
            before = seen
            c.consume(callback)
            return seen > before

        wait_for_end(drain)
        c.stop()
        while drain():
            pass
    else:
        c = consumer(PROGRAMS[what])
        wait_for_end()
        c.stop()
        values: list[Any] = []
        c.aggwalk(lambda varid, key, value: values.append(value))
        if what == "quantize":
            seen = sum(count for value in values for _, count in value)
        else:
            seen = sum(values)
    print(json.dumps({"seen": seen}))


def run_session(columns: bool) -> None:
    """Events with names, or the same in columns."""
    seen = 0

    def drain() -> bool:
        nonlocal seen
        if columns:
            found = sum(map(len, session.poll_tables().values()))
        else:
            found = sum(event.arg0 is not None for event in session.poll())
        seen += found
        return found > 0

    with dtrace.trace(
        PROGRAMS["trace"], bufsize="32m", switchrate="5ms", on_drop=lambda drop: None
    ) as session:
        wait_for_end(drain)
        session.stop()
        while drain():
            pass
    print(json.dumps({"seen": seen}))


def run_file(path: str) -> None:
    """The library writes the text: no Python object is made of a record."""
    c = consumer(PROGRAMS["file"], bufsize="32m", switchrate="5ms")
    with open(path, "w") as out:

        def drain() -> bool:
            before = out.seek(0, 2)
            c.write(out)
            return out.seek(0, 2) > before

        wait_for_end(drain)
        c.stop()
        while drain():
            pass
    with open(path) as lines:
        print(json.dumps({"seen": sum(1 for line in lines if line.strip())}))


def run_keys() -> None:
    c = consumer(PROGRAMS["keys"], aggsize="64m")
    wait_for_end()
    rows: list[Any] = []
    start = time.monotonic()
    c.aggwalk(lambda varid, key, value: rows.append((key[0], value)))
    seconds = time.monotonic() - start
    c.stop()
    seen = sum(value for _, value in rows)
    print(json.dumps({"rows": len(rows), "seen": seen, "seconds": seconds}))


def run_keys_columns() -> None:
    with dtrace.trace(PROGRAMS["keys"], aggsize="64m") as session:
        wait_for_end()
        start = time.monotonic()
        values = memoryview(session.snapshot().only.columns.column("value"))
        seconds = time.monotonic() - start
        print(json.dumps({"rows": len(values), "seen": sum(values), "seconds": seconds}))


def main() -> None:
    mode, *rest = sys.argv[1:]
    if mode == "begin":
        start_stop("begin", 0)
    elif mode == "syscalls":
        start_stop("syscalls", float(rest[0]))
    elif mode == "time":
        time_rounds(rest[0], int(rest[1]))
    elif mode == "attach":
        attach(rest[0])
    elif mode == "footprint":
        footprint()
    elif mode == "run":
        run(rest[0])
    elif mode == "callback":
        run("trace", int)
    elif mode == "file" and hasattr(dtrace.DTraceConsumer, "write"):
        run_file(rest[0])
    elif mode == "keys":
        run_keys()
    elif mode in ("events", "columns"):
        run_session(mode == "columns")
    elif mode == "keys-columns":
        run_keys_columns()
    else:
        sys.exit(f"not offered: {mode}")


main()
