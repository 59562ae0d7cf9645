# SPDX-License-Identifier: Apache-2.0
"""Distributions: ranges, arithmetic, percentiles, pictures."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dtrace import Distribution
from dtrace._distribution import LEAST, MOST, Kind, buckets, unpack

SHAPES: list[tuple[Kind, tuple[int, ...]]] = [
    ("quantize", ()),
    ("lquantize", (-10, 5, 7)),
    ("lquantize", (3, 3, 1)),
    ("llquantize", (10, 0, 1, 20)),
    ("llquantize", (10, 2, 3, 10)),
    ("llquantize", (2, 0, 10, 4)),
]


def of(
    values: list[int], kind: Kind = "quantize", parameters: tuple[int, ...] = ()
) -> Distribution:
    counts: dict[tuple[int, int], int] = {}
    for v in values:
        r = next(r for r in buckets(kind, parameters) if v <= r[1])
        counts[r] = counts.get(r, 0) + 1
    return Distribution(kind, parameters, counts)


@pytest.mark.parametrize(("kind", "parameters"), SHAPES)
def test_ranges_follow_each_other(kind: Kind, parameters: tuple[int, ...]) -> None:
    ranges = buckets(kind, parameters)
    for (_, high), (low, _) in pairwise(ranges):
        assert low == high + 1
    assert ranges[-1][1] == MOST
    assert ranges[0][0] == (0 if kind == "llquantize" else LEAST)


def test_ranges_of_quantize() -> None:
    ranges = buckets("quantize", ())
    assert len(ranges) == 127
    assert ranges[63] == (0, 0)
    assert ranges[62] == (-1, -1) and ranges[61] == (-3, -2)
    assert ranges[64] == (1, 1) and ranges[65] == (2, 3)


def test_ranges_of_the_others() -> None:
    assert buckets("lquantize", (3, 3, 1)) == ((LEAST, 2), (3, 5), (6, MOST))
    log = buckets("llquantize", (10, 0, 1, 20))
    assert log[0] == (0, 0) and log[1:10] == tuple((n, n) for n in range(1, 10))
    assert log[10:12] == ((10, 14), (15, 19)) and log[-1] == (100, MOST)


def test_parameters_of_words() -> None:
    assert unpack("lquantize", 3 << 48 | 7 << 32 | 0xFFFFFFF6) == (-10, 3, 7)
    assert unpack("llquantize", 10 << 48 | 2 << 32 | 3 << 16 | 20) == (10, 2, 3, 20)


def test_it_is_a_sequence_of_rows() -> None:
    d = of([5, 2, 4, 8])
    assert list(d) == [((2, 3), 1), ((4, 7), 2), ((8, 15), 1)]
    assert len(d) == 3 and d.total == 4 and d[6] == 2 and d[1000] == 0
    assert d.counts == {(2, 3): 1, (4, 7): 2, (8, 15): 1}
    assert not Distribution() and d


def test_adding_and_subtracting() -> None:
    rng = random.Random(7)
    a = [rng.randrange(-1000, 1000) for _ in range(300)]
    b = [rng.randrange(-100000, 1000) for _ in range(300)]
    for kind, parameters in SHAPES:
        if kind == "llquantize":
            x, y = [abs(v) for v in a], [abs(v) for v in b]
        else:
            x, y = a, b
        both = of(x + y, kind, parameters)
        assert of(x, kind, parameters) + of(y, kind, parameters) == both
        assert both - of(x, kind, parameters) == of(y, kind, parameters)
    assert hash(of([1, 2])) == hash(of([2, 1]))


def test_only_alike_ones_can_be_added() -> None:
    with pytest.raises(ValueError, match=r"distributions differ: quantize\(x\) and lquantize"):
        of([1]) + of([1], "lquantize", (0, 1, 10))
    with pytest.raises(TypeError):
        of([1]) + 1  # type: ignore[operator]


def test_percentiles_of_steps() -> None:
    d = of(list(range(100)), "lquantize", (0, 1, 200))
    assert [d.percentile(p) for p in (0, 25, 50, 99, 100)] == [0, 24, 49, 98, 99]
    assert d.median == 49
    assert d.mean == 49.5


def test_percentiles_are_within_the_right_range() -> None:
    rng = random.Random(3)
    values = sorted(int(rng.lognormvariate(8, 2)) for _ in range(5000))
    d = of(values)
    for p in (1, 10, 50, 90, 99, 99.9):
        exact = values[int(p / 100 * (len(values) - 1))]
        assert exact / 2 <= d.percentile(p) <= exact * 2


def test_percentiles_of_what_has_none() -> None:
    with pytest.raises(ValueError, match="empty"):
        Distribution().percentile(50)
    with pytest.raises(ValueError, match="between 0 and 100"):
        of([1]).percentile(101)


def test_outermost_ranges_do_not_reach_infinity() -> None:
    d = of([-5, 5, 500], "lquantize", (0, 10, 10))
    assert d.percentiles([0, 100]) == [-1, 100]


def test_picture() -> None:
    assert of([1, 1, 2, 8]).draw().split("\n") == [
        "           value  ------------- Distribution ------------- count    ",
        "               0 |                                         0        ",
        "               1 |@@@@@@@@@@@@@@@@@@@@                     2        ",
        "               2 |@@@@@@@@@@                               1        ",
        "               4 |                                         0        ",
        "               8 |@@@@@@@@@@                               1        ",
        "              16 |                                         0        ",
    ]


def test_picture_of_ends_and_signs() -> None:
    d = of([-5, 5, 500], "lquantize", (0, 10, 10))
    assert str(d).split("\n")[1].split()[:2] == ["<", "0"]
    assert str(d).split("\n")[-1].split()[:2] == [">=", "100"]
    mixed = Distribution("quantize", (), {(1, 1): 2, (2, 3): -2})
    lines = mixed.draw().split("\n")
    assert lines[2] == "               1                     |@@@@@@@@@@           2        "
    assert lines[3] == "               2           @@@@@@@@@@|                     -2       "


def test_html() -> None:
    text = of([1, 2, 2])._repr_html_()
    assert text.count("<tr>") == 1 + 4 and "<td" in text and "width:100.0%" in text
