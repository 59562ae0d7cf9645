# SPDX-License-Identifier: Apache-2.0
"""The proc provider: processes and threads of our own, whose lives are known exactly."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.kernel


def child(work) -> int:
    """Fork; the child does its work and ends.  Its pid, once it has ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def kill_myself(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def test_forks_are_creates(trace):
    t = trace("proc:::create /pid == $1/ { trace(args[0]->pr_pid); }", os.getpid())
    pids = [child(lambda: None) for _ in range(5)]
    assert t.finish().data == pids


def test_the_life_of_a_process(trace):
    t = trace(
        "proc:::create /pid == $1/ { trace(args[0]->pr_pid); trace(args[0]->pr_ppid); }"
        "proc:::start /ppid == $1/ { trace(pid); trace(tid); trace(curpsinfo->pr_pid); }"
        "proc:::exit /ppid == $1/ { trace(pid); trace(args[0]); }",
        os.getpid(),
    )
    pid = child(lambda: None)
    t.finish()
    assert [f.probe["name"] for f in t.firings] == ["create", "start", "exit"]
    assert [f.data for f in t.firings] == [[pid, os.getpid()], [pid, pid, pid], [pid, 1]]


@pytest.mark.parametrize(
    ("work", "how"), [(lambda: None, 1), (lambda: kill_myself(signal.SIGTERM), 2)]
)
def test_how_a_process_ends(trace, work, how):
    t = trace("proc:::exit /ppid == $1/ { trace(pid); trace(args[0]); }", os.getpid())
    pid = child(work)
    assert t.finish().data == [pid, how]


def test_names_of_the_ways_to_end(trace):
    t = trace("BEGIN { trace(CLD_EXITED); trace(CLD_KILLED); trace(CLD_DUMPED); exit(0); }")
    assert t.to_exit().data == [1, 2, 3]


def test_exit_fires_once_for_many_threads(trace):
    def many() -> None:
        for _ in range(6):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        os._exit(7)

    t = trace(
        "proc:::exit /ppid == $1/ { @p = count(); }proc:::lwp-exit /ppid == $1/ { @t = count(); }",
        os.getpid(),
    )
    child(many)
    assert t.finish().aggregations() == {1: {(): 1}, 2: {(): 7}}


def test_threads(trace, workload):
    t = trace(
        "proc:::create /pid == $1/ { @p = count(); }"
        "proc:::lwp-create /pid == $1 && args[1]->pr_pid == $1/ { @c = count(); }"
        "proc:::lwp-create /pid == $1/ { @n[args[0]->pr_lwpid] = count(); }"
        "proc:::lwp-start /pid == $1/ { @s[tid] = count(); }"
        "proc:::lwp-exit /pid == $1/ { @e[tid] = count(); }",
        workload.pid,
    )
    workload.do("threads", 4, 1)
    # On some kernels who joins a thread may go on before it has come to the end.
    t.until(lambda: len(t.counts().get(5, {})) == 4, "the ends of the threads")
    found = t.finish().counts()
    assert 1 not in found
    assert found[2] == {(): 4}
    assert len(found[3]) == 4
    assert found[3] == found[4] == found[5]


def test_exec(trace):
    t = trace(
        "proc:::exec /ppid == $1/ { trace(args[0]); trace(stringof(args[0])); }"
        "proc:::exec-failure /ppid == $1/ { trace(args[0]); trace(arg0); }"
        "proc:::exec-success /ppid == $1/ { trace(execname); }",
        os.getpid(),
    )

    def work() -> None:
        missing = "/nowhere/at/all"
        try:
            os.execv(missing, [missing])
        except OSError:
            os.execv(sys.executable, ["renamed", "-c", "pass"])

    child(work)
    t.finish()
    assert t.missed or [(f.probe["name"], f.data) for f in t.firings] == [
        ("exec", ["/nowhere/at/all"] * 2),
        ("exec-failure", [errno.ENOENT] * 2),
        ("exec", [sys.executable] * 2),
        ("exec-success", [os.path.basename(sys.executable)[:15]]),
    ]


def test_signals(trace):
    got = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        t = trace(
            "proc:::signal-send /pid == $1/"
            "{ trace(args[0]->pr_lwpid); trace(args[1]->pr_pid); trace(args[2]); }"
            "proc:::signal-handle /pid == $1/"
            "{ trace(args[0]); trace(args[1]->si_signo); trace(args[2] != NULL); }"
            "proc:::signal-discard /pid == $1/ { trace(args[1]->pr_pid); trace(args[2]); }",
            os.getpid(),
        )
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        t.finish()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, ignored)
    me = os.getpid()
    assert got == [signal.SIGUSR1]
    by_name = {}
    for f in t.firings:
        by_name.setdefault(f.probe["name"], []).append(f.data)
    assert by_name == {
        "signal-send": [[me, me, signal.SIGUSR1], [me, me, signal.SIGUSR2]],
        "signal-handle": [[signal.SIGUSR1, signal.SIGUSR1, 1]],
        "signal-discard": [[me, signal.SIGUSR2]],
    }


def test_signal_clear(trace):
    t = trace("proc:::signal-clear /pid == $1/ { trace(args[0]); }", os.getpid())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # others do not block it
        assert signal.sigtimedwait({signal.SIGUSR1}, 5).si_signo == signal.SIGUSR1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    t.finish()
    assert t.missed or t.data == [signal.SIGUSR1]


def test_fault(trace):
    def crash() -> None:
        import ctypes

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(8)

    t = trace(
        "proc:::fault /ppid == $1/"
        "{ trace(args[0] == FLTBOUNDS); trace(args[1]->si_signo); trace(args[1]->si_code); }"
        "proc:::fault /pid == $1/ { trace(1); }",
        os.getpid(),
    )
    child(crash)
    os.kill(os.getpid(), 0)
    assert t.finish().data == [1, signal.SIGSEGV, 1]


def test_one_clause_for_many_probes(trace):
    t = trace(
        "proc:::create, proc:::start, proc:::exit /pid == $1 || ppid == $1/ { @[probename] = count(); }",
        os.getpid(),
    )
    for _ in range(3):
        child(lambda: None)
    assert t.finish().aggregations() == {1: {"create": 3, "start": 3, "exit": 3}}


def test_members_of_a_process_that_is_not_running(trace):
    t = trace(
        "proc:::create /pid == $1/ { this->c = args[0]->pr_uid; trace(args[0]->pr_fname);"
        " trace(this->c); trace(args[0]->pr_pgid); trace(args[0]->pr_sid); trace(args[0]->pr_nlwp);"
        " trace(args[0]->pr_dmodel == PR_MODEL_LP64); }",
        os.getpid(),
    )
    child(lambda: None)
    with open("/proc/self/comm") as f:
        name = f.read().rstrip("\n")
    assert t.finish().data == [name, os.getuid(), os.getpgid(0), os.getsid(0), 1, 1]
