# SPDX-License-Identifier: Apache-2.0
"""Aggregations and snapshots as mappings, with made-up numbers."""

from __future__ import annotations

import copy
import io
import math
import pickle
import random
import statistics
from fractions import Fraction
from typing import Any

import pytest

from dtrace import Aggregation, Distribution, Snapshot


def counts(**rows: int) -> Aggregation:
    states = {(k,): n for k, n in rows.items()}
    return Aggregation("calls", "count", states, expressions=("execname",))


def test_keys_and_values() -> None:
    a = counts(bash=3, cat=5)
    assert a["bash"] == a[("bash",)] == 3
    assert dict(a) == {("bash",): 3, ("cat",): 5}
    assert a == {("bash",): 3, ("cat",): 5}
    assert "cat" in a and ("cat",) in a and "ls" not in a and [] not in a
    assert a.get("cat") == 5 and a.get("ls") is None and a.get("ls", 0) == 0
    assert list(a.keys()) == list(a) and list(a.values()) == [3, 5]
    assert (("cat",), 5) in a.items() and ("cat",) in a.keys()  # noqa: SIM118
    assert len(a) == 2 and list(a) == [("bash",), ("cat",)]
    with pytest.raises(KeyError, match="ls"):
        a["ls"]
    assert a.fields == ("execname",)
    assert a.top(1) == [(("cat",), 5)] and a.top(1, reverse=True) == [(("bash",), 3)]
    assert a.total() == 8


def test_without_keys() -> None:
    assert Aggregation("n", "count", {(): 7}).value == 7
    assert Aggregation("n", "count").value == 0
    assert Aggregation("n", "min").value is None
    assert Aggregation("n", "quantize").value == Distribution()
    with pytest.raises(TypeError, match="has keys"):
        _ = counts(bash=1).value


def test_stack_as_key() -> None:
    stack = ("a`f", "a`main")
    a = Aggregation("s", "count", {(stack,): 2})
    assert a[(stack,)] == 2 and a[stack] == 2


def merged_of(function: str, parts: list[list[int]]) -> Aggregation:
    def state(values: list[int]) -> Any:
        squares = sum(v * v for v in values)
        return {
            "count": len(values),
            "sum": sum(values),
            "min": min(values),
            "max": max(values),
            "avg": (len(values), sum(values)),
            "stddev": (len(values), sum(values), squares),
        }[function]

    first, *rest = [Aggregation("a", function, {("k",): state(p)}) for p in parts]
    for other in rest:
        first = first + other
    return first


@pytest.mark.parametrize("function", ["count", "sum", "min", "max", "avg", "stddev"])
def test_merging_is_exact(function: str) -> None:
    rng = random.Random(11)
    size = 2**40
    parts = [[rng.randrange(-size, size) for _ in range(rng.randrange(1, 50))] for _ in range(9)]
    values = [v for p in parts for v in p]
    exact = {
        "count": len(values),
        "sum": sum(values),
        "min": min(values),
        "max": max(values),
        "avg": sum(values) / len(values),
        "stddev": math.sqrt(statistics.pvariance(map(Fraction, values))),
    }[function]
    assert merged_of(function, parts)["k"] == pytest.approx(exact, rel=1e-15)


def test_merging_keys() -> None:
    assert counts(a=1, b=2) + counts(b=3, c=4) == {("a",): 1, ("b",): 5, ("c",): 4}
    with pytest.raises(ValueError, match="differ"):
        counts(a=1) + Aggregation("calls", "sum", {("a",): 1})


def test_what_was_counted_in_between() -> None:
    later = counts(a=5, b=2, c=1)
    assert later - counts(a=3, b=2) == {("a",): 2, ("c",): 1}
    with pytest.raises(ValueError, match="in between"):
        Aggregation("m", "min", {(): 1}) - Aggregation("m", "min", {(): 1})
    averages = Aggregation("a", "avg", {(): (10, 100)}) - Aggregation("a", "avg", {(): (5, 90)})
    assert averages.value == 2.0


def test_normalized_values() -> None:
    a = Aggregation("n", "sum", {("x",): 1001, ("y",): -1001}, normals={("x",): 10, ("y",): 10})
    assert dict(a) == {("x",): 100, ("y",): -100}
    assert (a + a)["x"] == 200
    d = Distribution("quantize", (), {(1, 1): 25})
    n = Aggregation("n", "quantize", {("x",): d}, normals={("x",): 10})
    assert n["x"].counts == {(1, 1): 2}


def test_copies() -> None:
    a = counts(a=1, b=2)
    assert pickle.loads(pickle.dumps(a)) == a == copy.deepcopy(a)
    s = Snapshot([a])
    assert pickle.loads(pickle.dumps(s)) == s


def test_snapshots() -> None:
    s = Snapshot([counts(a=1), Aggregation("", "count", {(): 4})])
    assert s["calls"] == s["@calls"] and s[""].value == 4
    assert list(s) == ["calls", ""]
    with pytest.raises(KeyError, match="nothing"):
        s["nothing"]
    with pytest.raises(ValueError, match="2 aggregations"):
        _ = s.only
    assert (s + s)["calls"]["a"] == 2
    assert (s + Snapshot([counts(b=1)]))["calls"] == {("a",): 1, ("b",): 1}
    assert (s + s - s)[""].value == 4
    assert Snapshot([counts(a=1)]).only["a"] == 1


def test_unknown_function() -> None:
    with pytest.raises(ValueError, match="no such aggregating function"):
        Aggregation("a", "median")


HOSTILE = "<script>alert(1)</script>\x1b[31m\udc80"


def test_what_traced_programs_chose_is_harmless() -> None:
    a = Aggregation("calls", "count", {(HOSTILE,): 1}, expressions=("execname",))
    page = a._repr_html_() + Snapshot([a])._repr_html_()
    assert "<script>" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    page.encode()
    assert "\x1b" not in str(a)
    str(a).encode()


def test_text() -> None:
    assert str(counts(bash=3)).split() == ["bash", "3"]
    assert repr(counts(bash=3)) == "<Aggregation @calls[execname] = count() rows=1>"
    d = Aggregation("q", "quantize", {("x",): Distribution("quantize", (), {(1, 1): 2})})
    assert "Distribution" in str(d) and "@@@" in str(d)


def test_rich() -> None:
    console = pytest.importorskip("rich.console")
    d = Aggregation("q", "quantize", {("x",): Distribution("quantize", (), {(1, 1): 2})})
    hostile = counts(**{"[red]" + HOSTILE: 3})
    screen = console.Console(width=140, record=True, file=io.StringIO())
    screen.print(Snapshot([d, hostile]))
    text = screen.export_text()
    assert "@q" in text and "@@@" in text and "@calls" in text and "[red]<script>" in text
    assert "\x1b" not in text
