# SPDX-License-Identifier: Apache-2.0
"""BEGIN, END, profile-N and tick-N."""

from __future__ import annotations

import os
import time

import pytest
from conftest import PATIENCE

pytestmark = pytest.mark.kernel


def test_begin_and_end(trace):
    t = trace('BEGIN { trace("begin"); } END { trace("end"); }')
    t.until(lambda: t.firings)
    assert t.data == ["begin"]
    assert t.firings[0].name.endswith(":BEGIN")
    t.finish()
    assert t.data == ["begin", "end"]


def test_begin_runs_here(trace):
    t = trace("BEGIN { trace(pid); exit(7); }").to_exit()
    assert t.data[0] == os.getpid()
    assert t.consumer.exit_status == 7


def test_tick(trace):
    t = trace("tick-20ms { trace(++n); } tick-20ms /n == 5/ { exit(0); }")
    start = time.monotonic()
    t.to_exit()
    assert [x for x in t.data if x][:5] == [1, 2, 3, 4, 5]
    assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize("rate", ["50hz", "50", "20ms", "20000us", "20000000ns", "20msec"])
def test_tick_units(trace, rate):
    start = time.monotonic()
    trace(f"tick-{rate} /++n == 5/ {{ exit(0); }}").to_exit()
    assert 0.05 < time.monotonic() - start < 5


def test_tick_is_on_one_cpu(trace):
    t = trace("tick-10ms { @[cpu] = count(); } tick-100ms { exit(0); }").to_exit()
    assert len(t.aggregations()[1]) == 1


def test_profile_is_on_every_cpu(trace):
    # one that reads nothing of idle CPUs would count only the busy ones
    t = trace("profile-199hz { @[cpu] = count(); } tick-1s { exit(0); }").to_exit()
    rows = t.aggregations()[1]
    assert set(rows) <= set(range(os.cpu_count() or 1))
    assert rows


def test_profile_sees_where_it_burns(trace, workload):
    t = trace(
        "profile-997hz /pid == $1 && arg1/ { @a[usym(arg1)] = count(); @b[ustack(1)] = count(); }"
        "profile-997hz /pid == $1/ { @c[execname] = count(); }",
        workload.pid,
    )
    # How often a timer finds it depends on what else the machine does.
    end = time.monotonic() + PATIENCE
    while t.counts().get(3, {}).get("workload", 0) < 100:
        assert time.monotonic() < end
        workload.do("burn", 100)
    got = t.finish().counts()
    # time is told by the vDSO or the kernel, and the rest is burn_cpu's
    assert got[1].get("workload`burn_cpu", 0) > sum(got[1].values()) / 2
    mine = sum(n for frames, n in got[2].items() if frames[0].startswith("workload`burn_cpu"))
    assert mine > sum(got[2].values()) / 2
    assert set(got[3]) == {"workload"}


def test_profile_arguments(trace, workload):
    """arg0 is a kernel PC or 0, arg1 a user PC or 0; one of them is set."""
    t = trace(
        "profile-997hz /pid == $1/ { @[arg0 != 0, arg1 != 0] = count(); }",
        workload.pid,
    )
    workload.do("burn", 300)
    rows = t.finish().aggregations()[1]
    assert rows
    assert set(rows) <= {(0, 1), (1, 0)}
    assert rows.get((0, 1), 0) > 0


def test_rates_beyond_reason_are_refused(new_trace):
    import dtrace

    for rate in ("tick-0ms", "tick-x", "profile-10ns"):
        with pytest.raises(dtrace.DTraceError):
            new_trace().go(rate + " { trace(1); }")


def test_lateness(trace):
    """arg2: nanoseconds since the timer was due, less than its period."""
    t = trace(
        "profile-499hz { @least = min(arg2); @most = max(arg2); @n = count(); }"
        "profile-499hz /arg2/ { @late = count(); }"
        "tick-10ms { @tick = max(arg2); }"
        "tick-500ms { exit(0); }"
    ).to_exit()
    rows = t.aggregations()
    assert 0 <= rows[1][()] <= rows[2][()] < 1_000_000_000 // 499
    assert rows[4][()] > rows[3][()] / 2
    assert 0 < rows[5][()] < 10_000_000
