# SPDX-License-Identifier: Apache-2.0
"""All nine aggregating functions, and keys of every kind."""

from __future__ import annotations

import math
import statistics

import pytest

pytestmark = pytest.mark.kernel

MIN, MAX = -(2**63), 2**63 - 1
# Descriptors below 3 are those that the child gets its commands by.
READ = "syscall::read:entry /pid == $1 && arg0 > 2/ "
SIZES = [1, 2, 3, 4, 100, 100, 1000]


def reads(*sizes: int) -> list[tuple[object, ...]]:
    return [("read", 1, size) for size in sizes]


def test_plain_functions(watch):
    t = watch(
        READ + "{ @a = count(); @b = sum(arg2); @c = min(arg2); @d = max(arg2); @e = avg(arg2);"
        " @f = stddev(arg2); @g = sum(-arg2); @h = min(-arg2); @i = max(-arg2); }",
        *reads(*SIZES),
    )
    got = {varid: rows[()] for varid, rows in t.aggregations().items()}
    assert got[1] == len(SIZES)
    assert got[2] == sum(SIZES)
    assert got[3] == min(SIZES)
    assert got[4] == max(SIZES)
    assert math.isclose(got[5], statistics.fmean(SIZES), rel_tol=0.01)
    assert math.isclose(got[6], statistics.pstdev(SIZES), rel_tol=0.01)
    assert got[7] == -sum(SIZES)
    assert got[8] == -max(SIZES)
    assert got[9] == -min(SIZES)


def test_a_value_of_zero_is_a_value(watch):
    t = watch(
        READ + "{ @a = sum(0); @b[7] = sum(0); @c = min(0); @d = max(0); @e = avg(0); }", *reads(1)
    )
    assert t.aggregations() == {1: {(): 0}, 2: {7: 0}, 3: {(): 0}, 4: {(): 0}, 5: {(): 0.0}}


def test_no_value_is_no_row(watch):
    t = watch(READ + "{ @a = sum(0); @b = count(); @c = min(0); @d[1] = max(0); }")
    assert t.aggregations() == {}


def test_quantize(watch):
    t = watch(READ + "{ @ = quantize(arg2); @n = quantize(-arg2); }", *reads(2, 4, 5, 8))
    assert t.aggregations() == {
        1: {(): [((2, 3), 1), ((4, 7), 2), ((8, 15), 1)]},
        2: {(): [((-15, -8), 1), ((-7, -4), 2), ((-3, -2), 1)]},
    }


def test_quantize_with_a_weight(watch):
    t = watch(READ + "{ @ = quantize(arg2, 3); }", *reads(2, 4, 5, 8))
    assert t.aggregations() == {1: {(): [((2, 3), 3), ((4, 7), 6), ((8, 15), 3)]}}


def test_lquantize(watch):
    t = watch(READ + "{ @ = lquantize(arg2, 3, 7, 3); }", *reads(2, 4, 5, 8))
    assert t.aggregations() == {1: {(): [((MIN, 2), 1), ((3, 5), 2), ((6, MAX), 1)]}}


def test_llquantize(watch):
    t = watch(READ + "{ @ = llquantize(arg2, 10, 0, 1, 20); }", *reads(1, 5, 11, 14, 99, 100))
    assert t.aggregations() == {
        1: {
            (): [
                ((1, 1), 1),
                ((5, 5), 1),
                ((10, 14), 2),
                ((95, 99), 1),
                ((100, MAX), 1),
            ]
        }
    }


def test_all_cpus_are_summed(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/"
        "{ @a = count(); @b = sum(3); @c = avg(4); @d = quantize(5); @e[cpu >= 0] = count(); }",
        ("threads", 8, 2500),
    )
    got = t.aggregations()
    n = got[1][()]
    assert 20000 - t.missed <= n <= 20000
    assert got == {
        1: {(): n},
        2: {(): 3 * n},
        3: {(): 4.0},
        4: {(): [((4, 7), n)]},
        5: {1: n},
    }


def test_keys(watch, workload):
    t = watch(
        "syscall::openat:entry /pid == $1/ {"
        " @a[pid] = count();"
        " @b[execname, pid, probefunc] = count();"
        " @c[copyinstr(arg1)] = count();"
        " @d[(char)-3, (unsigned short)65535, (int)-7, 1ULL << 63] = count();"
        ' @e["constant", probename, probeprov] = count();'
        " @f[arg2, copyinstr(arg1), -1] = count(); }",
        ("open", 3, "/dev/null"),
        ("open", 4, "/no"),
    )
    assert t.aggregations() == {
        1: {workload.pid: 7},
        2: {("workload", workload.pid, "openat"): 7},
        3: {"/dev/null": 3, "/no": 4},
        4: {(-3, 65535, -7, 2**63): 7},
        5: {("constant", "entry", "syscall"): 7},
        6: {(0, "/dev/null", -1): 3, (0, "/no", -1): 4},
    }


def test_stacks_and_symbols_as_keys(watch, trace, workload):
    t = trace(
        "syscall::getppid:entry /pid == $1/ {"
        " @a[ustack()] = count();"
        " @b[stack(3)] = count();"
        " @c[usym($2), umod($2)] = count();"
        " @d[ustack(1), execname] = count(); }",
        workload.pid,
        workload.do("address", "outer"),
    )
    workload.do("nested", 20)
    t.finish()
    got = t.aggregations()
    ((ustack, count),) = got[1].items()
    assert count == 20
    names = [frame.split("`")[1].split("+")[0] for frame in ustack if "`" in frame]
    assert names[:3] == ["inner", "middle", "outer"]
    ((stack, count),) = got[2].items()
    assert count == 20
    assert 1 <= len(stack) <= 3
    assert got[3] == {("workload`outer", "workload"): 20}
    (((top, name), count),) = got[4].items()
    assert (name, count) == ("workload", 20)
    assert len(top) == 1
    assert top[0].startswith("workload`inner")


def test_many_keys(watch):
    t = watch("syscall::getppid:entry /pid == $1/ { @[++n % 1000] = count(); }", ("nested", 5000))
    assert t.aggregations() == {1: dict.fromkeys(range(1000), 5)}


def test_walk_removes_what_it_walked(trace, workload):
    t = trace("syscall::getppid:entry /pid == $1/ { @[pid] = count(); }", workload.pid)
    workload.do("getppid", 5)
    assert t.aggregations() == {1: {workload.pid: 5}}
    assert t.aggregations() == {}
    workload.do("getppid", 2)
    assert t.aggregations() == {1: {workload.pid: 2}}


def test_counts_are_exact_while_being_read(trace, workload):
    """Nothing is lost or counted twice between snapshots."""
    t = trace(
        "syscall::getppid:entry /pid == $1/ { @a = count(); @b[tid] = count(); }", workload.pid
    )
    totals = {1: 0, 2: 0}
    for _ in range(20):
        workload.tell("threads", 4, 500)
        for _ in range(3):
            for varid, rows in t.aggregations().items():
                totals[varid] += sum(rows.values())
        workload.answer()
    t.finish()
    for varid, rows in t.aggregations().items():
        totals[varid] += sum(rows.values())
    assert totals[1] == totals[2]
    assert 40000 - t.missed <= totals[1] <= 40000


def test_clear_trunc_normalize(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { @a[1] = count(); @b[++n] = sum(n); @c = sum(100); }"
        'END { clear(@a); trunc(@b, 2); normalize(@c, 10); printa("%d %@d;", @b); '
        'printa("%@d", @c); }',
        ("getppid", 5),
    )
    text = "".join(t.data)
    assert text.replace(" ", "").replace("\n", "") == "44;55;50"
    assert t.aggregations()[1] == {1: 0}


def test_aggregations_of_several_probes(watch):
    t = watch(
        "syscall::getppid:entry, syscall::getppid:return, syscall::openat:entry /pid == $1/"
        "{ @[probefunc, probename] = count(); }",
        ("getppid", 3),
        ("open", 2, "/dev/null"),
    )
    assert t.aggregations() == {
        1: {("getppid", "entry"): 3, ("getppid", "return"): 3, ("openat", "entry"): 2}
    }
