# SPDX-License-Identifier: Apache-2.0
"""What a consumer leaves behind: nothing, however it ends."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

import pytest
from conftest import Run

import dtrace

pytestmark = pytest.mark.kernel

Open = Callable[..., dtrace.DTraceConsumer]
RunProgram = Callable[..., Run]

PROGRAM = """
syscall:::entry { @[execname, probefunc] = count(); self->t = timestamp; }
syscall:::return /self->t/ { @t = quantize(timestamp - self->t); self->t = 0; }
profile-97hz { @s[stack()] = count(); }
tick-10ms { trace(1); }
"""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_open_and_close_many_times() -> None:
    def once() -> None:
        with dtrace.DTraceConsumer("embedded") as c:
            c.strcompile("BEGIN { trace(1) } syscall::getppid:entry { @ = count() }")
            c.go()
            c.consume(lambda probe, rec: None)
            c.stop()

    for _ in range(3):
        once()
    gc.collect()
    fds, blocks = descriptors(), sys.getallocatedblocks()
    for _ in range(20):
        once()
    gc.collect()
    assert descriptors() == fds
    assert sys.getallocatedblocks() - blocks < 15


def test_dropping_without_closing() -> None:
    fds = descriptors()
    c = dtrace.DTraceConsumer("embedded")
    c.strcompile(PROGRAM)
    c.go()
    assert descriptors() > fds
    del c
    gc.collect()
    assert descriptors() == fds


def test_consumers_that_outlive_the_module() -> None:
    """Without a collection in between the interpreter's end takes things apart in any order."""
    program = """
import gc; gc.disable()
import dtrace
from dtrace import _engine
class Loop: pass
for i in range(3):
    loop = Loop()
    loop.self = loop
    loop.consumer = dtrace.DTraceConsumer("embedded")
    loop.consumer.strcompile("BEGIN { trace(1) }")
    loop.consumer.go()
    loop.consumer.consume(lambda probe, rec: None)
    loop.events = loop.consumer._consumer.events()
    loop.consumer._consumer.collect()
    loop.frames = loop.consumer._consumer.collected()
session = dtrace.trace("BEGIN { trace(1) }", engine="embedded")
events = session.poll()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_failed_start_leaves_nothing() -> None:
    fds = descriptors()
    c = dtrace.DTraceConsumer("embedded")
    with pytest.raises(dtrace.CompileError):
        c.strcompile("BEGIN { nonsense")
    del c
    gc.collect()
    assert descriptors() == fds


# ---- killed -------------------------------------------------------------------------------------

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
GET_FD_BY_ID = {"prog_id": 13, "map_id": 14, "link_id": 30}

CHILD = f"""
import dtrace, os, sys
c = dtrace.DTraceConsumer("embedded")
c.strcompile('''{PROGRAM}''')
c.go()
for fd in os.listdir("/proc/self/fdinfo"):
    try:
        for line in open("/proc/self/fdinfo/" + fd):
            key, _, value = line.partition(":")
            if key in ("prog_id", "map_id", "link_id"):
                print(key, int(value))
    except OSError:
        pass
print("ready", flush=True)
while True:
    c.consume(lambda probe, rec: None)
    c.sleep()
"""


class Attr(ctypes.Structure):
    _fields_ = (("id", ctypes.c_uint32), ("next", ctypes.c_uint32), ("flags", ctypes.c_uint32))


def exists(kind: str, number: int) -> bool:
    """Does the kernel still have this program, map or link?"""
    libc = ctypes.CDLL(None, use_errno=True)
    attr = Attr(number, 0, 0)
    call = BPF_SYSCALL[platform.machine()]
    fd = libc.syscall(call, GET_FD_BY_ID[kind], ctypes.byref(attr), ctypes.sizeof(attr))
    if fd < 0:
        assert ctypes.get_errno() == errno.ENOENT
        return False
    os.close(fd)
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed(how: signal.Signals) -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        things = []
        for line in child.stdout:
            if line == "ready\n":
                break
            kind, number = line.split()
            things.append((kind, int(number)))
        assert {kind for kind, _ in things} >= {"prog_id", "map_id"}
        assert all(exists(*thing) for thing in things)
        time.sleep(0.1)
        child.send_signal(how)
        child.wait(20)
    end = time.monotonic() + 10
    while any(exists(*thing) for thing in things):
        assert time.monotonic() < end, [t for t in things if exists(*t)]
        time.sleep(0.05)


# ---- forked -------------------------------------------------------------------------------------


def test_a_forked_child_does_not_stop_its_parent(open_consumer: Open) -> None:
    r = Run(open_consumer())
    pid = os.getpid()
    r.start(f"syscall::getppid:entry /pid == {pid}/ {{ trace(1); @ = count() }}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        r.consumer.close()
        os._exit(0)
    os.waitpid(child, 0)
    os.getppid()
    r.until(lambda: r.data == [1])
    assert r.aggregations() == [(1, [], 1)]


@pytest.mark.parametrize("where", ["outside", "in a callback", "in another thread's call"])
def test_a_forked_child_outlives_its_parent(where: str) -> None:
    """The tracing ends with the parent, though the child had copies of all descriptors."""
    fork = f"""
import dtrace, os, signal, threading, time
c = dtrace.DTraceConsumer("embedded")
c.strcompile('''{PROGRAM}''')
c.go()
for fd in os.listdir("/proc/self/fdinfo"):
    try:
        for line in open("/proc/self/fdinfo/" + fd):
            key, _, value = line.partition(":")
            if key in ("prog_id", "map_id", "link_id"):
                print(key, int(value), flush=True)
    except OSError:
        pass
def fork():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            c.consume(print)
        except dtrace.DTraceError:
            print("child", os.getpid(), flush=True)
        time.sleep(60)
    os.waitpid(pid, os.WNOHANG)
    signal.pause()
if {where!r} == "outside":
    fork()
elif {where!r} == "in a callback":
    while True:
        c.consume(lambda probe, rec: fork())
        c.sleep()
else:
    threading.Thread(target=lambda: c.consume(lambda p, r: time.sleep(60)), daemon=True).start()
    time.sleep(0.3)
    fork()
"""
    things = []
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", fork], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = 0
        for line in parent.stdout:
            kind, number = line.split()
            if kind == "child":
                child = int(number)
                break
            things.append((kind, int(number)))
        assert child and {kind for kind, _ in things} >= {"prog_id", "map_id"}
        try:
            assert all(exists(*thing) for thing in things)
            parent.kill()
            parent.wait(20)
            end = time.monotonic() + 10
            while any(exists(*thing) for thing in things):
                assert time.monotonic() < end, [t for t in things if exists(*t)]
                time.sleep(0.05)
            os.kill(child, 0)  # it was there all the time
        finally:
            os.kill(child, signal.SIGKILL)


# ---- privileges ---------------------------------------------------------------------------------


def test_without_privilege() -> None:
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        message = "it worked"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with dtrace.DTraceConsumer("embedded") as c:
                c.strcompile("BEGIN { exit(0) }")
                c.go()
        except BaseException as e:
            message = f"{type(e).__name__}: {e}"
        os.write(write_end, message.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    message = os.read(read_end, 1000).decode()
    os.close(read_end)
    assert message.startswith("DTraceError: DTrace requires additional privileges")
    assert "CAP_" in message


# ---- waiting ------------------------------------------------------------------------------------


def test_sleep(run: RunProgram) -> None:
    r = run("tick-10ms { trace(1) }", finish=False, switchrate="20ms")
    before = time.process_time()
    start = time.monotonic()
    while time.monotonic() - start < 1:
        r.consumer.sleep()
        r.poll()
    assert len(r.data) > 20
    assert time.process_time() - before < 0.5  # it did sleep


def test_exit_ends_a_sleep(run: RunProgram) -> None:
    r = run("tick-50ms { exit(0) }", finish=False, switchrate="30s", statusrate="30s")
    r.poll()
    start = time.monotonic()
    while not r.poll():
        assert time.monotonic() - start < 10
        r.consumer.sleep(10)
    assert time.monotonic() - start < 5


def test_stop_from_another_thread(run: RunProgram) -> None:
    r = run("tick-1ms { trace(1) } END { trace(2) }", finish=False)
    timer = threading.Timer(0.2, r.consumer.stop)
    timer.start()
    end = time.monotonic() + 10
    while not r.poll():
        assert time.monotonic() < end
        r.consumer.sleep(0.1)
    timer.join()
    assert r.data[-1] == 2


def test_close_from_another_thread(run: RunProgram) -> None:
    r = run("tick-1ms { trace(1) }", finish=False)
    timer = threading.Timer(0.2, r.consumer.close)
    timer.start()
    with pytest.raises(dtrace.DTraceError, match="closed"):
        while True:
            r.poll()
            r.consumer.sleep(0.1)
    timer.join()


def test_two_consumers(open_consumer: Open) -> None:
    runs = [Run(open_consumer()).start(f"tick-10ms {{ trace({n}) }}") for n in (1, 2)]
    for r in runs:
        r.until(lambda r=r: len(r.data) >= 3)
    assert set(runs[0].data) == {1} and set(runs[1].data) == {2}


# ---- footprint ----------------------------------------------------------------------------------


def resident() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif("PYDTRACE_SANITIZER" in os.environ, reason="a sanitizer keeps freed memory")
def test_memory_does_not_grow(run: RunProgram) -> None:
    """Aggregations read at a high rate."""
    r = run(
        # as many keys as there are, whatever else runs on the machine
        "profile-1234hz { @a[cpu] = count(); @b = quantize(timestamp & 0xff) }"
        f"syscall:::entry /pid == {os.getpid()}/ {{ @c[probefunc, n++ % 100] = count() }}",
        finish=False,
        aggrate="5000hz",
    )

    def work(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r.poll()
            r.aggregations()
            r.records.clear()

    work(1.5)
    gc.collect()
    before = resident()
    work(3)
    gc.collect()
    assert resident() - before < 2 << 20
