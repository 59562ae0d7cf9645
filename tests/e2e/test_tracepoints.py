# SPDX-License-Identifier: Apache-2.0
"""sdt and rawtp: the kernel's tracepoints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import dtrace

pytestmark = pytest.mark.kernel


def test_arguments(watch, workload):
    """sched_switch(preempt, prev, next, prev_state): the workload is seen leaving and arriving."""
    t = watch(
        "sdt:sched::sched_switch /args[1]->tgid == $1/ { @off = count(); @s = max(arg0 > 1); }"
        "sdt:sched::sched_switch /args[2]->tgid == $1/ { @on = count(); @n[args[2]->comm] = count(); }",
        ("sleep", 20, 1),
    )
    rows = t.aggregations()
    assert rows[1][()] >= 20
    assert rows[3][()] >= 20
    assert list(rows[4]) == ["workload"]
    assert rows[2][()] == 0


def test_raw_and_typed(watch):
    """argN is what args[N] is; past those that there are it is 0, and never an error."""
    t = watch(
        "rawtp:raw_syscalls::sys_exit /pid == $1 && args[1] == -9/"
        "{ trace(arg1); trace(arg2); trace(arg9); trace(arg0 == (int64_t)args[0]); }",
        ("badread", 1),
    )
    assert t.data[:4] == [-9, 0, 0, 1]


def test_probe_names(trace, workload):
    t = trace(
        "sdt:raw_syscalls::sys_enter, rawtp:raw_syscalls::sys_enter /pid == $1 && arg1 == 110/"
        "{ @[probeprov, probemod, probefunc, probename] = count(); }",
        workload.pid,
    )
    workload.do("getppid", 7)
    rows = t.finish().aggregations()[1]
    assert rows == {
        ("sdt", "raw_syscalls", "", "sys_enter"): 7,
        ("rawtp", "raw_syscalls", "", "sys_enter"): 7,
    }


def test_many_at_once(trace, workload):
    """A whole group, as one program where attachments carry cookies: each probe knows its own name."""
    t = trace(
        "sdt:sched:: /pid == $1/ { @[probename] = count(); @all = count(); }"
        "sdt:sched::sched_s* /pid == $1/ { @s[probename] = count(); }"
        "sdt:raw_syscalls:: /pid == $1/ { @c[probename] = count(); }",
        workload.pid,
    )
    workload.do("sleep", 10, 1)
    rows = t.finish().aggregations()
    assert rows[1]["sched_switch"] >= 10
    assert sum(rows[1].values()) == rows[2][()]
    assert rows[3] == {k: v for k, v in rows[1].items() if k.startswith("sched_s")}
    assert set(rows[4]) == {"sys_enter", "sys_exit"}


def test_unknown_is_refused(new_trace):
    for description in ("sdt:::no_such_tracepoint", "sdt:no_such_group::", "rawtp::f:sched_switch"):
        with pytest.raises(dtrace.DTraceError, match="does not match any probes"):
            new_trace().go(description + " { trace(1); }")


def test_index_out_of_range(new_trace):
    with pytest.raises(dtrace.DTraceError, match="has 3 arguments"):
        new_trace().go("sdt:sched::sched_process_exec { trace(args[3]); }")


def test_exec_is_seen(trace):
    """A pointer to a structure that is not the current task's."""
    t = trace(
        "sdt:sched::sched_process_exec /ppid == $1/ { trace(stringof(args[2]->filename)); }",
        os.getpid(),
    )
    os.spawnv(os.P_WAIT, "/bin/true", ["true"])
    t.until(lambda: t.data, "exec")
    assert t.data == ["/bin/true"]


MANY = """
import os, resource, dtrace
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
consumer = dtrace.DTraceConsumer("embedded", on_drop=lambda drop: None)
consumer.strcompile("sdt:::s*, sdt:::t*, sdt:::x*, sdt:::e* { @ = count(); }")
consumer.go()
links = len(os.listdir("/proc/self/fd"))
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, hard)
files = [open("/dev/null") for _ in range(100)]
print(links, max(file.fileno() for file in files))
consumer.close()
"""


def test_descriptors_are_left_to_the_process():
    """Hundreds of attachments are hundreds of descriptors: above the limit, where they are in nobody's way."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", MANY], env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    links, number = map(int, done.stdout.split())
    assert links > 200 > number
