# SPDX-License-Identifier: Apache-2.0
"""What finds no room is counted and reported, never lost in silence."""

from __future__ import annotations

import pytest

import dtrace

pytestmark = pytest.mark.kernel

PRINCIPAL = dtrace.DropKind.PRINCIPAL
AGGREGATION = dtrace.DropKind.AGGREGATION
DYNAMIC = dtrace.DropKind.DYNAMIC


def dropped(t, kind):
    return sum(drop.drops for drop in t.drops if drop.kind == kind)


def test_principal_buffer(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { trace(arg0); trace(probefunc); }",
        ("nested", 20000),
        bufsize="8k",
    )
    lost = dropped(t, PRINCIPAL)
    assert lost > 0
    assert len(t.firings) + lost == 20000
    assert {drop.kind for drop in t.drops} == {PRINCIPAL}
    assert "drop" in t.drops[0].message
    by_cpu = {drop.cpu: drop.total for drop in t.drops}
    assert sum(by_cpu.values()) == lost


def test_a_reader_in_time_loses_nothing(trace, workload):
    t = trace(
        "syscall::getppid:entry /pid == $1/ { trace(++n); }",
        workload.pid,
        bufsize="64k",
        switchrate="1ms",
    )
    for _ in range(100):
        workload.do("nested", 200)
        t.poll()
    t.finish()
    assert t.drops == []
    assert t.data == list(range(1, 20001))


def test_principal_buffer_recovers(trace, workload):
    # A clause whose record finds no room is not run: it takes another one to count.
    t = trace(
        "syscall::getppid:entry /pid == $1/ { n++; }"
        "syscall::getppid:entry /pid == $1/ { trace(n); }",
        workload.pid,
        bufsize="8k",
    )
    workload.do("nested", 5000)
    t.poll()
    seen = len(t.data)
    assert 0 < seen < 5000
    workload.do("nested", 10)
    t.finish()
    assert t.data[-10:] == list(range(5001, 5011))
    assert dropped(t, PRINCIPAL) == 5010 - len(t.data)


def test_aggregations(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { @[++n] = count(); @total = count(); }",
        ("nested", 20000),
        aggsize="16k",
    )
    lost = dropped(t, AGGREGATION)
    got = t.aggregations()
    assert lost > 0
    assert len(got[1]) + lost == 20000
    assert got[2] == {(): 20000}


def test_dynamic_variables(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { n++; seen[n] = n; @ = sum(seen[n] == n); }",
        ("nested", 20000),
        dynvarsize="16k",
    )
    lost = dropped(t, DYNAMIC)
    assert lost > 0
    assert t.aggregations()[1][()] + lost == 20000


def test_without_a_handler_it_is_a_warning(workload):
    with dtrace.DTraceConsumer("embedded") as c:
        c.setopt("bufsize", "8k")
        c.strcompile("syscall::getppid:entry /pid == $1/ { trace(arg0); }", [str(workload.pid)])
        c.go()
        workload.do("nested", 20000)
        c.stop()
        with pytest.warns(dtrace.DropWarning, match="drop"):
            while not c.consume(lambda probe, rec: None):
                pass
        assert c.drops > 0
