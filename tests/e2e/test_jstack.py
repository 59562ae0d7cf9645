# SPDX-License-Identifier: Apache-2.0
"""jstack(): frames of CPython among those of the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, clean_env

import dtrace

pytestmark = pytest.mark.kernel

# Another one, of 3.11 or later, may be named.
PYTHON = os.environ.get("PYDTRACE_TEST_PYTHON", sys.executable)
GETPPID = "syscall::getppid:entry /pid == $1/ "

SCRIPT = """\
import os, sys, threading

def leaf():
    os.getppid()

class Worker:
    def run(self):
        leaf()

    def mapped(self, _):
        self.run()

def wörk():
    leaf()

def plain():
    Worker().run()

def through_c():
    list(map(Worker().mapped, [1]))

def thread():
    t = threading.Thread(target=plain)
    t.start()
    t.join()

def later():
    import ctypes
    ctypes.CDLL(None).getppid()

print("ready", flush=True)
for line in sys.stdin:
    globals()[line.strip()]()
    print("ok", flush=True)
"""


class Python:
    def __init__(self, script: Path, *argv: str) -> None:
        self.file = str(script)
        self.process = subprocess.Popen(
            argv or [PYTHON, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_env(),
        )
        self.pid = self.process.pid
        assert self.answer() == "ready"

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def do(self, what: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        assert self.answer() == "ok"

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


@pytest.fixture
def python(script):
    child = Python(script)
    yield child
    child.end()


def python_frames(stack: list[str], file: str) -> list[tuple[str, int]]:
    found = []
    for frame in stack:
        m = re.fullmatch(r"\[ (.*) \((.*):(\d+)\) \]", frame)
        if m and m[2] == file:
            found.append((m[1], int(m[3])))
    return found


# Each is at the line that calls the next one.
PLAIN = [("leaf", 4), ("Worker.run", 8), ("plain", 17)]
MODULE = ("<module>", 33)


def test_frames(trace, python):
    t = trace(GETPPID + "{ jstack(); }", python.pid)
    python.do("plain")
    (stack,) = t.finish().data
    assert python_frames(stack, python.file) == [*PLAIN, MODULE]
    assert stack[0].split("+")[0] == "libc.so.6`getppid" or "`" in stack[0]


def test_between_native_frames(trace, python):
    """Python's frames are behind those of the interpreter's main function, up to the one that C called."""
    t = trace(GETPPID + "{ jstack(100); }", python.pid, ustackunwind="64k", jstackstrsize="8k")
    python.do("through_c")
    (stack,) = t.finish().data
    where = [i for i, frame in enumerate(stack) if "`_PyEval_EvalFrameDefault" in frame]
    assert len(where) == 2
    stretch = [
        python_frames(stack[where[0] : where[1]], python.file),
        python_frames(stack[where[1] :], python.file),
    ]
    assert stretch == [
        [("leaf", 4), ("Worker.run", 8), ("Worker.mapped", 11)],
        [("through_c", 20), MODULE],
    ]
    assert stack[where[0] + 1].startswith("[ leaf (")
    assert stack[-1].split("+")[0].endswith("`_start")


def test_libraries_mapped_since(trace, python):
    """Unwinding goes through code that was not there when the process was first looked at."""
    t = trace(GETPPID + "{ jstack(100); }", python.pid, ustackunwind="64k", jstackstrsize="8k")
    python.do("plain")
    t.poll()
    time.sleep(0.3)
    python.do("later")
    before, after = t.finish().data
    assert not any("ctypes" in frame for frame in before)
    assert any(frame.startswith("_ctypes") for frame in after)
    assert after[-1].split("+")[0].endswith("`_start")
    assert python_frames(after, python.file) == [("later", 29), MODULE]


def test_keys(trace, python):
    t = trace(GETPPID + "{ @[jstack(20)] = count(); }", python.pid)
    for _ in range(3):
        python.do("plain")
    python.do("through_c")
    rows = t.finish().aggregations()[1]
    counts = {python_frames(stack, python.file)[-2][0]: n for stack, n in rows.items()}
    assert counts == {"plain": 3, "through_c": 1}


def test_threads(trace, python):
    t = trace(GETPPID + "{ jstack(20, 4096); }", python.pid)
    python.do("thread")
    python.do("plain")
    other, own = (python_frames(stack, python.file) for stack in t.finish().data)
    assert other == PLAIN
    assert own == [*PLAIN, MODULE]


def test_wide_characters(trace, python):
    t = trace(GETPPID + "{ jstack(); }", python.pid)
    python.do("wörk")
    (stack,) = t.finish().data
    assert python_frames(stack, python.file)[:2] == [("leaf", 4), ("?", 14)]


def test_no_room_for_names(python):
    drops: list[Any] = []
    stacks: list[Any] = []
    with dtrace.DTraceConsumer("embedded", on_drop=drops.append) as consumer:
        consumer.setopt("statusrate", "1ms")
        consumer.strcompile(GETPPID.replace("$1", str(python.pid)) + "{ jstack(20, 96); }")
        consumer.go()
        python.do("plain")
        consumer.consume(lambda probe, rec: stacks.append(rec))
        deadline = time.monotonic() + PATIENCE
        while not drops and time.monotonic() < deadline:
            consumer.sleep(0.01)
            consumer.consume(lambda probe, rec: stacks.append(rec))
        consumer.stop()
    assert len(python_frames(stacks[0], python.file)) < 4
    assert [d.message for d in drops] == ["1 jstack()/ustack() string table overflow"]


def test_off(trace, python):
    t = trace(GETPPID + "{ jstack(20, 0); ustack(20); }", python.pid)
    python.do("plain")
    without, native = t.finish().data
    assert without == native


def test_other_processes(watch):
    """What is no Python has its native frames."""
    t = watch(GETPPID + "{ jstack(3); ustack(3); }", ("nested", 1))
    assert t.data[0] == t.data[1]
    assert t.data[0][0].startswith("workload`inner")


def test_begun_later(trace, script):
    """A process is found by its first stack."""
    t = trace("syscall::getppid:entry /ppid == $1/ { jstack(); }", os.getpid())
    child = Python(script)
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            child.do("plain")
            t.poll()
            if any(python_frames(stack, child.file) for stack in t.data):
                break
            time.sleep(0.02)
        assert python_frames(t.data[-1], child.file)[: len(PLAIN)] == PLAIN
    finally:
        child.end()
        t.finish()


def test_in_a_pid_namespace(trace, script):
    """The interpreter knows its threads by the numbers that they have inside."""
    unshare = shutil.which("unshare")
    if unshare is None or "--pid" not in subprocess.getoutput(f"{unshare} --help"):
        pytest.skip("there is no unshare(1)")
    outside = Python(script, unshare, "-p", "-f", PYTHON, str(script))
    try:
        inside = int(Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text())
        t = trace(GETPPID + "{ jstack(); }", inside)
        outside.do("thread")
        (stack,) = t.finish().data
        assert python_frames(stack, outside.file) == PLAIN
    finally:
        outside.end()


@pytest.mark.parametrize("version", ["13", "14"])
def test_table_of_offsets(trace, tmp_path, version):
    """From 3.13 on the interpreter says where things are."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    binary = tmp_path / "python-fake"
    source = Path(__file__).parent / "fakepython.c"
    subprocess.run([compiler, "-O1", "-o", str(binary), str(source)], check=True, env=clean_env())
    child = Python(binary, str(binary), version)
    try:
        t = trace(GETPPID + "{ jstack(); }", child.pid)
        child.do("go")
        (stack,) = t.finish().data
        names = python_frames(stack, "/srv/app.py")
        assert names == [("?" if version == "13" else "inner", 32), ("Outer.run", 22), ("main", 3)]
    finally:
        child.end()
