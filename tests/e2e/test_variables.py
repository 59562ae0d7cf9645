# SPDX-License-Identifier: Apache-2.0
"""Global, thread-local, clause-local and associative variables."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.kernel


def test_latency_by_self(watch):
    t = watch(
        "syscall::clock_nanosleep:entry /pid == $1/ { self->ts = timestamp; }"
        "syscall::clock_nanosleep:return /self->ts/ { trace(timestamp - self->ts); self->ts = 0; }"
        'syscall::getppid:entry /pid == $1 && self->ts/ { trace("not freed"); }',
        ("sleep", 5, 10),
        ("getppid", 1),
    )
    assert len(t.data) == 5
    assert all(10_000_000 <= ns < 2_000_000_000 for ns in t.data)


def test_self_is_per_thread(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { self->n++; @[tid] = max(self->n); }",
        ("threads", 6, 200),
    )
    counts = list(t.aggregations()[1].values())
    assert len(counts) == 6 and max(counts) <= 200
    assert sum(counts) >= 1200 - t.missed


def test_self_survives_other_probes(watch):
    t = watch(
        "syscall::openat:entry /pid == $1/ { self->path = copyinstr(arg1); }"
        "syscall::openat:return /pid == $1/ { trace(self->path); self->path = 0; }"
        'syscall::getppid:entry /pid == $1/ { trace(self->path == "" ? "empty" : "full"); }',
        ("open", 1, "/dev/null"),
        ("open", 1, "/dev/zero"),
        ("getppid", 1),
    )
    assert t.data == ["/dev/null", "/dev/zero", "empty"]


def test_this_is_per_firing(watch):
    t = watch(
        'syscall::getppid:entry /pid == $1/ { this->a = ++n; this->s = "x"; }'
        "syscall::getppid:entry /pid == $1/ { trace(this->a * 10); trace(this->s); }",
        ("getppid", 3),
    )
    assert t.data == [10, "x", 20, "x", 30, "x"]


def test_globals(watch):
    t = watch(
        'int total; string last; BEGIN { total = 100; last = "none"; }'
        "syscall::getppid:entry /pid == $1/ { total += 7; }"
        "syscall::openat:entry /pid == $1/ { last = copyinstr(arg1); }"
        "END { trace(total); trace(last); }",
        ("getppid", 6),
        ("open", 1, "/dev/null"),
    )
    assert t.data == [142, "/dev/null"]


def test_associative_by_number(watch):
    t = watch(
        "syscall::read:entry /pid == $1/ { sizes[arg2]++; }"
        "END { trace(sizes[100]); trace(sizes[200]); trace(sizes[300]); }",
        ("read", 4, 100),
        ("read", 5, 200),
    )
    assert t.data == [4, 5, 0]


def test_associative_by_string_and_number(watch):
    t = watch(
        "syscall::openat:entry /pid == $1/ { n[copyinstr(arg1), pid]++; }"
        'END { trace(n["/dev/null", $1]); trace(n["/dev/zero", $1]); trace(n["/dev/null", 1]); }',
        ("open", 2, "/dev/null"),
        ("open", 3, "/dev/zero"),
    )
    assert t.data == [2, 3, 0]


def test_associative_holds_strings(watch):
    t = watch(
        "syscall::openat:entry /pid == $1/ { name[tid] = copyinstr(arg1); }"
        "syscall::openat:return /pid == $1/ { trace(name[tid]); name[tid] = 0; }",
        ("open", 1, "/dev/null"),
    )
    assert t.data == ["/dev/null"]


def test_zero_frees(watch):
    """Ten thousand keys, one at a time, through a table that holds some dozens."""
    t = watch(
        "syscall::getppid:entry /pid == $1/ { k[++n] = 1; }"
        "syscall::getppid:return /pid == $1 && k[n]/ { k[n] = 0; @ = count(); }",
        ("nested", 10000),
        dynvarsize="16k",
    )
    assert t.drops == []
    assert t.aggregations() == {1: {(): 10000}}


def test_self_array(watch):
    t = watch(
        "syscall::read:entry /pid == $1/ { self->by[arg2] += arg2; }"
        "syscall::getppid:entry /pid == $1/ { trace(self->by[10]); trace(self->by[20]); }",
        ("read", 3, 10),
        ("read", 2, 20),
        ("getppid", 1),
    )
    assert t.data == [30, 40]


def test_integer_types(watch):
    t = watch(
        "uint8_t small; int16_t neg; uint64_t big;"
        "syscall::getppid:entry /pid == $1/ { small = 300; neg = -2; big = -1;"
        " trace(small); trace(neg); trace(big); trace((int)big); trace((unsigned char)neg); }",
        ("getppid", 1),
    )
    assert t.data == [44, -2, 2**64 - 1, -1, 254]
