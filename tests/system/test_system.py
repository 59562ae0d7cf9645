# SPDX-License-Identifier: Apache-2.0
"""The classic consumer on a system's libdtrace.  script/system-engine runs this where there is one.

Opening a handle takes that library seconds under emulation, so a test does several things with one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import dtrace

pytestmark = pytest.mark.skipif(
    os.environ.get("PYDTRACE_ENGINE") != "system", reason="for script/system-engine"
)


@pytest.fixture
def consumer() -> Iterator[dtrace.DTraceConsumer]:
    with dtrace.DTraceConsumer() as c:
        yield c


def drain(c: dtrace.DTraceConsumer, seconds: float = 60) -> list[tuple[str, Any]]:
    """All records until the program exits."""
    got: list[tuple[str, Any]] = []
    end = time.monotonic() + seconds
    while not c.consume(lambda probe, rec: got.append((probe["name"], rec))):
        assert time.monotonic() < end, got
        c.sleep(0.1)
    return got


def test_engine_is_the_system_s(consumer: dtrace.DTraceConsumer) -> None:
    assert consumer.engine == "system"
    assert "D " in consumer.version()
    with pytest.raises(dtrace.DTraceError):
        consumer.setopt("no_such_option", "1")
    with pytest.raises(dtrace.CompileError) as error:
        consumer.strcompile("BEGIN { nonsense; }")
    assert "nonsense" in error.value.message


def test_records(consumer: dtrace.DTraceConsumer) -> None:
    consumer.setopt("quiet")
    consumer.strcompile(
        'BEGIN { trace(9904); trace("text"); printf("%s:%d", "formatted", 7); exit(3); }'
        ' END { trace("the end"); }'
    )
    consumer.go()
    with pytest.raises(dtrace.DTraceError):
        consumer.go()
    got = drain(consumer)
    begin = [rec for name, rec in got if name == "BEGIN"]
    assert begin == [9904, "text", "formatted:7", None]
    assert [rec for name, rec in got if name == "END"] == ["the end", None]
    assert consumer.exit_status == 3


def test_aggregations(consumer: dtrace.DTraceConsumer) -> None:
    consumer.strcompile(
        """BEGIN {
        @one["key", 1] = count(); @two = sum(3); @two = sum(4); @three = avg(30); @three = avg(1);
        @four = min(5); @four = min(4); @five = max(5); @five = max(9);
        @six = quantize(-3); @six = quantize(0); @six = quantize(5);
        @seven = lquantize(2, 3, 7, 3); @seven = lquantize(4, 3, 7, 3); @seven = lquantize(8, 3, 7, 3);
        @eight = llquantize(-5, 10, 0, 1, 20); @eight = llquantize(0, 10, 0, 1, 20);
        @eight = llquantize(5, 10, 0, 1, 20); @eight = llquantize(42, 10, 0, 1, 20);
        @eight = llquantize(1000, 10, 0, 1, 20); @eight = llquantize(-1000, 10, 0, 1, 20);
        @nine = stddev(2); @nine = stddev(4); exit(0); }"""
    )
    consumer.go()
    drain(consumer)
    rows: dict[int, tuple[list[Any], Any]] = {}
    consumer.aggwalk(lambda varid, key, value: rows.update({varid: (key, value)}))
    lowest, highest = consumer.aggmin(), consumer.aggmax()
    assert [rows[varid] for varid in sorted(rows)] == [
        (["key", 1], 1),
        ([], 7),
        ([], 15.5),
        ([], 4),
        ([], 9),
        ([], [((-3, -2), 1), ((0, 0), 1), ((4, 7), 1)]),
        ([], [((lowest, 2), 1), ((3, 5), 1), ((6, highest), 1)]),
        (
            [],
            # the classic encoding has one bucket for all that is below
            [
                ((0, 0), 3),
                ((5, 5), 1),
                ((40, 44), 1),
                ((100, highest), 1),
            ],
        ),
        ([], 1.0),
    ]
    again: list[Any] = []
    consumer.aggwalk(lambda *row: again.append(row))
    assert again == []


def test_kernel_probes(consumer: dtrace.DTraceConsumer) -> None:
    consumer.strcompile(
        f"syscall::getppid:entry /pid == {os.getpid()}/ {{ @[probefunc, execname] = count(); }}"
        f" syscall::getppid:return /pid == {os.getpid()}/ {{ @s[stack(3)] = count(); }}"
    )
    consumer.go()
    for _ in range(20):
        os.getppid()
    time.sleep(1)
    consumer.stop()
    rows: list[Any] = []
    consumer.aggwalk(lambda *row: rows.append(row))
    assert [r[1:] for r in rows if r[0] == 1] == [(["getppid", "python3"], 20)]
    stacks = [r for r in rows if r[0] == 2]
    assert sum(r[2] for r in stacks) == 20
    assert all(isinstance(frame, str) for r in stacks for frame in r[1][0])


def command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dtrace", *args], capture_output=True, text=True, timeout=300
    )


def test_the_command_line() -> None:
    done = command("-qn", 'BEGIN { printf("%s\\n", "from here"); exit(4); }')
    assert (done.returncode, done.stdout) == (4, "from here\n\n"), done.stderr
    done = command("-n", "BEGIN { @a[1] = sum(2); exit(0); }")
    assert "matched 1 probe" in done.stdout + done.stderr
    assert done.stdout.split()[-2:] == ["1", "2"]
    done = command("-l", "-n", "dtrace:::BEGIN")
    assert done.stdout.split()[-2:] == ["dtrace", "BEGIN"], done
