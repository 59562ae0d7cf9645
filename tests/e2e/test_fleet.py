# SPDX-License-Identifier: Apache-2.0
"""A program on all workers of a local Dask cluster."""

from __future__ import annotations

import math
import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

import dtrace
from dtrace import Distribution

distributed = pytest.importorskip("distributed")

from dtrace import fleet  # noqa: E402

pytestmark = pytest.mark.slow

NUMBERS = """
BEGIN
{
    @n = count(); @sum = sum($pid); @least = min($pid); @most = max($pid); @avg = avg($pid);
    @dev = stddev($pid); @q = quantize($pid); @l = lquantize($pid, 0, 10000000, 1000);
    @by[$pid] = count(); trace($pid);
}
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(3)
        yield client


def test_merging_is_exact(client: Any) -> None:
    pids = list(client.run(os.getpid).values())
    with fleet.Fleet(client, NUMBERS, per="worker") as f:
        s = f.snapshot()
        assert len(f.hosts) == 3 and not f.failures and not f.done
        assert sorted(e.event.values[0] for e in f.events()) == sorted(pids)
        assert f.events() == []
    assert s["n"].value == 3 and s["sum"].value == sum(pids)
    assert s["least"].value == min(pids) and s["most"].value == max(pids)
    assert s["avg"].value == sum(pids) / 3
    assert s["dev"].value == pytest.approx(math.sqrt(statistics.pvariance(pids)))
    assert s["by"] == {(pid,): 1 for pid in pids}
    expected: dict[tuple[int, int], int] = {}
    for pid in pids:
        low = 1 << (pid.bit_length() - 1)
        expected[low, 2 * low - 1] = expected.get((low, 2 * low - 1), 0) + 1
    assert s["q"].value == Distribution("quantize", (), expected)
    assert s["l"].value.total == 3


def test_one_session_per_host(client: Any) -> None:
    with fleet.Fleet(client, "BEGIN { @n = count() } END { @end = count() }") as f:
        assert len(f.hosts) == 1
        assert f.snapshot()["n"].value == 1
        last = f.stop()
        assert last["end"].value == 1 and f.done
        assert f.stop() == last


def test_snapshots_until_the_end(client: Any) -> None:
    program = (
        "tick-10ms { @n = count() }"
        f"syscall::getppid:entry /pid == {os.getpid()}/ {{ exit(0) }}"  # all are on this machine
    )
    totals = []
    with fleet.Fleet(client, program, per="worker") as f:
        for s in f.snapshots(0.1):
            totals.append(s["n"].value)
            if len(totals) > 1 and totals[-1] > 3:
                os.getppid()
        assert f.done
    assert totals == sorted(totals) and totals[-1] > 3


def test_run_for_some_time(client: Any) -> None:
    start = time.monotonic()
    s = fleet.run(client, "tick-10ms { @n = count() }", 0.3, per="worker")
    assert 0.3 < time.monotonic() - start < 30
    assert s["n"].value > 3


def test_faults_are_told(client: Any) -> None:
    with fleet.Fleet(client, "BEGIN { trace(*(int *)0) }") as f:
        f.snapshot()
        ((host, fault),) = f.faults
        assert host in f.hosts and fault.fault == 1


def test_no_host_can(client: Any) -> None:
    with pytest.raises(fleet.FleetError, match="no host can trace") as e:
        fleet.Fleet(client, "this is not D", per="worker").start()
    assert len(e.value.failures) == 3
    assert all(isinstance(x, dtrace.CompileError) for x in e.value.failures.values())
    with pytest.raises(ValueError, match="not in the cluster: nowhere"):
        fleet.Fleet(client, NUMBERS, only=["nowhere"])
    with pytest.raises(ValueError, match="per must be"):
        fleet.Fleet(client, NUMBERS, per="planet")  # type: ignore[arg-type]


def test_a_host_that_dies(client: Any) -> None:
    pids = client.run(os.getpid)
    heard: list[str] = []
    with fleet.Fleet(
        client,
        "BEGIN { @by[$pid] = count() } tick-10ms { @n = count() }",
        per="worker",
        patience=20,
        on_failure=lambda host, e: heard.append(host),
    ) as f:
        before = f.snapshot()
        victim = f.hosts[0]
        os.kill(pids[victim], signal.SIGKILL)
        after = f.snapshot()
        while after["n"].value == before["n"].value:
            time.sleep(0.01)
            after = f.snapshot()
        assert list(f.failures) == heard == [victim] and len(f.hosts) == 2
        assert after["by"] == before["by"] == {(pid,): 1 for pid in pids.values()}
        assert after["n"].value > before["n"].value
        assert len(f.stop()["by"]) == 3
