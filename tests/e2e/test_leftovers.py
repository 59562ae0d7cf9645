# SPDX-License-Identifier: Apache-2.0
"""Nothing outlives a consumer, however it ends; and who may not trace is told why."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from bpfids import all_ids, ids_of, open_fds, wait_gone

import dtrace

PROGRAM = """
syscall:::entry /pid == $1/ { @a[probefunc, ustack()] = count(); self->t = timestamp; }
syscall:::return /self->t/ { @b = quantize(timestamp - self->t); self->t = 0; }
syscall:::return /pid == $1/ { x[tid, n++ % 64] = 1; trace(arg0); }
profile-97hz /pid == $1/ { @c[stack()] = count(); }
tick-100ms { trace(n); }
"""


def python(code: str, *args: object, **kwargs: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


@pytest.mark.kernel
def test_killed_under_load(workload):
    workload.tell("forever")
    consumer = python(
        """
        import sys, dtrace
        c = dtrace.DTraceConsumer("embedded", on_drop=lambda drop: None)
        c.strcompile(sys.argv[1], [sys.argv[2]])
        c.go()
        seen = 0
        def take(probe, rec):
            global seen
            seen += 1
            if seen == 1000:
                print("going", flush=True)
        while True:
            c.consume(take)
            c.sleep(0.01)
        """,
        PROGRAM,
        workload.pid,
    )
    try:
        assert consumer.stdout.readline() == "going\n", consumer.stderr.read()
        held = ids_of(consumer.pid)
        assert {kind for kind, _ in held} >= {"prog", "map"}
        assert held <= all_ids()
        time.sleep(0.2)
    finally:
        consumer.send_signal(signal.SIGKILL)
        consumer.communicate()
    assert wait_gone(held) == set()


@pytest.mark.kernel
@pytest.mark.parametrize("how", ["close", "del", "gc", "error", "exit"])
def test_ended_in_other_ways(workload, how):
    consumer = python(
        """
        import gc, sys, dtrace
        c = dtrace.DTraceConsumer("embedded")
        c.strcompile(sys.argv[1], [sys.argv[2]])
        c.go()
        print("going", flush=True)
        sys.stdin.readline()
        match sys.argv[3]:
            case "close":
                c.close()
            case "del":
                del c
            case "gc":
                class Holder: pass
                h = Holder(); h.c, h.me = c, h
                del c, h
                gc.collect()
            case "error":
                raise SystemExit("an error")
            case "exit":
                sys.exit()
        print("ended", flush=True)
        sys.stdin.readline()
        """,
        PROGRAM,
        workload.pid,
        how,
        stdin=subprocess.PIPE,
    )
    try:
        assert consumer.stdout.readline() == "going\n", consumer.stderr.read()
        held = ids_of(consumer.pid)
        assert held
        consumer.stdin.write("\n")
        consumer.stdin.flush()
        line = consumer.stdout.readline()
        assert line == ("" if how in ("error", "exit") else "ended\n")
        assert wait_gone(held) == set()
    finally:
        consumer.kill()
        consumer.communicate()


@pytest.mark.kernel
def test_no_descriptor_leaks(workload):
    def cycle() -> None:
        with dtrace.DTraceConsumer("embedded") as c:
            c.strcompile(PROGRAM, [str(workload.pid)])
            c.go()
            workload.do("nested", 5)
            c.consume(lambda probe, rec: None)
            c.aggwalk(lambda varid, key, value: None)

    cycle()
    gc.collect()
    before = open_fds()
    for _ in range(20 if os.environ.get("PYDTRACE_GUEST") else 200):
        cycle()
    gc.collect()
    assert open_fds() == before
    assert wait_gone(ids_of(os.getpid())) == set()


@pytest.mark.kernel
def test_failures_leak_nothing(workload):
    programs = [
        "syscall::nosuchcall:entry { trace(1); }",
        "BEGIN { trace(1 }",
        "BEGIN { trace(nosuchvariable); }",
        "BEGIN { @a = count(); @a = sum(1); }",
    ]
    before = open_fds()
    for _ in range(50):
        for program in programs:
            with dtrace.DTraceConsumer("embedded") as c, pytest.raises(dtrace.DTraceError):
                c.strcompile(program)
    gc.collect()
    assert open_fds() == before


@pytest.mark.kernel
def test_a_traced_process_may_die(trace, start_workload):
    first, second = start_workload(), start_workload()
    t = trace(
        "syscall::getppid:entry /pid == $1 || pid == $2/ { trace(pid); ustack(); }",
        first.pid,
        second.pid,
    )
    first.tell("forever")
    t.until(lambda: len(t.data) > 1000)
    first.end()
    t.poll()  # makes room
    seen = len(t.firings)
    second.do("getppid", 1)
    t.until(lambda: len(t.firings) > seen)
    assert t.firings[-1].data[0] == second.pid


@pytest.mark.kernel
def test_an_unprivileged_user_is_told_what_is_missing():
    child = python(
        """
        import os, dtrace
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            with dtrace.DTraceConsumer("embedded") as c:
                c.strcompile("syscall:::entry { @[probefunc] = count(); }")
                c.go()
        except dtrace.DTraceError as e:
            print(type(e).__name__, e.errno, e.message)
        """
    )
    out, err = child.communicate(timeout=60)
    assert re.match(r"DTraceError \d+ DTrace requires additional privileges\b.*CAP_\w+", out), (
        out + err
    )


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("drop", "named"), [("38", "CAP_PERFMON"), ("39", "CAP_BPF")], ids=["perfmon", "bpf"]
)
def test_a_missing_capability_is_named(drop, named):
    """Root without one of the two, and without the old capability that stands for both."""
    child = python(
        """
        import ctypes, sys, dtrace
        libc = ctypes.CDLL(None, use_errno=True)
        class Header(ctypes.Structure):
            _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
        data = (ctypes.c_uint32 * 6)()
        header = Header(0x20080522, 0)
        assert libc.capget(ctypes.byref(header), data) == 0
        for cap in (21, int(sys.argv[1])):
            data[cap // 32 * 3] &= ~(1 << cap % 32)
        assert libc.capset(ctypes.byref(header), data) == 0
        try:
            with dtrace.DTraceConsumer("embedded") as c:
                c.strcompile("syscall:::entry { @[probefunc] = count(); }")
                c.go()
        except dtrace.DTraceError as e:
            print(e.message)
        """,
        drop,
    )
    out, err = child.communicate(timeout=60)
    assert out.startswith("DTrace requires additional privileges"), out + err
    assert named in out


@pytest.mark.kernel
def test_a_child_that_exits_does_not_stop_the_tracing(trace, workload):
    """os.fork() copies the consumer; the copy's end is not the original's."""
    t = trace("syscall::getppid:entry /pid == $1/ { @ = count(); }", workload.pid)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    workload.do("getppid", 10)
    assert t.finish().aggregations() == {1: {(): 10}}
