# SPDX-License-Identifier: Apache-2.0
"""Aggregations of the running kernel as Python values."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Run, own_name

pytestmark = pytest.mark.kernel

RunProgram = Callable[..., Run]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def statements(function: str, numbers: list[int], parameters: str = "") -> str:
    lines = "".join(f"@ = {function}({n}{parameters}); " for n in numbers)
    return f"BEGIN {{ {lines} exit(0) }}"


def value(run: RunProgram, function: str, numbers: list[int], parameters: str = "") -> Any:
    ((varid, key, v),) = run(statements(function, numbers, parameters)).aggregations()
    assert (varid, key) == (1, [])
    return v


def counted(run: RunProgram, numbers: range, function: str, parameters: str = "") -> Any:
    """Of many numbers, in clauses of some statements each."""
    clauses = []
    for start in range(0, len(numbers), 50):
        lines = "".join(f"@ = {function}({n}{parameters}); " for n in numbers[start : start + 50])
        clauses.append(f"BEGIN {{ {lines} }}")
    ((_, _, v),) = run(" ".join(clauses) + " BEGIN { exit(0) }").aggregations()
    return v


def test_keys(run: RunProgram) -> None:
    r = run('BEGIN { @["foo", "bar", 9904, 61707] = count(); exit(0) }')
    assert r.aggregations() == [(1, ["foo", "bar", 9904, 61707], 1)]
    assert r.aggregations() == []


def test_keys_of_all_kinds(run: RunProgram) -> None:
    r = run("BEGIN { @[execname, pid, probename, (char)-1, (uint8_t)255] = count(); exit(0) }")
    ((_, key, _),) = r.aggregations()
    assert key == [own_name(), os.getpid(), "BEGIN", -1, 255]


def test_variables_count_from_one(run: RunProgram) -> None:
    r = run("BEGIN { @a = sum(5); @b[1] = sum(6); @c = sum(7); exit(0) }")
    assert sorted(r.aggregations()) == [(1, [], 5), (2, [1], 6), (3, [], 7)]


@pytest.mark.parametrize(
    ("function", "numbers", "result"),
    [
        ("max", [10, 20], 20),
        ("min", [10, 20], 10),
        ("sum", [10, 20], 30),
        ("avg", [30, 1], 15.5),
        ("max", [-10, -20], -10),
        ("min", [-10, -20], -20),
        ("sum", [-10, -20], -30),
        ("avg", [-30, -1], -15.5),
        ("stddev", [1, 2, 3, 4, 5, 6], 1.707825127659933),
        ("stddev", [-5, 5], 5.0),
        ("stddev", [7], 0.0),
    ],
)
def test_numbers(run: RunProgram, function: str, numbers: list[int], result: float) -> None:
    got = value(run, function, numbers)
    assert got == pytest.approx(result)
    assert type(got) is type(result)


def test_count(run: RunProgram) -> None:
    r = run("BEGIN { @ = count(); @ = count(); exit(0) }")
    assert r.aggregations() == [(1, [], 2)]


def test_quantize(run: RunProgram) -> None:
    assert value(run, "quantize", [2, 4, 5, 8]) == [((2, 3), 1), ((4, 7), 2), ((8, 15), 1)]
    assert counted(run, range(-32, 32), "quantize") == [
        *[((-63, -32), 1), ((-31, -16), 16), ((-15, -8), 8), ((-7, -4), 4), ((-3, -2), 2)],
        *[((-1, -1), 1), ((0, 0), 1), ((1, 1), 1), ((2, 3), 2), ((4, 7), 4), ((8, 15), 8)],
        ((16, 31), 16),
    ]


def test_lquantize(run: RunProgram) -> None:
    assert value(run, "lquantize", [2, 4, 5, 8], ", 3, 7, 3") == [
        ((INT64_MIN, 2), 1),
        ((3, 5), 2),
        ((6, INT64_MAX), 1),
    ]
    assert counted(run, range(-5, 15), "lquantize", ", 0, 10, 2") == [
        ((INT64_MIN, -1), 5),
        *(((n, n + 1), 2) for n in range(0, 10, 2)),
        ((10, INT64_MAX), 5),
    ]


def test_llquantize(run: RunProgram) -> None:
    assert counted(run, range(101), "llquantize", ", 10, 0, 1, 20") == [
        *(((n, n), 1) for n in range(10)),
        *(((n, n + 4), 5) for n in range(10, 100, 5)),
        ((100, INT64_MAX), 1),
    ]
    assert counted(run, range(0, 10100, 50), "llquantize", ", 10, 2, 3, 10") == [
        ((0, 99), 2),
        *(((n, n + 99), 2) for n in range(100, 1000, 100)),
        *(((n, n + 999), 20) for n in range(1000, 10000, 1000)),
        ((10000, INT64_MAX), 2),
    ]


def test_distributions_by_key(run: RunProgram) -> None:
    r = run('BEGIN { @["a"] = quantize(1); @["b"] = quantize(2); @["a"] = quantize(1); exit(0) }')
    rows = sorted((key, v) for _, key, v in r.aggregations())
    assert rows == [(["a"], [((1, 1), 2)]), (["b"], [((2, 3), 1)])]


def test_aggclear(run: RunProgram) -> None:
    r = run(f"syscall::getppid:entry /pid == {os.getpid()}/ {{ @ = count() }}", finish=False)
    os.getppid()
    r.consumer.aggclear()
    os.getppid()
    os.getppid()
    assert r.aggregations() == [(1, [], 2)]
    os.getppid()
    assert r.aggregations() == [(1, [], 1)]


def test_a_walk_while_tracing(run: RunProgram) -> None:
    r = run(f"syscall::getppid:entry /pid == {os.getpid()}/ {{ @[pid] = count() }}", finish=False)
    total = 0
    for _ in range(20):
        for _ in range(100):
            os.getppid()
        total += sum(v for _, _, v in r.aggregations())
    assert total == 2000


def test_an_exception_in_the_callback(run: RunProgram) -> None:
    r = run("BEGIN { @[1] = count(); @[2] = count(); exit(0) }")

    def fail(*row: Any) -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        r.consumer.aggwalk(fail)
    assert len(r.aggregations()) in (1, 2)


def test_normalize(run: RunProgram) -> None:
    r = run("BEGIN { @ = sum(1999); normalize(@, 1000); exit(0) }")
    assert r.aggregations() == [(1, [], 1)]


def test_aggwalk_inside_consume(run: RunProgram) -> None:
    r = run('BEGIN { @["k"] = sum(3); trace(1) }', finish=False)
    rows: list[Any] = []
    r.consumer.consume(
        lambda probe, rec: r.consumer.aggwalk(lambda *row: rows.append(row)) if rec == 1 else None
    )
    assert rows == [(1, ["k"], 3)]


@pytest.mark.slow
def test_many_keys(run: RunProgram) -> None:
    pid = os.getpid()
    r = run(
        f"int n; syscall::getppid:entry /pid == {pid}/ {{ @[n++] = count() }}",
        finish=False,
        aggsize="64m",
    )
    for _ in range(100000):
        os.getppid()
    rows = r.aggregations()
    assert sorted(key[0] for _, key, _ in rows) == list(range(100000))
    assert all(v == 1 for _, _, v in rows)
    assert r.aggregations() == []
