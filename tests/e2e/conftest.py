# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: tracing the running kernel, and a child that does as it is told.

The D programs get the child's process id as ``$1`` and look at nothing else.  Tests marked
``kernel`` are run on other kernels too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dtrace

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# Emulated kernels are slow.
PATIENCE = 120.0 if os.environ.get("PYDTRACE_GUEST") else 20.0


def why_not() -> str | None:
    """Why nothing can be traced here."""
    if sys.platform != "linux":
        return "the embedded engine is for Linux"
    if os.geteuid() != 0:
        return "tracing needs root"
    try:
        dtrace.DTraceConsumer("embedded").close()
    except dtrace.DTraceError as e:
        return str(e)
    return None


REASON = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REASON is None:
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=REASON))


def clean_env() -> dict[str, str]:
    """For children: without the sanitizers that our own process may run under."""
    return {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


# ---- the child ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def workload_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the workload")
    binary = tmp_path_factory.mktemp("workload") / "workload"
    flags = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-pthread"]
    subprocess.run(
        [compiler, *flags, "-o", str(binary), str(HERE / "workload.c")],
        check=True,
        env=clean_env(),
    )
    return binary


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a C file of this folder: compile_c(source, flag...)."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the programs to be traced")
    folder = tmp_path_factory.mktemp("programs")

    def build(source: str, *flags: str, name: str = "", text: str = "") -> Path:
        path = HERE / source
        if text:
            path = folder / source
            path.write_text(text)
        out = folder / (name or path.stem)
        subprocess.run(
            [compiler, "-O1", "-g", "-fno-omit-frame-pointer", "-o", out, path, *flags],
            check=True,
            env=clean_env(),
        )
        return out

    return build


@pytest.fixture(scope="session")
def target_binary(compile_c: Callable[..., Path]) -> Path:
    return compile_c("utarget.c", "-fno-optimize-sibling-calls", "-pthread")


@pytest.fixture
def start_target(target_binary: Path) -> Iterator[Callable[[], Workload]]:
    started: list[Workload] = []

    def start() -> Workload:
        started.append(Workload(target_binary))
        return started[-1]

    yield start
    for workload in started:
        workload.end()


@pytest.fixture
def awake() -> Iterator[None]:
    """Every processor is busy meanwhile: on some machines no timer event reaches one that sleeps."""
    busy = []
    try:
        for cpu in os.sched_getaffinity(0):
            busy.append(
                subprocess.Popen([sys.executable, "-c", "while True: pass"], env=clean_env())
            )
            os.sched_setaffinity(busy[-1].pid, {cpu})
            os.setpriority(os.PRIO_PROCESS, busy[-1].pid, 19)
        yield
    finally:
        for child in busy:
            child.kill()
            child.wait()


@pytest.fixture
def target(start_target: Callable[[], Workload]) -> Workload:
    """A child with functions to be traced: see utarget.c."""
    return start_target()


@pytest.fixture
def watch_target(trace: Callable[..., Trace], target: Workload) -> Callable[..., Trace]:
    """As watch(), with the child of utarget.c."""

    def run(program: str, *commands: tuple[object, ...], **options: Any) -> Trace:
        started = trace(program, target.pid, **options)
        for command in commands:
            target.do(*command)
        return started.finish()

    return run


class Workload:
    """A child that makes exactly the system calls it is told to: see workload.c."""

    def __init__(self, binary: Path) -> None:
        self.child = subprocess.Popen(
            [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_env(), text=True
        )
        self.pid = self.child.pid
        self.answer()

    def answer(self) -> int:
        line = self.child.stdout.readline()
        assert line.startswith("ok "), f"the workload said {line!r}"
        return int(line.split()[1])

    def tell(self, *command: object) -> None:
        self.child.stdin.write(" ".join(map(str, command)) + "\n")
        self.child.stdin.flush()

    def do(self, *command: object) -> int:
        self.tell(*command)
        return self.answer()

    def turns(self, n: int) -> None:
        """getppid() n times; each time it has been asleep before, waiting for what we write."""
        end = time.monotonic() + PATIENCE
        for _ in range(n):
            while Path(f"/proc/{self.pid}/syscall").read_text().split()[0] != "0":  # read()
                assert time.monotonic() < end, "the workload does not sleep"
                time.sleep(0.001)
            self.do("getppid", 1)

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def start_workload(workload_binary: Path) -> Iterator[Callable[[], Workload]]:
    started: list[Workload] = []

    def start() -> Workload:
        started.append(Workload(workload_binary))
        return started[-1]

    yield start
    for workload in started:
        workload.end()


@pytest.fixture
def workload(start_workload: Callable[[], Workload]) -> Workload:
    return start_workload()


# ---- the tracing --------------------------------------------------------------------------------


class Firing:
    """One firing of an enabling: the probe and its data."""

    def __init__(self, probe: dict[str, str], data: list[Any]) -> None:
        self.probe = probe
        self.data = data
        self.name = ":".join(probe[k] for k in ("provider", "module", "function", "name"))

    def __repr__(self) -> str:
        return f"<{self.name} {self.data}>"


def as_key(value: Any) -> Any:
    return tuple(map(as_key, value)) if isinstance(value, list) else value


class Trace:
    """A consumer with all that it has handed over."""

    def __init__(self) -> None:
        self.drops: list[dtrace.Drop] = []
        self.faults: list[dtrace.Fault] = []
        self.firings: list[Firing] = []
        self.pending: list[Any] = []
        self.ended = False
        self.taken: dict[int, dict[Any, Any]] = {}
        self.consumer = dtrace.DTraceConsumer(
            "embedded", on_drop=self.drops.append, on_error=self.faults.append
        )

    def go(self, program: str, *args: object, **options: Any) -> Trace:
        """Start a program; args are $1, $2 ..."""
        for name, value in options.items():
            self.consumer.setopt(name, value)
        self.consumer.strcompile(program, [str(arg) for arg in args])
        self.consumer.go()
        return self

    def take(self, probe: dict[str, str], rec: Any) -> None:
        if rec is not None:
            self.pending.append(rec)
            return
        self.firings.append(Firing(probe, self.pending))
        self.pending = []

    def poll(self) -> bool:
        self.ended = self.consumer.consume(self.take) or self.ended
        return self.ended

    def until(self, condition: Callable[[], bool], what: str = "it") -> Trace:
        """Consume until something holds."""
        end = time.monotonic() + PATIENCE
        while True:
            self.poll()
            if condition():
                return self
            assert time.monotonic() < end, f"waiting for {what}: {self.firings[:20]}"
            time.sleep(0.005)

    def to_exit(self) -> Trace:
        return self.until(lambda: self.ended, "exit()")

    def finish(self) -> Trace:
        """Stop, and take what is left."""
        if not self.ended:
            self.consumer.stop()
            self.to_exit()
        return self

    @property
    def missed(self) -> int:
        """Firings the kernel did not run the program for; only some kernels ever do that."""
        return sum(d.drops for d in self.drops if "missed firing" in d.message)

    @property
    def data(self) -> list[Any]:
        """All data of all firings, in order."""
        return [value for firing in self.firings for value in firing.data]

    def aggregations(self) -> dict[int, dict[Any, Any]]:
        """Values by variable and key; a key of one part stands for itself, none is ()."""
        found: dict[int, dict[Any, Any]] = {}

        def row(varid: int, key: list[Any], value: Any) -> None:
            parts = as_key(key)
            rows = found.setdefault(varid, {})
            name = parts[0] if len(parts) == 1 else parts
            assert name not in rows, f"the key {name} came twice"
            rows[name] = value

        self.consumer.aggwalk(row)
        return found

    def counts(self) -> dict[int, dict[Any, Any]]:
        """As aggregations(), of counts and sums, which are taken but once: all that came so far."""
        for varid, rows in self.aggregations().items():
            total = self.taken.setdefault(varid, {})
            for key, value in rows.items():
                total[key] = total.get(key, 0) + value
        return self.taken


@pytest.fixture
def new_trace() -> Iterator[Callable[[], Trace]]:
    opened: list[Trace] = []

    def new() -> Trace:
        opened.append(Trace())
        return opened[-1]

    yield new
    for trace in opened:
        trace.consumer.close()


@pytest.fixture
def trace(new_trace: Callable[[], Trace]) -> Callable[..., Trace]:
    """Starts a D program: trace(program, args..., option=value...)."""

    def start(program: str, *args: object, **options: Any) -> Trace:
        return new_trace().go(program, *args, **options)

    return start


@pytest.fixture
def watch(trace: Callable[..., Trace], workload: Workload) -> Callable[..., Trace]:
    """Runs a D program around commands to the child: watch(program, command...).

    The child's pid is $1.  A command is a tuple, as for Workload.do().  When it
    returns, everything was consumed.
    """

    def run(program: str, *commands: tuple[object, ...], **options: Any) -> Trace:
        started = trace(program, workload.pid, **options)
        for command in commands:
            workload.do(*command)
        return started.finish()

    return run


@pytest.fixture(autouse=True)
def nothing_lost() -> Iterator[None]:
    """Warnings of drops and faults are failures, unless a test takes them with callbacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", dtrace.DTraceWarning)
        yield
