# SPDX-License-Identifier: Apache-2.0
"""The syscall provider against a child whose calls are known exactly."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import clean_env

pytestmark = pytest.mark.kernel


def test_counts_are_exact(watch):
    t = watch("syscall::getppid:entry /pid == $1/ { @ = count(); }", ("getppid", 1234))
    assert t.aggregations() == {1: {(): 1234}}


def test_entry_and_return(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { @e = count(); }"
        "syscall::getppid:return /pid == $1/ { @r = count(); }",
        ("getppid", 500),
    )
    assert t.aggregations() == {1: {(): 500}, 2: {(): 500}}


def test_every_thread_counts(watch):
    t = watch("syscall::getppid:entry /pid == $1/ { @ = count(); }", ("threads", 8, 1000))
    assert t.aggregations() == {1: {(): 8000}}


def test_all_system_calls_by_name(watch):
    t = watch(
        "syscall:::entry /pid == $1/ { @[probefunc] = count(); }",
        ("getppid", 300),
        ("open", 20, "/dev/null"),
        ("badread", 7),
    )
    counts = t.aggregations()[1]
    assert counts["getppid"] == 300
    assert counts["openat"] == 20
    assert counts["close"] == 20
    # The wait for the first command began before, or not when the machine is busy; that for one more may have begun.
    assert counts["read"] - 7 in (2, 3, 4)
    assert counts["write"] == 3
    assert set(counts) == {"getppid", "openat", "close", "read", "write"}


def test_globs(watch):
    t = watch(
        "syscall::get*pid:entry, syscall::open?t:entry /pid == $1/ { @[probefunc] = count(); }",
        ("getppid", 11),
        ("open", 3, "/dev/null"),
    )
    assert t.aggregations() == {1: {"getppid": 11, "openat": 3}}


def test_probe_names(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/"
        "{ trace(probeprov); trace(probemod); trace(probefunc); trace(probename); }",
        ("getppid", 1),
    )
    (firing,) = t.firings
    assert firing.data == ["syscall", "vmlinux", "getppid", "entry"]
    assert firing.name == "syscall:vmlinux:getppid:entry"


def test_one_record_per_firing_in_order(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { trace(++n); }"
        "syscall::getppid:return /pid == $1/ { trace(-n); }",
        ("nested", 300),
    )
    assert t.data == [sign * n for n in range(1, 301) for sign in (1, -1)]
    assert [f.probe["name"] for f in t.firings] == ["entry", "return"] * 300


def test_order_across_threads_is_by_time(watch):
    t = watch("syscall::getppid:entry /pid == $1/ { trace(timestamp); }", ("threads", 4, 500))
    assert len(t.data) == 2000
    assert t.data == sorted(t.data)


def test_arguments(trace, workload):
    fd = workload.do("read", 1, 1)
    t = trace(
        "syscall::read:entry /pid == $1 && arg0 == $2/"
        "{ trace(arg0); trace(arg2); trace(args[0]); trace(args[2]); trace(arg7); }"
        "syscall::read:return /pid == $1 && arg0 == 777/ { trace(arg0); trace(arg1); }",
        workload.pid,
        fd,
    )
    workload.do("read", 2, 777)
    t.finish()
    assert [f.data for f in t.firings] == [[fd, 777, fd, 777, 0], [777, 777]] * 2


def test_errno(watch):
    t = watch(
        "syscall::read:return /pid == $1 && errno/ { trace(errno); trace(arg0 < 0); }"
        "syscall::getppid:return /pid == $1/ { trace(errno); }"
        "syscall::read:entry /pid == $1/ { @[errno] = count(); }",
        ("badread", 2),
        ("getppid", 1),
    )
    assert t.data == [errno.EBADF, 1, errno.EBADF, 1, 0]
    assert set(t.aggregations()[1]) == {0}


def test_failed_open(watch):
    t = watch("syscall::openat:return /pid == $1/ { trace(errno); }", ("open", 1, "/no/such/file"))
    assert t.data == [errno.ENOENT]


def test_typed_arguments(watch):
    t = watch(
        "syscall::openat:entry /pid == $1/"
        "{ trace(copyinstr((uintptr_t)args[1])); trace(args[2]); }",
        ("open", 1, "/dev/null"),
    )
    assert t.data == ["/dev/null", os.O_RDONLY]


def test_who(watch, workload):
    t = watch(
        "syscall::getppid:entry /pid == $1/"
        "{ trace(pid); trace(tid); trace(ppid); trace(uid); trace(gid); trace(execname); }",
        ("getppid", 1),
    )
    assert t.data == [
        workload.pid,
        workload.pid,
        os.getpid(),
        os.getuid(),
        os.getgid(),
        "workload",
    ]


def test_threads_have_ids_of_their_own(watch, workload):
    t = watch("syscall::getppid:entry /pid == $1/ { @[pid, tid] = count(); }", ("threads", 5, 10))
    rows = t.aggregations()[1]
    assert len(rows) == 5
    assert {pid for pid, _ in rows} == {workload.pid}
    assert set(rows.values()) == {10}


def test_curthread(watch, workload):
    t = watch(
        "syscall::getppid:entry /pid == $1/"
        "{ trace(curthread->tgid); trace(curthread->real_parent->tgid); }",
        ("getppid", 1),
    )
    assert t.data == [workload.pid, os.getpid()]


def test_times(watch):
    before = time.monotonic_ns(), time.time_ns()
    t = watch(
        "syscall::getppid:entry /pid == $1/ { trace(timestamp); trace(walltimestamp); }",
        ("getppid", 1),
    )
    after = time.monotonic_ns(), time.time_ns()
    assert before[0] < t.data[0] < after[0]
    assert before[1] - 10**9 < t.data[1] < after[1] + 10**9


def test_several_clauses_of_a_probe(watch):
    t = watch(
        'syscall::getppid:entry /pid == $1/ { trace("first"); }'
        'syscall::getppid:entry /pid == $1 && 0/ { trace("never"); }'
        'syscall::getppid:entry /pid == $1/ { trace("third"); }',
        ("getppid", 2),
    )
    assert t.data == ["first", "third"] * 2


def test_several_programs(new_trace, workload):
    t = new_trace()
    t.consumer.strcompile(
        "syscall::getppid:entry /pid == $1/ { @a = count(); }", [str(workload.pid)]
    )
    t.go("syscall::getppid:entry /pid == $1/ { @b = sum(2); }", workload.pid)
    workload.do("getppid", 9)
    assert t.finish().aggregations() == {1: {(): 9}, 2: {(): 18}}


def test_several_consumers_at_once(trace, workload):
    program = "syscall::getppid:entry /pid == $1/ { @ = count(); trace(arg0 * 0); }"
    traces = [trace(program, workload.pid) for _ in range(3)]
    workload.do("getppid", 25)
    for t in traces:
        t.finish()
        assert t.aggregations() == {1: {(): 25}}
        assert t.data == [0] * 25


def test_exit_ends_it(watch, trace, workload):
    t = trace(
        "syscall::getppid:entry /pid == $1 && ++n == 5/ { trace(n); exit(3); }"
        'syscall::getppid:entry /pid == $1 && n > 5/ { trace("late"); }'
        'END { trace("end"); }',
        workload.pid,
    )
    workload.do("getppid", 50)
    t.to_exit()
    data = Counter(map(str, t.data))
    assert data["late"] == 0
    assert t.data[-1] == "end"
    assert t.consumer.exit_status == 3


COMPAT = """
void _start(void)
{
	int i, rv;

	for (i = 0; i < 50; i++) /* getpid(), whose number is that of writev() in 64-bit programs */
		__asm__ volatile("int $0x80" : "=a"(rv) : "a"(20) : "memory");
	__asm__ volatile("int $0x80" : "=a"(rv) : "a"(1), "b"(0) : "memory");
}
"""


@pytest.fixture(scope="module")
def compat_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("compat") / "compat32"
    source = binary.with_suffix(".c")
    source.write_text(COMPAT)
    flags = ["-m32", "-O1", "-nostdlib", "-static", "-fno-pic", "-fno-stack-protector"]
    made = subprocess.run(
        ["gcc", *flags, "-o", binary, source], env=clean_env(), capture_output=True
    )
    if made.returncode:
        pytest.skip("the compiler makes no 32-bit programs")
    try:
        subprocess.run([binary], check=True, env=clean_env())
    except OSError:
        pytest.skip("the kernel runs no 32-bit programs")
    return binary


def test_32_bit_calls_are_not_mistaken(trace, compat_binary):
    """Their numbers mean other calls: they go by their own names."""
    t = trace(
        'syscall:::entry /execname == "compat32"/ { @in[probefunc] = count(); }'
        'syscall:::return /execname == "compat32"/ { @out[probefunc] = count(); }'
        "syscall::writev:entry /progenyof($1) && pid != $1/ { @one = count(); }"
        "syscall::execve:entry /progenyof($1)/ { @exec = count(); }",
        os.getpid(),
    )
    subprocess.run([compat_binary], check=True, env=clean_env())
    rows = t.finish().aggregations()
    # execve() began in our 64-bit child
    assert rows[1] == {"getpid": 50, "exit": 1}
    assert rows[2] == {"getpid": 50, "execve": 1}
    assert 3 not in rows
    assert rows[4][()] == 1


# ---- calls by 32-bit numbers --------------------------------------------------------------------

INT80 = r"""
#include <unistd.h>
static long call(long nr, long a, long b, long c)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}
int main(void)
{
	int i;
	if (call(20, 0, 0, 0) != getpid()) /* no such calls here */
		return 77;
	for (i = 0; i < 5; i++)
		call(64, 0, 0, 0); /* getppid; 64 is semget otherwise */
	for (i = 0; i < 3; i++)
		call(6, 1000 + i, 0, 0); /* close; lstat otherwise */
	call(4, 1234, 0x1000, 7); /* write; stat otherwise */
	call(17, 1, 2, 3);       /* nothing; pread64 otherwise */
	getppid();
	return 0;
}
"""


@pytest.fixture(scope="module")
def int80(compile_c):
    program = compile_c("int80.c", text=INT80)
    code = subprocess.run([program], check=False, env=clean_env()).returncode
    if code:
        pytest.skip("this kernel makes no calls by 32-bit numbers")
    return program


def test_calls_by_32_bit_numbers(trace, int80):
    """They go by their names, whatever their numbers mean to others, with their own arguments."""
    t = trace(
        "syscall::getppid:entry, syscall::semget:entry, syscall::lstat:entry, syscall::stat:entry"
        ' /ppid == $1 && execname == "int80"/ { @[probefunc] = count(); }'
        'syscall::close:entry /ppid == $1 && execname == "int80" && args[0] >= 1000/ { trace(arg0); }'
        'syscall::close:return /ppid == $1 && execname == "int80" && errno/ { trace(errno); }'
        'syscall::write:entry /ppid == $1 && execname == "int80"/ { trace(arg0); trace(arg1); trace(arg2); }',
        os.getpid(),
    )
    subprocess.run([int80], check=True, env=clean_env())
    t.finish()
    assert t.aggregations()[1] == {"getppid": 6}
    assert t.data == [1000, 9, 1001, 9, 1002, 9, 1234, 0x1000, 7]


def test_all_calls_with_those_by_32_bit_numbers(trace, int80):
    t = trace(
        'syscall:::entry /ppid == $1 && execname == "int80"/ { @[probefunc] = count(); }'
        'syscall:::return /ppid == $1 && execname == "int80"/ { @r[probefunc] = count(); }',
        os.getpid(),
    )
    subprocess.run([int80], check=True, env=clean_env())
    rows = t.finish().aggregations()
    found = rows[1]
    assert found["getppid"] == 6
    assert found["getpid"] == 2
    assert found["write"] == 1
    assert not {"semget", "lstat", "stat", "flock"} & set(found)
    assert rows[2]["getppid"] == 6


def test_meanings_of_32_bit_numbers(trace, int80):
    """Providers that look at numbers: 11 is execve there, munmap here, and 158, 177 and so on."""
    t = trace(
        "sysinfo:::syswrite, sysinfo:::sysread, proc:::exec, sched:::surrender"
        ' /(pid == $1 || ppid == $1) && execname == "int80"/ { @[probename] = count(); }',
        os.getpid(),
    )
    subprocess.run([int80], check=True, env=clean_env())
    rows = t.finish().aggregations()[1]
    assert rows["syswrite"] == 1
    assert "exec" not in rows
