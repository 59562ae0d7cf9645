# SPDX-License-Identifier: Apache-2.0
"""vminfo and sysinfo: counters that our own doings move by known amounts."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

import pytest

pytestmark = pytest.mark.kernel

PAGE = 4096


def count(trace, provider: str, counters: list[str], work) -> dict[str, int]:
    """By how much the counters rise while we work."""
    which = ", ".join(f"{provider}:::{counter}" for counter in counters)
    t = trace(f"{which} /pid == $1/ {{ @[probename] = sum(arg0); }}", os.getpid())
    work()
    found = t.finish().aggregations().get(1, {})
    if t.missed:
        pytest.skip(f"the kernel missed {t.missed} firings")
    return found


def test_bytes_read_and_written(trace):
    r, w = os.pipe()

    def work() -> None:
        for n in (1, 10, 1000):
            os.write(w, b"x" * n)
            assert len(os.read(r, 5000)) == n
        with contextlib.suppress(OSError):
            os.read(w, 10)

    found = count(trace, "sysinfo", ["readch", "writech", "sysread", "syswrite"], work)
    assert found == {"readch": 1011, "writech": 1011, "sysread": 4, "syswrite": 3}
    os.close(r)
    os.close(w)


def test_processes_and_threads(trace):
    def work() -> None:
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        for _ in range(2):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        for _ in range(4):
            thread = threading.Thread(target=lambda: None)
            thread.start()
            thread.join()

    found = count(trace, "sysinfo", ["sysfork", "sysvfork", "nthreads"], work)
    assert found == {"sysfork": 3, "sysvfork": 2, "nthreads": 4}


def test_exec(trace):
    t = trace("sysinfo:::sysexec /ppid == $1/ { @ = count(); }", os.getpid())
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    t.finish()
    assert t.missed or t.aggregations() == {1: {(): 1}}


def memory(npages: int) -> mmap.mmap:
    m = mmap.mmap(-1, npages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    m.madvise(mmap.MADV_NOHUGEPAGE)
    return m


def touch(m: mmap.mmap, npages: int) -> None:
    for n in range(npages):
        m[n * PAGE] = 1


def test_page_faults(trace):
    n = 100
    m = memory(n)
    found = count(trace, "vminfo", ["as_fault", "zfod", "cow_fault"], lambda: touch(m, n))
    assert n <= found["as_fault"] < 3 * n
    assert n <= found["zfod"] < 3 * n
    assert found.get("cow_fault", 0) < n


def test_major_faults(trace, tmp_path):
    number = os.stat(tmp_path).st_dev
    if not os.path.exists(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"):
        pytest.skip("the temporary folder is not on a block device")
    path = tmp_path / "file"
    path.write_bytes(b"x" * 64 * PAGE)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    m = mmap.mmap(fd, 64 * PAGE, prot=mmap.PROT_READ)
    found = count(trace, "vminfo", ["maj_fault", "fspgin"], lambda: m[20 * PAGE])
    assert found["maj_fault"] >= 1
    assert found["fspgin"] >= 1
    os.close(fd)


def test_copies_on_write(trace):
    n = 100
    m = memory(n)
    touch(m, n)
    t = trace("vminfo:::cow_fault /ppid == $1/ { @ = sum(arg0); }", os.getpid())
    pid = os.fork()
    if pid == 0:
        touch(m, n)
        os._exit(0)
    os.waitpid(pid, 0)
    assert t.finish().aggregations()[1][()] >= n


def test_switches(trace, workload):
    t = trace(
        "sysinfo:::pswitch /pid == $1/ { @s = sum(arg0); }"
        "sched:::off-cpu /pid == $1/ { @o = count(); }",
        workload.pid,
    )
    workload.turns(20)
    found = t.finish().aggregations()
    assert found[1][()] >= 18
    assert found[1] == found[2]
