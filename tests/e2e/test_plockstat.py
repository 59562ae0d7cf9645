# SPDX-License-Identifier: Apache-2.0
"""Locks of processes: plockstat$1:::mutex-acquire and the like, in the program of locker.c."""

from __future__ import annotations

import pytest
from commandline import pydtrace
from conftest import Workload
from test_late import run_created

import dtrace

pytestmark = pytest.mark.kernel

# Each firing about the lock that is $2: the thread is the first or another one.
ALL = (
    "plockstat$1::: /arg0 == $2/"
    ' { printf("%s %s %d %d", tid == $1 ? "main" : "other", probename, arg1, arg2); }'
)


@pytest.fixture(scope="module")
def locker_binary(compile_c):
    return compile_c("locker.c", "-pthread")


@pytest.fixture
def locker(locker_binary):
    child = Workload(locker_binary)
    yield child
    child.end()


@pytest.fixture
def lock_events(trace, locker):
    """What a command's threads do with the lock that it is about: (first thread's, other one's)."""

    def run(*command: object) -> tuple[list[str], list[str]]:
        lock = locker.do("mutex" if command[0] not in RW else "reads", "normal")
        t = trace(ALL, locker.pid, lock)
        assert locker.do(*command) == lock
        t.finish()
        return tuple(
            [text.split(" ", 1)[1] for text in t.data if text.startswith(who)]
            for who in ("main", "other")
        )

    return run


RW = ("reads", "writes", "tryread", "trywrite", "waitread", "waitwrite")
MUTEX = ["mutex-acquire 0 0", "mutex-release 0 0"]
READ = ["rw-acquire 0 0", "rw-release 0 0"]
WRITE = ["rw-acquire 1 0", "rw-release 1 0"]
EPERM, EBUSY, EDEADLK, ETIMEDOUT = 1, 16, 35, 110


@pytest.mark.parametrize(
    ("command", "main", "other"),
    [
        ("mutex normal 3", MUTEX * 3, []),
        ("mutex errorcheck", MUTEX, []),
        ("c11 normal", MUTEX, []),
        ("robust normal", MUTEX, MUTEX[:1]),
        (
            "nested recursive 3",
            [MUTEX[0], *["mutex-acquire 1 0"] * 2, *["mutex-release 1 0"] * 2, MUTEX[1]],
            [],
        ),
        (
            "nested errorcheck 2",
            [MUTEX[0], f"mutex-error {EDEADLK} 0", MUTEX[1], f"mutex-error {EPERM} 0"],
            [],
        ),
        ("try normal", [f"mutex-error {EBUSY} 0"], MUTEX),
        ("wrong errorcheck", [f"mutex-error {EPERM} 0"], []),
        ("reads x", READ, []),
        ("writes x", WRITE, []),
        ("tryread x", [f"rw-error 0 {EBUSY}"], WRITE),
        ("trywrite x", [f"rw-error 1 {EBUSY}"], WRITE),
        # the lock is given back and taken again while the condition is waited for
        ("cond normal", MUTEX * 2, MUTEX),
    ],
)
def test_without_waiting(lock_events, command, main, other):
    assert lock_events(*command.split()) == (main, other)


def without_order(events: list[str]) -> list[str]:
    """Of what a function's return is several things: in the kernel's order."""
    return sorted(events)


@pytest.mark.parametrize(
    ("command", "waits", "then", "other"),
    [
        ("wait normal", ["mutex-block 0 0"], ["mutex-blocked 1 0", *MUTEX], MUTEX),
        ("wait recursive", ["mutex-block 0 0"], ["mutex-blocked 1 0", *MUTEX], MUTEX),
        ("wait errorcheck", ["mutex-block 0 0"], ["mutex-blocked 1 0", *MUTEX], MUTEX),
        (
            "timed normal",
            ["mutex-block 0 0"],
            ["mutex-blocked 0 0", f"mutex-error {ETIMEDOUT} 0"],
            MUTEX,
        ),
        ("waitread x", ["rw-block 0 0"], ["rw-blocked 0 1", *READ], WRITE),
        ("waitwrite x", ["rw-block 1 0"], ["rw-blocked 1 1", *WRITE], WRITE),
    ],
)
def test_waiting(lock_events, command, waits, then, other):
    """It begins when the thread goes to sleep, and ends when the function returns."""
    events, others = lock_events(*command.split())
    assert events[: len(waits)] == waits
    assert without_order(events[len(waits) :]) == without_order(then)
    assert others == other


def test_spinning(lock_events):
    """An adaptive mutex is tried for a while; the last number is how long that usually takes, as glibc keeps it."""
    events, _ = lock_events("wait", "adaptive")
    names = [event.split()[0] for event in events]
    assert names[:3] == ["mutex-spin", "mutex-spun", "mutex-block"]
    assert sorted(names[3:]) == ["mutex-acquire", "mutex-blocked", "mutex-release"]
    assert events[1].split()[1] == "0"


def test_only_some(trace, locker):
    """A probe alone has what it needs of the others."""
    lock = locker.do("mutex", "normal")
    t = trace(
        "plockstat$1:::rw-block { @r = count(); } plockstat$1:::mutex-blocked { trace(arg1); }",
        locker.pid,
    )
    locker.do("wait", "normal")
    locker.do("waitread", "x")
    locker.do("waitread", "x")
    t.finish()
    assert t.data == [1]
    assert t.aggregations()[1] == {(): 2}
    t = trace(
        "plockstat$1:libc:pthread_mutex_unlock:mutex-release /arg0 == $2/ { @ = count(); }",
        locker.pid,
        lock,
    )
    locker.do("mutex", "normal", 5)
    locker.do("nested", "recursive", 2)
    assert t.finish().aggregations()[1] == {(): 7}


def test_two_programs(new_trace, locker):
    """What is noted for both is noted once."""
    t = new_trace()
    text = "plockstat$1:::mutex-block { @%s[probefunc, probemod] = count(); }"
    t.consumer.strcompile(text % "a", [str(locker.pid)])
    t.consumer.strcompile(text % "b", [str(locker.pid)])
    t.consumer.go()
    for _ in range(3):
        locker.do("wait", "normal")
    rows = t.finish().aggregations()
    assert rows[1] == rows[2] == {("futex", "libc.so.6"): 3}


def test_other_futexes(trace, locker):
    """Who sleeps for something else, behind a lock that was taken, does not wait for that."""
    t = trace("plockstat$1:::mutex-block, plockstat$1:::rw-block { @ = count(); }", locker.pid)
    locker.do("sleep", "x")
    assert t.finish().aggregations() == {}


def test_how_long_it_is_held(trace, locker):
    lock = locker.do("mutex", "normal")
    t = trace(
        "plockstat$1:::mutex-acquire /arg0 == $2/ { self->since = timestamp; }"
        "plockstat$1:::mutex-release /arg0 == $2 && self->since/"
        " { @[usym(arg0)] = count(); @min = min(timestamp - self->since); self->since = 0; }",
        locker.pid,
        lock,
    )
    locker.do("mutex", "normal", 4)
    rows = t.finish().aggregations()
    assert rows[1] == {"locker`mutex": 4}
    assert rows[2][()] > 0


def test_where_it_is_waited_for(trace, locker):
    t = trace("plockstat$1:::mutex-block { ustack(8); }", locker.pid, ustackunwind="16k")
    locker.do("wait", "normal")
    (stack,) = t.finish().data
    assert any(frame.startswith("locker`do_wait") for frame in stack)


def test_of_a_created_process(new_trace, locker_binary):
    t = run_created(
        new_trace,
        "plockstat$target:::mutex-acquire { @[arg0] = count(); }",
        [locker_binary, "mutex", "normal", "7"],
    )
    assert 7 in t.aggregations()[1].values()


def test_statically_linked(new_trace, compile_c):
    binary = compile_c("locker.c", "-pthread", "-static", name="locker-static")
    t = run_created(
        new_trace,
        "plockstat$target:a.out::mutex-acquire { @[arg0] = count(); }"
        "plockstat$target:::rw-acquire { trace(arg1); }",
        [binary, "mutex", "normal", "7"],
    )
    assert 7 in t.aggregations()[1].values()
    assert t.data == []


def test_listing(locker):
    rows = pydtrace("-l", "-n", f"plockstat{locker.pid}:::").out.splitlines()[1:]
    found = {tuple(row.split()[2:]) for row in rows}
    assert ("libc.so.6", "pthread_mutex_lock", "mutex-acquire") in found
    assert ("libc.so.6", "pthread_rwlock_unlock", "rw-release") in found
    assert ("libc.so.6", "futex", "mutex-block") in found
    assert {f for _, f, n in found if n == "rw-release"} == {"pthread_rwlock_unlock"}


def test_no_such_process(new_trace):
    with pytest.raises(dtrace.CompileError, match="there is no such process"):
        new_trace().go("plockstat999999999:::mutex-acquire { }")
