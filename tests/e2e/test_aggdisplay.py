# SPDX-License-Identifier: Apache-2.0
"""How aggregations are printed: the options agghist, aggpack, aggzoom, aggpercpu, and sorting."""

from __future__ import annotations

import os
import time

import pytest

pytestmark = pytest.mark.kernel

BAR = "------------- Distribution -------------"


def printed(new_trace, tmp_path, text, **options):
    """What printa() in END writes."""
    out = tmp_path / "out"
    t = new_trace().go(text, quiet=True, **options)
    with out.open("wb") as f:
        while not t.consumer.write(f):
            time.sleep(0.005)
    assert t.faults == [] and t.drops == []
    return out.read_text().splitlines()


COUNTS = (
    'BEGIN { @["a"] = sum(10); @["bb"] = sum(20); @["the longest key"] = sum(10); '
    "printa(@); exit(0); }"
)


def test_agghist(new_trace, tmp_path):
    assert printed(new_trace, tmp_path, COUNTS, agghist=True) == [
        "",
        "",
        f"{'key':>16} {BAR:>41} count    ",
        f"{'a':>16} |{'@' * 10:40} 10       ",
        f"{'the longest key':>16} |{'@' * 10:40} 10       ",
        f"{'bb':>16} |{'@' * 20:40} 20       ",
    ]


def test_aggzoom(new_trace, tmp_path):
    lines = printed(new_trace, tmp_path, COUNTS, agghist=True, aggzoom=True)
    assert [line.count("@") for line in lines[3:]] == [19, 19, 38]
    lines = printed(
        new_trace,
        tmp_path,
        "BEGIN { @ = lquantize(1, 0, 5); @ = lquantize(1, 0, 5); @ = lquantize(3, 0, 5); "
        "@ = lquantize(4, 0, 5); printa(@); exit(0); }",
        aggzoom=True,
    )
    assert [line.count("@") for line in lines[3:-1]] == [0, 38, 0, 19, 19, 0][: len(lines) - 4]


def test_negative_values_in_a_histogram(new_trace, tmp_path):
    lines = printed(
        new_trace,
        tmp_path,
        "BEGIN { @[1] = sum(-10); @[2] = sum(30); printa(@); exit(0); }",
        agghist=True,
    )
    assert lines[3:] == [
        f"{'1':>16} {'@' * 5:>20}|{'':20} -10      ",
        f"{'2':>16} {'':20}|{'@' * 15:20} 30       ",
    ]


def test_aggpack(new_trace, tmp_path):
    lines = printed(
        new_trace,
        tmp_path,
        "BEGIN { @[1] = quantize(1); @[1] = quantize(2); @[1] = quantize(2); @[2] = quantize(64); "
        "printa(@); exit(0); }",
        aggpack=True,
    )
    assert lines == [
        "",
        "",
        f"{'key':>16} min .---------. max | count",
        f"{'1':>16}   0 : xx      : 128 | 3",
        f"{'2':>16}   0 :       X : 128 | 1",
    ]


def test_aggpack_of_others(new_trace, tmp_path):
    lines = printed(
        new_trace,
        tmp_path,
        'BEGIN { @a["x", 5] = lquantize(3, 0, 10, 2); @b = llquantize(55, 10, 0, 2, 10); '
        "printa(@a); printa(@b); exit(0); }",
        aggpack=True,
    )
    assert lines[2].startswith("             key ")
    assert lines[3].lstrip().startswith("x 5 ")
    assert lines[3].count("X") == 1 and lines[3].endswith("| 1")
    assert lines[-1].count("X") == 1 and lines[-1].endswith("| 1")


def test_utf8(new_trace, tmp_path):
    lines = printed(new_trace, tmp_path, COUNTS, agghist=True, encoding="utf8")
    assert f"{'a':>16} |{chr(0x2588) * 10:40} 10       " in lines
    lines = printed(
        new_trace,
        tmp_path,
        "BEGIN { @[1] = quantize(1); printa(@); exit(0); }",
        aggpack=True,
        encoding="utf8",
    )
    assert lines[-1] == f"{'1':>16}   0 : {chr(0x2588)} : 2   | 1"


def test_keys_that_are_blocks_stay_as_they_are(new_trace, tmp_path):
    text = "BEGIN { @[ustack(1)] = count(); printa(@); exit(0); }"
    plain = printed(new_trace, tmp_path, text)
    assert printed(new_trace, tmp_path, text, agghist=True) == plain


@pytest.mark.parametrize(
    "func, values, total",
    [
        ("count()", [2, 3], 5),
        ("sum(1000 * (1 + !arg2))", [2000, 3000], 5000),
        ("max(arg2)", [100, 101], 101),
        ("min(arg2)", [100, 101], 100),
        ("avg(arg2)", [100, 101], 100),
        ("stddev(arg2)", [0, 0], 10),
    ],
)
def test_aggpercpu(new_trace, start_workload, tmp_path, func, values, total):
    cpus = sorted(os.sched_getaffinity(0))[:2]
    workload = start_workload()
    t = new_trace().go(
        "syscall::read:entry /pid == $1 && arg2 / 100 == 1/ { @a = " + func + "; "
        "@b[execname] = quantize(arg2); } END { printa(@a); printa(@b); }",
        workload.pid,
        quiet=True,
        aggpercpu=True,
    )
    for i, cpu in enumerate(cpus):
        os.sched_setaffinity(workload.pid, {cpu})
        workload.do("read", i + 2, 100 + i)
    t.consumer.stop()
    out = tmp_path / "out"
    with out.open("wb") as f:
        while not t.consumer.write(f):
            pass
    text = out.read_text()
    for value, cpu in zip(values, cpus, strict=False):
        assert f"\n    [CPU {cpu}] {value:16}\n" in text
        assert f"\n    [CPU {cpu}]\n           value " in text
    if len(cpus) == 2:
        assert f"\n {total:16}\n" in text


def test_clear_keeps_the_parts_in_step(new_trace, tmp_path):
    lines = printed(
        new_trace,
        tmp_path,
        "BEGIN { @ = sum(5); } tick-20ms /!i++/ { printa(@); clear(@); } "
        "tick-20ms /i == 2/ { printa(@); exit(0); }",
        aggpercpu=True,
    )
    assert lines[1].split() == ["5"]
    assert lines[2].split()[2:] == ["5"]
    assert lines[4:] == ["                0"]
