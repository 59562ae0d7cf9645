# SPDX-License-Identifier: Apache-2.0
"""The sched provider: switches, wake-ups and queues of the child's and our own threads."""

from __future__ import annotations

import os
import time

import pytest
from conftest import PATIENCE

import dtrace

pytestmark = pytest.mark.kernel


def test_on_and_off_take_turns(trace, workload):
    t = trace(
        "int on, seen; sched:::on-cpu /pid == $1 && on/ { @bad = count(); }"
        "sched:::off-cpu /pid == $1 && on == 0 && seen/ { @bad = count(); }"
        "sched:::on-cpu /pid == $1/ { on = 1; seen = 1; @on = count(); }"
        "sched:::off-cpu /pid == $1 && seen/ { on = 0; @off = count(); }",
        workload.pid,
    )
    workload.turns(20)
    found = t.finish().aggregations()
    assert 1 not in found
    assert found[2][()] >= 18
    assert found[2][()] - found[3][()] in (0, 1)


def test_on_cpu_is_about_the_thread_that_arrives(trace, workload):
    t = trace(
        "sched:::on-cpu /pid == $1/ { self->since = timestamp; @n[execname, tid, ppid, uid, gid,"
        " curthread->pid, curpsinfo->pr_pid, curlwpsinfo->pr_lwpid] = count(); }"
        "sched:::off-cpu /self->since/ { @t = count(); @who[pid] = count();"
        " @long = max(timestamp - self->since); self->since = 0; }",
        workload.pid,
    )
    workload.turns(20)
    found = t.finish().aggregations()
    pid = workload.pid
    (key,) = found[1]
    assert key == ("workload", pid, os.getpid(), os.getuid(), os.getgid(), pid, pid, pid)
    assert found[1][key] >= 18
    assert found[1][key] - found[2][()] in (0, 1)
    assert set(found[3]) == {pid}
    assert 0 < found[4][()] < 20_000_000_000


def test_relations_and_files_of_the_thread_that_arrives(trace, workload):
    t = trace(
        "sched:::on-cpu /progenyof($2) && pid == $1/ { @[fds[0].fi_fs, cwd] = count(); }"
        "sched:::on-cpu /progenyof($1) && pid != $1/ { @bad = count(); }",
        workload.pid,
        os.getpid(),
    )
    for _ in range(20):
        workload.do("getppid", 1)
    found = t.finish().aggregations()
    assert set(found[1]) == {("pipefs", os.getcwd())}
    assert 2 not in found


def test_the_kernel_stack_of_the_thread_that_arrives(trace, workload):
    """It was left waiting for what we write to it."""
    t = trace("sched:::on-cpu /pid == $1/ { @[stack()] = count(); }", workload.pid)
    workload.turns(20)
    stacks = t.finish().aggregations()[1]
    assert any("pipe_read" in str(frame) for stack in stacks for frame in stack)
    assert not any("sched_switch" in str(frame) for stack in stacks for frame in stack)


def test_the_one_that_leaves_comes_first_and_names_the_next(trace):
    t = trace(
        "int next[int]; sched:::on-cpu /next[cpu] && next[cpu] != tid + 1/ { @bad = count(); }"
        "sched:::on-cpu /next[cpu]/ { @good = count(); next[cpu] = 0; }"
        "sched:::off-cpu { next[cpu] = args[0]->pr_lwpid + 1; }",
    )
    for _ in range(30):
        time.sleep(0.001)
    found = t.finish().aggregations()
    assert 1 not in found
    assert found[2][()] > 10


def test_sleep_and_wakeup(trace, workload):
    t = trace(
        "sched:::sleep /pid == $1/ { @s = count(); }"
        "sched:::wakeup /args[1]->pr_pid == $1/ { @w[pid] = count(); @l[args[0]->pr_lwpid] = count(); }",
        workload.pid,
    )
    workload.turns(20)
    found = t.finish().aggregations()
    assert found[1][()] >= 18
    # We write to the pipe that it waits for.
    assert found[2][os.getpid()] >= 18
    assert set(found[3]) == {workload.pid}


def test_queues(trace, workload):
    t = trace(
        "sched:::enqueue /args[1]->pr_pid == $1/ { @e[args[2]->cpu_id] = count(); @n = count(); }"
        "sched:::dequeue /args[1]->pr_pid == $1/ { @d[args[2]->cpu_id] = count(); @m = count(); }"
        "sched:::on-cpu /pid == $1/ { @on = count(); }",
        workload.pid,
    )
    workload.turns(20)
    found = t.finish().aggregations()
    cpus = set(range(os.cpu_count() or 1))
    assert set(found[1]) <= cpus
    assert set(found[3]) <= cpus
    assert found[2][()] >= 18
    assert abs(found[2][()] - found[4][()]) <= 2
    assert found[4][()] >= found[5][()] >= 18


def test_tick(trace):
    t = trace(
        "sched:::tick /pid == $1/ { @[args[0]->pr_lwpid, args[1]->pr_pid] = count(); }", os.getpid()
    )
    me = os.getpid()
    start = time.process_time()
    # Whom a tick finds is chance, on a machine in use more so.
    while t.counts().get(1, {}).get((me, me), 0) < 5:
        assert time.process_time() - start < PATIENCE
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass
    assert set(t.finish().counts()[1]) == {(me, me)}


def test_surrender(trace):
    t = trace(
        "sched:::surrender /pid == $1/ { @[args[0]->pr_lwpid, args[1]->pr_pid] = count(); }",
        os.getpid(),
    )
    for _ in range(7):
        os.sched_yield()
    found = t.finish().aggregations()
    me = os.getpid()
    assert found[1][(me, me)] in range(7 - t.missed, 8)


@pytest.mark.skipif(
    not os.path.exists("/sys/bus/event_source/devices/kprobe"),
    reason="this kernel does not let functions be traced",
)
def test_change_of_priority(trace):
    t = trace(
        "sched:::change-pri /ppid == $1/"
        "{ trace(args[0]->pr_lwpid == tid); trace(args[1]->pr_pid == pid); trace(args[2]); }",
        os.getpid(),
    )
    pid = os.fork()
    if pid == 0:
        os.nice(3)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(7))
        os._exit(0)
    os.waitpid(pid, 0)
    assert t.finish().data == [1, 1, 123, 1, 1, 92]


def test_preempt(trace):
    """Two that want one processor."""
    cpu = min(os.sched_getaffinity(0))
    pids = []
    t = trace("sched:::preempt /ppid == $1/ { @[pid] = count(); }", os.getpid())
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os.sched_setaffinity(0, {cpu})
            end = time.process_time() + 0.15  # less than both together
            while time.process_time() < end:
                pass
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    assert set(t.finish().aggregations()[1]) & set(pids)


@pytest.mark.parametrize(
    "what", ["ustack()", "trace(copyinstr(0))", "trace(ucaller)", "trace(uregs[0])"]
)
def test_what_a_thread_that_arrives_cannot_tell(what):
    c = dtrace.DTraceConsumer("embedded")
    with pytest.raises(dtrace.DTraceError, match=r"is not available in sched:::on-cpu"):
        c.strcompile(f"sched:::on-cpu {{ {what}; }}")
    c.close()


def test_listing_knows_the_types():
    c = dtrace.DTraceConsumer("embedded")
    with pytest.raises(dtrace.DTraceError, match=r"args\[ \].*different arguments"):
        c.strcompile("sched:::[oe]* { trace(args[0]->pr_pri); }")
    c.strcompile("sched:::off-cpu, sched:::enqueue { trace(args[0]->pr_pri); }")
    c.close()
