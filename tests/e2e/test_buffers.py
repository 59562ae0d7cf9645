# SPDX-License-Identifier: Apache-2.0
"""Buffer policies and sizes, and a consumer that sleeps between."""

from __future__ import annotations

import os
import time

import pytest

import dtrace

pytestmark = pytest.mark.kernel

COUNT = "BEGIN { n = 0; } syscall::getppid:entry /pid == $1/ { trace(++n); } "


def test_ring_keeps_the_latest(new_trace, workload):
    # Each processor keeps its own latest.
    os.sched_setaffinity(workload.pid, {min(os.sched_getaffinity(0))})
    t = new_trace().go(COUNT + "END { trace(-1); }", workload.pid, bufpolicy="ring", bufsize="8k")
    workload.do("nested", 5000)
    t.poll()
    assert t.data == []
    t.finish()
    assert t.data[-1] == -1
    kept = t.data[:-1]
    assert 200 < len(kept) <= 400
    assert kept == list(range(5001 - len(kept), 5001))
    assert t.drops == []


@pytest.mark.parametrize("size", ["512", "8k", "1m"])
@pytest.mark.parametrize(
    "text", ["trace(n); trace(execname)", 'trace(n); if (n % 3) { trace("xxx"); }']
)
def test_ring_of_any_size(new_trace, workload, size, text):
    t = new_trace().go(
        "BEGIN { n = 0; } syscall::getppid:entry /pid == $1/ { n++; " + text + "; }",
        workload.pid,
        bufpolicy="ring",
        bufsize=size,
    )
    workload.do("nested", 3000)
    t.finish()
    numbers = [v for v in t.data if isinstance(v, int)]
    assert numbers[-1] == 3000 or 2999 in numbers
    assert numbers == sorted(numbers)
    assert t.faults == [] and t.drops == []


def test_ring_that_is_not_full(new_trace, workload):
    t = new_trace().go(COUNT, workload.pid, bufpolicy="ring")
    workload.do("nested", 50)
    t.finish()
    assert t.data == list(range(1, 51))


def test_fill_stops(new_trace, workload):
    t = new_trace().go(COUNT + "END { trace(-1); }", workload.pid, bufpolicy="fill", bufsize="8k")
    workload.do("nested", 100)
    t.poll()
    assert t.data == [] and not t.ended
    workload.do("nested", 5000)
    t.to_exit()
    assert t.data[-1] == -1
    kept = t.data[:-1]
    assert kept[:100] == list(range(1, 101))
    assert len(kept) < 5000
    assert t.drops == []


def test_fill_wakes_the_consumer(new_trace, workload):
    t = new_trace().go(COUNT, workload.pid, bufpolicy="fill", bufsize="1k", statusrate="1h")
    t.poll()
    workload.do("nested", 100)
    before = time.monotonic()
    t.consumer.sleep(15)
    assert time.monotonic() - before < 10
    t.poll()
    assert t.ended


def test_fill_of_one_that_exits(new_trace):
    t = new_trace().go("BEGIN { trace(1); exit(3); } END { trace(2); }", bufpolicy="fill")
    t.to_exit()
    assert t.data == [1, 2]
    assert t.consumer.exit_status == 3


@pytest.mark.parametrize("policy", ["switch", "fill", "ring"])
def test_a_sleeping_consumer_does_not_spin(new_trace, policy):
    t = new_trace().go("BEGIN { @ = count(); }", bufpolicy=policy)
    t.poll()
    end = time.monotonic() + 0.3
    wakes, before = 0, time.process_time()
    while time.monotonic() < end:
        t.consumer.sleep(0.3)
        t.poll()
        wakes += 1
    assert wakes < 20
    assert time.process_time() - before < 0.15


def test_wakes_when_half_full(new_trace, workload):
    t = new_trace().go(
        COUNT, workload.pid, bufsize="64k", switchrate="1h", statusrate="1h", aggrate="1h"
    )
    t.poll()
    workload.tell("nested", 1500)
    before = time.monotonic()
    t.consumer.sleep(15)
    assert time.monotonic() - before < 10
    t.poll()
    assert workload.answer() == 0
    t.finish()
    assert t.data == list(range(1, 1501))


@pytest.mark.parametrize("size", ["0", "1", "700", "4k", "9999"])
def test_small_buffers(new_trace, size):
    t = new_trace().go("BEGIN { trace(1); @ = count(); exit(0); }", bufsize=size)
    t.to_exit()
    assert t.data == [1]
    assert t.aggregations() == {1: {(): 1}}


def test_one_processor(new_trace, awake):
    cpu = max(os.sched_getaffinity(0))
    t = new_trace().go(
        "profile-499 { @[cpu] = count(); } tick-100ms { trace(cpu); } "
        "tick-100ms /++n == 3/ { exit(0); } BEGIN { trace(-1); }",
        cpu=cpu,
    )
    t.to_exit()
    assert t.data == [-1] + [cpu] * 3
    assert set(t.aggregations()[1]) == {cpu}


def test_no_such_processor(new_trace):
    with pytest.raises(dtrace.DTraceError, match="cpu"):
        new_trace().go("tick-1s { trace(1); }", cpu=100000)


def test_processors_that_are_left_out_trace_nothing(new_trace, workload):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one processor")
    os.sched_setaffinity(workload.pid, {cpus[0]})
    t = new_trace().go(COUNT, workload.pid, cpu=cpus[1])
    workload.do("nested", 100)
    os.sched_setaffinity(workload.pid, {cpus[1]})
    workload.do("nested", 10)
    t.finish()
    assert len(t.data) == 10


@pytest.mark.slow
def test_hundred_thousand_keys(new_trace, workload):
    t = new_trace().go(
        "BEGIN { n = 0; } syscall::getppid:entry /pid == $1/ { @[n++ % 100000] = count(); }",
        workload.pid,
    )
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus:
        os.sched_setaffinity(workload.pid, {cpu})
        workload.do("nested", 100000)
    t.finish()
    assert t.drops == []
    rows = t.aggregations()[1]
    assert len(rows) == 100000
    assert sum(rows.values()) == 100000 * len(cpus)


def test_frames_are_limited(new_trace, workload):
    t = new_trace().go(
        "syscall::getppid:entry /pid == $1/ { ustack(50); exit(0); }", workload.pid, maxframes=2
    )
    workload.do("nested", 1)
    t.to_exit()
    assert len(t.data[0]) == 2


def test_the_verifier_log_is_shown(new_trace, capfd):
    new_trace().go("BEGIN { trace(1); exit(0); }", bpflog=True).to_exit()
    told = capfd.readouterr().err
    assert "BPF verifier log of dt_begin:\n" in told
    assert "processed " in told
