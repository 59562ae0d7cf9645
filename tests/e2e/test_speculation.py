# SPDX-License-Identifier: Apache-2.0
"""Speculation: data that shows only when it is committed, across clauses, threads and processors."""

from __future__ import annotations

import os

import pytest

import dtrace

pytestmark = pytest.mark.kernel

SPEC = dtrace.DropKind.SPECULATION
SPECBUSY = dtrace.DropKind.SPECULATION_BUSY
SPECUNAVAIL = dtrace.DropKind.SPECULATION_UNAVAILABLE


def dropped(t, kind):
    return sum(drop.drops for drop in t.drops if drop.kind == kind)


def begin(new_trace, text, **options):
    t = new_trace().go(text, **options)
    return t.to_exit()


def test_committed_data_shows(new_trace):
    t = begin(
        new_trace,
        "BEGIN { self->s = speculation(); }"
        'BEGIN { speculate(self->s); trace(1); printf("%s", "two"); }'
        "BEGIN { trace(0); }"
        "BEGIN { speculate(self->s); trace(3); }"
        "BEGIN { commit(self->s); }"
        "BEGIN { trace(4); exit(5); }",
    )
    assert t.data == [0, 1, "two", 3, 4]
    assert t.drops == []


def test_discarded_data_does_not(new_trace):
    t = begin(
        new_trace,
        "BEGIN { self->s = speculation(); speculate(self->s); trace(1); }"
        "BEGIN { discard(self->s); }"
        "BEGIN { commit(self->s); }"
        "BEGIN { speculate(self->s); trace(2); }"
        "BEGIN { trace(3); exit(0); }",
    )
    assert t.data == [3]
    assert t.drops == []


def test_a_free_identifier_is_used_again_at_once(new_trace):
    clause = "BEGIN { n = speculation(); speculate(n); trace(n); } BEGIN { %s(n); }"
    t = begin(
        new_trace,
        clause % "commit" + clause % "discard" + clause % "commit" + "BEGIN { exit(0); }",
    )
    assert t.data == [1, 1]
    assert t.drops == []


def test_identifiers(new_trace):
    t = begin(
        new_trace,
        "BEGIN { trace(speculation()); trace(speculation()); trace(speculation()); "
        "trace(speculation()); exit(0); }",
        nspec=3,
    )
    assert t.data == [1, 2, 3, 0]
    assert dropped(t, SPECUNAVAIL) == 1
    assert "no speculative buffer available" in t.drops[0].message


@pytest.mark.parametrize("n", [0, 1, 8, 9, 1000])
def test_number_of_speculations(new_trace, n):
    t = begin(
        new_trace,
        f"profile-997 {{ trace(speculation()); }} profile-997 /i++ == {n + 2}/ {{ exit(-1); }}",
        nspec=n,
        specsize="1k",
    )
    ids = [v for v in t.data if v > 0]
    assert sorted(ids) == list(range(1, n + 1))
    assert dropped(t, SPECUNAVAIL) >= 1


@pytest.mark.parametrize("id", ["0", "-1", "2", "99", "0x7fffffffffffffff"])
def test_what_is_no_identifier_is_ignored(new_trace, id):
    t = begin(
        new_trace,
        f"BEGIN {{ speculate({id}); trace(1); x = 1; }}"
        f"BEGIN {{ commit({id}); }} BEGIN {{ discard({id}); trace(x); exit(7); }}",
    )
    assert t.data == [0]  # the rest of the clause is not run
    assert t.faults == [] and t.drops == []


def test_threads_and_clauses(new_trace, workload):
    t = new_trace().go(
        "syscall::openat:entry /pid == $1/ { self->s = speculation(); speculate(self->s); "
        "trace(copyinstr(arg1)); }"
        "syscall::openat:entry /self->s/ { speculate(self->s); trace(++n); }"
        "syscall::openat:return /self->s && errno/ { commit(self->s); self->s = 0; }"
        "syscall::openat:return /self->s/ { discard(self->s); self->s = 0; }",
        workload.pid,
        nspec=4,
    )
    for _ in range(50):
        workload.do("open", 20, "/dev/null")
        workload.do("open", 1, "/nowhere")
    t.finish()
    assert t.drops == []
    assert t.data[::2] == ["/nowhere"] * 50
    assert t.data[1::2] == [21 * (i + 1) for i in range(50)]


def test_commit_with_a_reason(new_trace, workload):
    # What two processors have recorded takes the consumer to commit.
    os.sched_setaffinity(workload.pid, {min(os.sched_getaffinity(0))})
    t = new_trace().go(
        "syscall::getppid:entry /pid == $1/ { self->s = speculation(); speculate(self->s); "
        "trace(n++); }"
        "syscall::getppid:return /self->s/ { commit(self->s); self->s = 0; }",
        workload.pid,
        nspec=2,
    )
    workload.do("nested", 3000)
    t.finish()
    lost = dropped(t, SPECBUSY) + dropped(t, SPECUNAVAIL)
    assert t.data == sorted(t.data)
    assert len(t.data) + lost + t.missed >= 3000 - t.missed
    assert len(t.data) > 2900  # the same processor frees it at once


def test_processors(new_trace, awake):
    # Every processor speculates into one identifier; whoever commits makes all of it visible.
    t = new_trace().go(
        "BEGIN { s = speculation(); n[0] = ticks = done = 0; }"
        "profile-199 /s && n[cpu] < 5/ { speculate(s); trace(cpu); trace(timestamp); n[cpu]++; }"
        # on a machine in use, timers may be late
        "tick-20 /!done && (++ticks == 200 || (n[0] == 5 && n[1] == 5))/ { commit(s); done = 1; }"
        "tick-20 /done && done++ == 4/ { exit(0); }",
        quiet=True,
    )
    t.to_exit()
    cpus, times = t.data[::2], t.data[1::2]
    assert len(set(cpus)) > 1 or len(os.sched_getaffinity(0)) == 1
    assert all(cpus.count(c) == 5 for c in set(cpus))
    assert times == sorted(times)
    assert t.drops == []


def test_uncommitted_at_the_end(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); speculate(s); trace(1); } BEGIN { exit(0); } END { trace(2); }",
    )
    assert t.data == [2]


def test_committed_by_end(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); speculate(s); trace(1); } BEGIN { exit(0); } END { commit(s); }",
    )
    assert t.data == [1]


def test_specsize(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); } BEGIN { speculate(s); trace(1LL); }"
        "BEGIN { speculate(s); trace(2LL); } BEGIN { speculate(s); trace(3LL); }"
        "BEGIN { commit(s); } BEGIN { exit(0); }",
        specsize=64,
    )
    assert t.data == [1, 2]
    assert dropped(t, SPEC) == 1
    assert t.drops[0].message.startswith("1 speculative drop")


def test_more_than_the_ring_has_room_for(new_trace, workload):
    # The principal buffer is full of other records: what is committed is not lost.
    t = new_trace().go(
        "BEGIN { s = speculation(); n = 0; }"
        "syscall::getppid:entry /pid == $1 && n < 200/ { speculate(1); trace(n++); }"
        "syscall::read:entry /pid == $1 && arg2 == 77/ { trace(-1LL); }"
        "syscall::read:entry /pid == $1 && arg2 == 78/ { commit(1); }",
        workload.pid,
        bufsize="8k",
    )
    workload.do("nested", 200)
    workload.do("read", 1000, 77)
    workload.do("read", 1, 78)
    t.finish()
    assert [v for v in t.data if v >= 0] == list(range(200))
    assert dropped(t, dtrace.DropKind.PRINCIPAL) > 0


def test_a_large_speculation(new_trace, workload):
    t = new_trace().go(
        "BEGIN { s = speculation(); }"
        "syscall::getppid:entry /pid == $1/ { speculate(s); trace(n++); }"
        "syscall::read:entry /pid == $1 && arg2 == 78/ { commit(s); }",
        workload.pid,
    )
    workload.do("nested", 20000)
    workload.do("read", 1, 78)
    t.until(lambda: len(t.data) + t.missed >= 20000)
    t.finish()
    assert t.data == sorted(t.data)


def test_faults_inside(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); } BEGIN { speculate(s); trace(1); trace(*(int *)8); }"
        "BEGIN { speculate(s); trace(2); } BEGIN { commit(s); } BEGIN { exit(0); }",
    )
    assert t.data == [2]
    assert len(t.faults) == 1


def test_conditions(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); }"
        "BEGIN { if (s) { speculate(s); trace(1); if (s > 5) { trace(2); } else { trace(3); } } "
        "trace(4); }"
        "BEGIN { if (s == 9) { commit(s); } else { discard(s); } trace(5); exit(0); }",
    )
    assert t.data == [4, 5]


def test_many_threads_at_once(new_trace, workload):
    """Identifiers change hands between processors all the time: nothing gets into the wrong one."""
    t = new_trace().go(
        "syscall::getppid:entry /pid == $1/ { self->n++; self->s = speculation(); "
        "speculate(self->s); trace(tid); trace(self->n); }"
        "syscall::getppid:return /self->s && self->n % 3/ { discard(self->s); self->s = 0; }"
        "syscall::getppid:return /self->s/ { commit(self->s); self->s = 0; }",
        workload.pid,
        nspec=5,
        switchrate="1ms",
    )
    workload.tell("threads", 8, 5000)
    t.until(lambda: len(t.data) > 5000)
    workload.answer()
    t.finish()
    by_thread: dict[int, list[int]] = {}
    for tid, n in zip(t.data[::2], t.data[1::2], strict=True):
        by_thread.setdefault(tid, []).append(n)
    for numbers in by_thread.values():
        assert not any(n % 3 for n in numbers)
        assert len(set(numbers)) == len(numbers)
    lost = sum(d.drops for d in t.drops)
    assert 8 * (5000 // 3) - lost <= len(t.data) // 2 <= 8 * (5000 // 3)


@pytest.mark.parametrize("policy", ["ring", "fill"])
def test_other_buffer_policies(new_trace, policy):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); speculate(s); trace(1); trace(execname); } BEGIN { trace(2); }"
        "BEGIN { commit(s); } BEGIN { s = speculation(); speculate(s); trace(3); }"
        "BEGIN { discard(s); } BEGIN { trace(4); exit(0); } END { trace(5); }",
        bufpolicy=policy,
    )
    assert [v for v in t.data if isinstance(v, int)] == [2, 1, 4, 5]
    assert t.drops == []


def test_without_timestamps(new_trace):
    t = begin(
        new_trace,
        "BEGIN { s = speculation(); speculate(s); trace(1); } BEGIN { commit(s); }"
        "BEGIN { exit(0); }",
        temporal="no",
    )
    assert t.data == [1]
