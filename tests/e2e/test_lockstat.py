# SPDX-License-Identifier: Apache-2.0
"""The lockstat provider: processes of ours that get in each other's way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dtrace

pytestmark = pytest.mark.kernel


@contextmanager
def workers(*jobs: Callable[[], object]) -> Iterator[None]:
    """A child for each job, which it does again and again."""
    pids = []
    try:
        for job in jobs:
            pid = os.fork()
            if pid == 0:
                try:
                    while True:
                        job()
                finally:
                    os._exit(1)
            pids.append(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def need_cpus() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one processor nobody waits for a lock")


def pipe_jobs() -> list[Callable[[], object]]:
    """Two that read from and write to one pipe at a time."""
    r, w = os.pipe()

    def both() -> None:
        os.write(w, b"x" * 4096)
        os.read(r, 4096)

    return [both, both, both]


def directory_jobs(path: Path) -> list[Callable[[], object]]:
    """Two that make and remove files in one directory."""

    def job(name: str) -> Callable[[], object]:
        def work() -> None:
            os.close(os.open(path / name, os.O_CREAT | os.O_WRONLY))
            os.unlink(path / name)

        return work

    return [job(name) for name in ("a", "b", "c")]


def test_mutexes(trace):
    need_cpus()
    t = trace(
        "lockstat:::adaptive-spin, lockstat:::adaptive-block /ppid == $1/"
        "{ trace(arg0 == args[0]); trace(arg0 != 0); trace(args[1] > 0 && args[1] < 60000000000);"
        " exit(0); }",
        os.getpid(),
    )
    with workers(*pipe_jobs()):
        t.to_exit()
    assert t.firings[0].data == [1, 1, 1]


def test_a_wait_and_its_end_are_of_one_lock(trace):
    need_cpus()
    t = trace(
        "lockstat:::wait /ppid == $1/ { self->lock = arg0; }"
        "lockstat:::adaptive-acquire /self->lock && self->lock != arg0/ { @bad = count(); }"
        "lockstat:::adaptive-acquire /self->lock/ { self->lock = 0; @good = count(); }"
        "lockstat:::adaptive-acquire /ppid == $1 && n++ > 20/ { exit(0); }",
        os.getpid(),
    )
    with workers(*pipe_jobs()):
        t.to_exit()
    found = t.aggregations()
    assert found[2][()] >= 20
    assert found.get(1, {(): 0})[()] <= found[2][()] / 10


def test_semaphores(trace, tmp_path):
    need_cpus()
    t = trace(
        "lockstat:::rw-block /ppid == $1/"
        "{ trace(args[1] > 0); trace(args[2] == RW_WRITER || args[2] == RW_READER); exit(0); }",
        os.getpid(),
    )
    with workers(*directory_jobs(tmp_path)):
        t.to_exit()
    assert t.firings[0].data == [1, 1]


@pytest.mark.parametrize(
    "probe",
    [
        *("adaptive-acquire", "adaptive-acquire-error", "adaptive-block", "adaptive-spin"),
        *("spin-acquire", "spin-spin", "rw-acquire", "rw-block", "rw-spin", "wait"),
    ],
)
def test_all_can_be_enabled(trace, probe):
    t = trace(f"lockstat:::{probe} /ppid == $1/ {{ @ = max(arg1); }}", os.getpid())
    t.finish()


@pytest.mark.skipif(
    not os.path.exists("/sys/bus/event_source/devices/kprobe"),
    reason="this kernel does not let functions be traced",
)
def test_releases(trace):
    t = trace(
        "lockstat:::adaptive-release /pid == $1/ { @[arg0 != 0] = count(); }"
        "lockstat:::rw-release /pid == $1/ { @r[arg1 == RW_READER || arg1 == RW_WRITER] = count(); }",
        os.getpid(),
    )
    r, w = os.pipe()
    for _ in range(20):
        os.write(w, b"x")
        os.read(r, 1)
    os.listdir("/")
    found = t.finish().aggregations()
    assert found[1][1] >= 40
    assert found[2][1] >= 1
    os.close(r)
    os.close(w)


def test_what_cannot_be_seen_is_not_there():
    c = dtrace.DTraceConsumer("embedded")
    with pytest.raises(dtrace.DTraceError, match="does not match any probes"):
        c.strcompile("lockstat:::spin-release { trace(arg0); }")
    c.close()
