# SPDX-License-Identifier: Apache-2.0
"""Raw records and aggregations to Python objects, with a libdtrace that follows a script."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest
from conftest import started

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def records(module: ModuleType, *lines: str) -> list[Any]:
    script = "\n".join(["probe 5 syscall:vmlinux:read:entry", *lines])
    got: list[Any] = []
    consumer = started(module, script)
    consumer.consume(lambda probe, rec: got.append(rec))
    consumer.close()
    assert got[-1] is None
    return got[:-1]


def rows(module: ModuleType, *lines: str) -> list[tuple[int, list[Any], Any]]:
    got: list[tuple[int, list[Any], Any]] = []
    consumer = started(module, "\n".join(lines))
    consumer.aggwalk(lambda *row: got.append(row))
    consumer.close()
    return got


DATA = [
    ("int 1 -5", -5),
    ("int 2 -300", -300),
    ("int 4 -70000", -70000),
    ("int 8 -9223372036854775808", INT64_MIN),
    ("uint 1 255", 255),
    ("uint 2 65535", 65535),
    ("uint 4 4294967295", 2**32 - 1),
    ("uint 8 18446744073709551615", 2**64 - 1),
    ("ptr 18446744071562067968", 0xFFFFFFFF80000000),
    ("float 4 0.5", 0.5),
    ("float 8 -1e300", -1e300),
    ("str 16 hello", "hello"),
    ("str 16 grüße", "grüße"),
    ("str 3 hello", "hel"),
    ("str 8", ""),
    ("bytes 00ff41", b"\x00\xffA"),
    ("int 3 7", b"\x07\x00\x00"),
    ("tracemem 2 414243", b"AB"),
    ("tracemem 0 414243", b""),
    ("tracemem 99 414243", b"ABC"),
    ("stack 16 0 32", ["mod`sym10+0x1"]),
    ("stack 16 17", ["mod`sym10+0x1", "0x11"]),
    ("stack 0", []),
    ("ustack 7 16 32 0 48", ["exe7`f10+0x1", "exe7`f20+0x1"]),
    ("sym 16", "mod`sym10"),
    ("sym 17", "0x11"),
    ("mod 16", "mod"),
    ("mod 17", "<unknown>"),
    ("usym 3 16", "exe3`f10"),
    ("uaddr 3 16", "exe3`f10+0x1"),
    ("umod 3 16", "exe3"),
    ("printf count: 10%", "count: 10%"),
    ("printf grüße|1", "grüße|1"),
    ("printa one|two|three", "onetwothree"),
]


@pytest.mark.parametrize(("line", "value"), DATA)
def test_datum(fake: ModuleType, line: str, value: Any) -> None:
    got = records(fake, line)
    assert got == [value]
    assert type(got[0]) is type(value)


def test_the_order_is_kept(fake: ModuleType) -> None:
    lines = [line for line, _ in DATA[:25]]
    assert records(fake, *lines) == [value for _, value in DATA[:25]]


def test_nothing_to_show_is_left_out(fake: ModuleType) -> None:
    assert records(fake, "none", "int 4 1", "exit 3", "none") == [1]


def test_a_string_may_hold_any_bytes(fake: ModuleType) -> None:
    script = "probe 1 a:b:c:d\nstr 8 \udcff\udcfe"
    with pytest.raises(UnicodeEncodeError):
        fake.Consumer().strcompile(script)  # programs are text
    (text,) = records(fake, "printf " + "\xff")
    assert text == "\xff"


def test_a_long_symbol(fake: ModuleType) -> None:
    (text,) = records(fake, f"sym {0x1000}")
    assert len(text) == len("mod`sym") + 2000
    assert text.endswith("1000")


def test_data_beyond_the_record(fake: ModuleType) -> None:
    consumer = started(fake, "probe 1 a:b:c:d\npast")
    with pytest.raises(SystemError, match="beyond the end"):
        consumer.consume(print)


def test_a_libdtrace_that_does_not_tell_kinds(classic: ModuleType) -> None:
    got = records(classic, "int 4 -5", "uint 4 4294967295", "str 16 hello", "bytes 00ff41ff05")
    assert got == [-5, -1, "hello", ""]
    assert records(classic, "bytes 01ff41ff05") == [b"\x01\xffA\xff\x05"]
    assert records(classic, "stack 16", "sym 16") == [["mod`sym10+0x1"], "mod`sym10"]
    assert records(classic, "tracemem 2 414243") == [b"AB"]


def test_text_by_way_of_a_memory_file(classic: ModuleType) -> None:
    lines = [
        "printf one",
        "int 4 2",
        "printf three",
        "printf",
        "printa 4|5",
        "printf " + "x" * 5000,
    ]
    assert records(classic, *lines) == ["one", 2, "three", "45", "x" * 5000]


# ---- probes -------------------------------------------------------------------------------------


def test_the_probe(fake: ModuleType) -> None:
    got = []
    consumer = started(
        fake, "probe 5 syscall:vmlinux:read:entry 2\nint 4 1\nint 4 2\nprobe 1 dtrace:::BEGIN"
    )
    consumer.consume(lambda probe, rec: got.append((probe, rec)))
    read = {"provider": "syscall", "module": "vmlinux", "function": "read", "name": "entry"}
    begin = {"provider": "dtrace", "module": "", "function": "", "name": "BEGIN"}
    assert got == [(read, 1), (read, 2), (read, None)] * 2 + [(begin, None)]


def test_changing_the_probe_changes_no_other_firing(fake: ModuleType) -> None:
    seen = []

    def spoil(probe: dict[str, str], rec: Any) -> None:
        seen.append(dict(probe))
        if rec is None:
            probe.clear()

    consumer = started(fake, "probe 5 a:b:c:d 3\nint 4 1")
    consumer.consume(spoil)
    assert len(seen) == 6
    assert all(p == {"provider": "a", "module": "b", "function": "c", "name": "d"} for p in seen)


@pytest.mark.parametrize("probe_id", [0, 63, 64, 100000, 2**22, 2**32 - 1])
def test_any_probe_id(fake: ModuleType, probe_id: int) -> None:
    got = []
    consumer = started(fake, f"probe {probe_id} a:b:c:d 2\nint 4 1")
    consumer.consume(lambda probe, rec: got.append(probe["name"]))
    assert got == ["d"] * 4


# ---- aggregations -------------------------------------------------------------------------------

COUNT, MIN, MAX, AVG, SUM, STDDEV, QUANTIZE, LQUANTIZE, LLQUANTIZE = range(1, 10)


def value(module: ModuleType, function: int, words: list[int], normal: int = 1) -> Any:
    text = " ".join(map(str, words))
    ((_, _, v),) = rows(module, f"agg 1 {function} {normal}", f"words {text}")
    return v


def test_keys(fake: ModuleType) -> None:
    got = rows(
        fake, "agg 3 1", "str 8 foo", "str 8 bar", "int 4 9904", "int 8 -1", "stack 16", "words 7"
    )
    assert got == [(3, ["foo", "bar", 9904, -1, ["mod`sym10+0x1"]], 7)]
    assert rows(fake, "agg 1 1", "words 7") == [(1, [], 7)]


@pytest.mark.parametrize("function", [COUNT, MIN, MAX, SUM])
@pytest.mark.parametrize("number", [0, 1, -1, INT64_MIN, INT64_MAX])
def test_single_words(fake: ModuleType, function: int, number: int) -> None:
    assert value(fake, function, [number]) == number


def test_normalized(fake: ModuleType) -> None:
    assert value(fake, SUM, [-1999], 1000) == -1
    assert value(fake, AVG, [4, 10], 5) == 0.5
    assert value(fake, SUM, [INT64_MIN], -1) == INT64_MIN
    assert value(fake, SUM, [12], 0) == 12


def test_avg(fake: ModuleType) -> None:
    got = value(fake, AVG, [2, 31])
    assert got == 15.5 and type(got) is float
    assert value(fake, AVG, [0, 0]) == 0.0
    assert value(fake, AVG, [4, -10]) == -2.5


def stddev_words(numbers: list[int]) -> list[int]:
    squares = sum(n * n for n in numbers)
    return [len(numbers), sum(numbers), squares % 2**64, squares >> 64]


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 2, 3, 4],
        [5],
        [-7, 7],
        [0, 0],
        [10**9, 10**9 + 1, 10**9 + 2],
        [2**62, -(2**62)],
        [2**60 + 1, 2**60 + 2, 2**60 + 3],
    ],
)
def test_stddev(fake: ModuleType, numbers: list[int]) -> None:
    mean = sum(numbers) / len(numbers)
    exact = len(numbers) * sum(n * n for n in numbers) - sum(numbers) ** 2
    got = value(fake, STDDEV, stddev_words(numbers))
    assert type(got) is float
    assert got == pytest.approx(math.sqrt(exact / len(numbers) ** 2), rel=1e-12), mean


def test_stddev_of_nothing(fake: ModuleType) -> None:
    assert value(fake, STDDEV, [0, 0, 0, 0]) == 0.0
    assert value(fake, STDDEV, [2, 10, 0, 0]) == 0.0  # not possible, not a number


def quantize_bucket(n: int) -> int:
    if n == 0:
        return 63
    return 63 + n.bit_length() if n > 0 else 63 - (-n).bit_length()


def quantize_words(numbers: list[int]) -> list[int]:
    words = [0] * 127
    for n in numbers:
        words[quantize_bucket(n)] += 1
    return words


def test_quantize(fake: ModuleType) -> None:
    assert value(fake, QUANTIZE, quantize_words([2, 4, 5, 8])) == [
        ((2, 3), 1),
        ((4, 7), 2),
        ((8, 15), 1),
    ]
    assert value(fake, QUANTIZE, quantize_words(list(range(-32, 32)))) == [
        *[((-63, -32), 1), ((-31, -16), 16), ((-15, -8), 8), ((-7, -4), 4), ((-3, -2), 2)],
        *[((-1, -1), 1), ((0, 0), 1), ((1, 1), 1), ((2, 3), 2), ((4, 7), 4), ((8, 15), 8)],
        ((16, 31), 16),
    ]
    assert value(fake, QUANTIZE, [0] * 127) == []


def test_quantize_at_the_ends(fake: ModuleType) -> None:
    words = [0] * 127
    words[0], words[126] = 2, -3
    assert value(fake, QUANTIZE, words) == [((INT64_MIN, -(2**62)), 2), ((2**62, INT64_MAX), -3)]


def lquantize_words(numbers: list[int], base: int, limit: int, step: int) -> list[int]:
    levels = (limit - base) // step
    words = [0] * (levels + 2)
    for n in numbers:
        words[0 if n < base else min((n - base) // step, levels) + 1] += 1
    return [step << 48 | levels << 32 | base & 0xFFFFFFFF, *words]


def test_lquantize(fake: ModuleType) -> None:
    words = lquantize_words([2, 4, 5, 8], 3, 7, 3)
    assert value(fake, LQUANTIZE, words) == [
        ((INT64_MIN, 2), 1),
        ((3, 5), 2),
        ((6, INT64_MAX), 1),
    ]
    words = lquantize_words([-11, -10, -1, 9, 10], -10, 10, 5)
    assert value(fake, LQUANTIZE, words) == [
        *[((INT64_MIN, -11), 1), ((-10, -6), 1), ((-5, -1), 1), ((5, 9), 1), ((10, INT64_MAX), 1)]
    ]


def llquantize_bounds(factor: int, low: int, high: int, steps: int) -> list[int]:
    bounds, v = [], factor**low
    for order in range(low, high + 1):
        end = factor ** (order + 1)
        step = end // steps if end > steps else 1
        while v < end:
            bounds.append(v)
            v += step
    return [*bounds, factor ** (high + 1)]


def llquantize_words(numbers: list[int], factor: int, low: int, high: int, steps: int) -> list[int]:
    bounds = llquantize_bounds(factor, low, high, steps)
    words = [0] * (len(bounds) + 1)
    for n in numbers:
        words[sum(b <= n for b in bounds)] += 1
    return [factor << 48 | low << 32 | high << 16 | steps, *words]


def test_llquantize(fake: ModuleType) -> None:
    words = llquantize_words(list(range(101)), 10, 0, 1, 20)
    assert value(fake, LLQUANTIZE, words) == [
        *(((n, n), 1) for n in range(10)),
        *(((n, n + 4), 5) for n in range(10, 100, 5)),
        ((100, INT64_MAX), 1),
    ]
    words = llquantize_words(list(range(0, 10100, 50)), 10, 2, 3, 10)
    assert value(fake, LLQUANTIZE, words) == [
        ((0, 99), 2),
        *(((n, n + 99), 2) for n in range(100, 1000, 100)),
        *(((n, n + 999), 20) for n in range(1000, 10000, 1000)),
        ((10000, INT64_MAX), 2),
    ]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (STDDEV, [1, 2]),
        (LLQUANTIZE, [0, 0]),
        (LLQUANTIZE, [10 << 48 | 0 << 32 | 30 << 16 | 10, 0]),
        (LLQUANTIZE, [65535 << 48 | 9 << 32 | 9 << 16 | 65535, 0]),
    ],
)
def test_nonsense(fake: ModuleType, function: int, words: list[int]) -> None:
    with pytest.raises(SystemError):
        value(fake, function, words)


def test_missing_buckets_are_empty(fake: ModuleType) -> None:
    assert value(fake, LQUANTIZE, [1 << 48 | 100 << 32, 5]) == [((INT64_MIN, -1), 5)]
    assert value(fake, QUANTIZE, [0] * 65) == []


def test_an_unknown_function(fake: ModuleType) -> None:
    with pytest.raises(Exception, match="unsupported aggregating function"):
        value(fake, 77, [1])
