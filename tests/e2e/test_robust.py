# SPDX-License-Identifier: Apache-2.0
"""Consumers that are held up, targets that change or end, processors that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import Running, caught, wait_until, waiting
from conftest import PATIENCE, clean_env

import dtrace

pytestmark = pytest.mark.kernel

CONSUMER = """
import sys, dtrace
lost = got = 0
def drop(d):
    global lost
    lost += d.drops
def take(probe, rec):
    global got
    got += rec is not None
c = dtrace.DTraceConsumer("embedded", on_drop=drop)
c.setopt("bufsize", "64k")
c.strcompile(sys.argv[1], sys.argv[2:])
c.go()
print("ready", flush=True)
told = False
while not c.consume(take):
    if got and not told:
        print("caught up", flush=True)
        told = True
    c.sleep(0.05)
print(got, lost, flush=True)
"""


def test_suspended_consumer(workload):
    """What came while the consumer stood still is there, or counted as lost."""
    program = (
        "syscall::getppid:entry /pid == $1/ { trace(1); }"
        "syscall::read:entry /pid == $1 && arg2 == 77/ { exit(0); }"
    )
    consumer = subprocess.Popen(
        [sys.executable, "-c", CONSUMER, program, str(workload.pid)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert consumer.stdout.readline() == "ready\n"
        os.kill(consumer.pid, signal.SIGSTOP)
        workload.do("nested", 50000)
        time.sleep(0.2)
        os.kill(consumer.pid, signal.SIGCONT)
        # When it has caught up there is room again.
        assert consumer.stdout.readline() == "caught up\n"
        workload.do("nested", 100)
        workload.do("read", 1, 77)
        got, lost = map(int, consumer.communicate(timeout=PATIENCE)[0].split())
    finally:
        consumer.kill()
        consumer.communicate()
    assert lost > 0
    assert 50100 - 50 <= got + lost <= 50100 + 2  # exit()'s own record may be lost, firings missed


def test_target_that_executes_another_program(new_trace):
    child = subprocess.Popen(
        ["sh", "-c", "echo; read x; exec /bin/true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_env(),
    )
    child.stdout.read(1)  # it is running
    t = new_trace().go(
        "syscall::execve:entry /pid == $1/ { trace(execname); }"
        "syscall::execve:return /pid == $1/ { trace(execname); }"
        "syscall::exit_group:entry /pid == $1/ { trace(execname); exit(0); }",
        child.pid,
    )
    child.communicate(b"\n")
    t.to_exit()
    assert t.data == ["sh", "true", "true"]


def test_target_that_forks(new_trace):
    child = subprocess.Popen(
        ["sh", "-c", "read x; (exit 3); (exit 4); exit 5"],
        stdin=subprocess.PIPE,
        env=clean_env(),
    )
    t = new_trace().go(
        "syscall::exit_group:entry /progenyof($1)/ { trace(arg0); trace(pid == $1); }"
        "syscall::exit_group:entry /pid == $1/ { exit(0); }",
        child.pid,
    )
    child.communicate(b"\n")
    t.to_exit()
    assert t.data == [3, 0, 4, 0, 5, 1]


def test_target_that_is_killed(new_trace, workload):
    t = new_trace().go(
        "syscall::getppid:entry /pid == $1/ { self->x = 1; self->s = speculation(); "
        "speculate(self->s); trace(1); }"
        "tick-50ms /++n == 5/ { exit(0); } BEGIN { n = 0; }",
        workload.pid,
    )
    workload.tell("forever")
    time.sleep(0.05)
    workload.child.kill()
    workload.child.wait()
    t.to_exit()
    assert t.faults == []


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_target_that_is_stopped(new_trace, start_workload):
    """What it did is there, it stays as it is, others are traced, and when it goes on so does the count."""
    one, other = start_workload(), start_workload()
    t = new_trace().go(
        "syscall::getppid:entry /pid == $1 || pid == $2/ { @[pid] = count(); }", one.pid, other.pid
    )

    def counts():
        return dict(t.counts().get(1, {}))

    one.tell("forever")
    t.until(lambda: one.pid in counts())
    os.kill(one.pid, signal.SIGSTOP)
    t.until(lambda: state(one.pid) == "T")
    before = counts()
    other.do("nested", 10)
    t.poll()
    assert counts() == {**before, other.pid: 10}
    assert state(one.pid) == "T"
    os.kill(one.pid, signal.SIGCONT)
    t.until(lambda: counts()[one.pid] > before[one.pid])
    t.finish()


@pytest.mark.parametrize("goes_on", [True, False])
def test_process_that_is_stopped_already(workload, goes_on):
    """-p: its functions are found without it, and it is left as it was."""
    os.kill(workload.pid, signal.SIGSTOP)
    wait_until(lambda: state(workload.pid) == "T")
    program = "pid$target:a.out:inner:entry { @ = count(); }"
    with Running("-q", "-p", str(workload.pid), "-n", program) as running:
        wait_until(lambda: caught(running.child.pid) and waiting(running.child.pid))
        assert state(workload.pid) == "T"
        if goes_on:
            os.kill(workload.pid, signal.SIGCONT)
            workload.do("nested", 3)
        running.child.send_signal(signal.SIGINT)
    assert running.out.split() == (["3"] if goes_on else []), running.err
    if not goes_on:
        assert state(workload.pid) == "T"
        os.kill(workload.pid, signal.SIGCONT)
    assert workload.do("nested", 3) == 0


def test_command_that_stops(tmp_path):
    """-c: tracing goes on as long as it is there."""
    script = tmp_path / "script"
    script.write_text("echo $$\nkill -STOP $$\nexit 3\n")
    program = "syscall::exit_group:entry /pid == $target/ { trace(arg0); }"
    with Running("-q", "-c", f"sh {script}", "-n", program) as running:
        pid = int(running.child.stdout.readline())
        wait_until(lambda: state(pid) == "T")
        wait_until(lambda: waiting(running.child.pid))
        assert running.child.poll() is None
        os.kill(pid, signal.SIGCONT)
    assert running.out.split() == ["3"], running.err
    assert running.status == 0


def set_online(cpu, on):
    Path(f"/sys/devices/system/cpu/cpu{cpu}/online").write_text("1" if on else "0")


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("PYDTRACE_GUEST"),
    reason="takes a processor from everybody on this machine: only in guests",
)
def test_processor_that_goes_off_line(new_trace):
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        pytest.skip("one processor")
    cpu = max(cpus)
    t = new_trace().go(
        "BEGIN { n = 0; } profile-50 { @[n, cpu] = count(); } tick-50 { trace(cpu); } "
        "syscall::getppid:entry /pid == $1/ { n++; @moved[n] = count(); }",
        os.getpid(),
        statusrate="50ms",
        bufsize="64k",
    )

    def ticks(n):
        seen = len(t.data)
        t.until(lambda: len(t.data) >= seen + n, "ticks")

    ticks(5)
    try:
        set_online(cpu, False)
        ticks(10)
        os.getppid()  # n is 1
        ticks(20)
        os.getppid()
    finally:
        set_online(cpu, True)
    ticks(20)
    os.getppid()
    ticks(20)
    t.finish()
    rows = t.aggregations()[1]
    assert not any(n == 1 and c == cpu for n, c in rows)
    assert any(n == 3 and c == cpu for n, c in rows)
    assert {d for d in t.drops if d.kind == dtrace.DropKind.PRINCIPAL} == set()
