# SPDX-License-Identifier: Apache-2.0
"""Functions of processes: pid$1:MODULE:FUNCTION:entry, return."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest

import dtrace

pytestmark = pytest.mark.kernel


def compile_error(program: str, *args: object) -> dtrace.DTraceError:
    consumer = dtrace.DTraceConsumer("embedded")
    try:
        with pytest.raises(dtrace.DTraceError) as e:
            consumer.strcompile(program, [str(arg) for arg in args])
        return e.value
    finally:
        consumer.close()


def test_arguments(watch_target):
    """Six come in registers, the others on the stack."""
    t = watch_target(
        "pid$1:a.out:eight_args:entry"
        '{ printf("%d %d %d %d %d %d %d %d", arg0, arg1, arg2, arg3, arg4, arg5, arg6, arg7); }',
        ("args", 2),
    )
    assert t.data == ["1 2 3 4 5 6 7 8"] * 2
    assert t.firings[0].name.endswith(":a.out:eight_args:entry")
    assert re.match(r"pid\d+:", t.firings[0].name)


def test_return(watch_target):
    t = watch_target("pid$1:a.out:twice:return { trace(arg1); trace((int)arg0); }", ("value", 21))
    assert t.data == [42, -1]


def test_entry_and_return(watch_target):
    t = watch_target(
        "pid$1:a.out:twice:entry { self->x = arg0; }"
        'pid$1:a.out:twice:return /self->x/ { printf("%d %d", self->x, arg1); self->x = 0; }',
        ("value", 21),
        ("value", 4),
    )
    assert t.data == ["21 42", "4 8"]


def test_strings(watch_target):
    t = watch_target("pid$1:a.out:take_text:entry { trace(copyinstr(arg0)); }", ("text", "hello"))
    assert t.data == ["hello"]


def test_only_this_process(trace, start_target):
    """Others run the same code; a forked child is another process too."""
    traced, other = start_target(), start_target()
    t = trace("pid$1:a.out:twice:entry { @[pid] = count(); }", traced.pid)
    other.do("value", 1)
    assert traced.do("fork", 5) == 7
    traced.do("value", 1)
    assert t.finish().aggregations()[1] == {traced.pid: 1}


def test_threads(watch_target):
    t = watch_target(
        "pid$1:a.out:twice:entry { @ = count(); @s = sum(arg0); }", ("threads", 4, 500)
    )
    aggs = t.aggregations()
    assert aggs[1] == {(): 2000}
    assert aggs[2] == {(): 4 * sum(range(500))}


def test_threads_on_one_cpu(trace, target):
    """They take turns in the middle of programs, which must not get into each other's texts."""
    os.sched_setaffinity(target.pid, {min(os.sched_getaffinity(target.pid))})
    t = trace(
        "pid$1:a.out:twice:entry"
        ' { this->s = strjoin("key-", lltostr(arg0)); @[this->s, strlen(this->s)] = count(); }',
        target.pid,
    )
    target.do("threads", 16, 300)
    rows = t.finish().aggregations()[1]
    assert rows == {(f"key-{i}", len(f"key-{i}")): 16 for i in range(300)}


def test_in_a_container(trace, target_binary):
    """The program is a file that only its own mount namespace has, and its number there is another one."""
    script = f"mount -t tmpfs none /mnt && cp {target_binary} /mnt/inside && exec /mnt/inside"
    outer = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if outer.stdout.readline() != "ok 0\n":
            pytest.skip(f"no namespaces here: {outer.stderr.read()}")
        children = f"/proc/{outer.pid}/task/{outer.pid}/children"
        with open(children) as f:
            pid = int(f.read().split()[0])
        t = trace(
            "pid$1:a.out:twice:entry { trace(arg0); ustack(1); }"
            "target$1:inside::twice { @ = count(); }"
            "pid$1:/mnt/inside:inner:entry { @i = count(); }",
            pid,
        )
        for command in ("value 5", "probes 2", "nested 3"):
            outer.stdin.write(command + "\n")
            outer.stdin.flush()
            outer.stdout.readline()
        t.finish()
        assert t.data == [5, ["inside`twice"]]
        assert t.aggregations() == {1: {(): 4}, 2: {(): 3}}
    finally:
        outer.kill()
        outer.communicate()


# Without links of many uprobes each function is a perf event, which takes long to close.
SLOW_KERNEL = os.uname().release.startswith("6.1.")


def test_many_functions(watch_target):
    pattern, count = ("many_00*", 64) if SLOW_KERNEL else ("many_*", 1024)
    t = watch_target(
        f"pid$1:a.out:{pattern}:entry {{ @[probefunc] = count(); }} "
        f"pid$1:a.out:{pattern}:return {{ @r = count(); }}",
        ("many", 1),
    )
    rows = t.aggregations()
    assert len(rows[1]) == count
    assert set(rows[1].values()) == {1}
    assert rows[2] == {(): count}


def test_probefunc_as_value(watch_target):
    t = watch_target(
        "pid$1:a.out:inner:entry, pid$1:a.out:middle:entry, pid$1:a.out:outer:entry"
        '{ trace(strjoin(probefunc, "!")); }',
        ("nested", 1),
    )
    assert t.data == ["outer!", "middle!", "inner!"]


def test_module_names(watch_target):
    for module in ("a.out", "utarget", "utar*", ""):
        t = watch_target(f"pid$1:{module}:twice:entry {{ trace(probemod); }}", ("value", 1))
        assert t.data == ["a.out"], module


@pytest.mark.parametrize("module", ["libc", "libc.so.6", "libc.so*"])
def test_library(watch_target, module):
    t = watch_target(
        f"pid$1:{module}:fflush:entry {{ trace(probemod); }}",
        ("value", 1),
    )
    assert t.data and set(t.data) == {"libc.so.6"}


def test_module_by_path(watch_target, target_binary):
    t = watch_target(
        f"pid$1:{target_binary}:twice:entry /arg0 == 3/ {{ trace(probemod); }}", ("value", 3)
    )
    assert t.data == ["a.out"]


def test_globs(watch_target):
    t = watch_target("pid$1:a.out:*ddle:,pid$1:a.out:inne?:entry { }", ("nested", 3))
    assert len(t.firings) == 3 * 3
    assert {f.probe["name"] for f in t.firings} == {"entry", "return"}


def test_stacks(watch_target):
    t = watch_target(
        "pid$1:a.out:inner:entry { ustack(4); usym(ucaller); } "
        "pid$1:a.out:inner:return { ustack(2); }",
        ("nested", 1),
    )
    entry, caller, back = t.data
    names = [frame.split("+")[0] for frame in entry]
    assert names[:3] == ["utarget`inner", "utarget`middle", "utarget`outer"]
    assert caller == "utarget`middle"
    assert back[0].split("+")[0] == "utarget`middle"


def test_registers(watch_target):
    t = watch_target(
        "pid$1:a.out:twice:entry { trace(uregs[R_RDI]); trace(uregs[R_PC] == uregs[R_RIP]); }",
        ("value", 77),
    )
    assert t.data == [77, 1]


@pytest.mark.skipif(SLOW_KERNEL, reason="this kernel has no links of many uprobes")
def test_all_at_once(watch_target, target):
    """Every function of every file of the process that can be probed: it goes on working."""
    t = watch_target("pid$1:::entry { @[probemod] = count(); }", ("value", 21), ("text", "hello"))
    assert target.do("value", 4) == 8
    rows = t.aggregations()[1]
    assert rows["a.out"] == 4
    assert rows["libc.so.6"] > 1


@pytest.mark.skipif(SLOW_KERNEL, reason="this kernel has no links of many uprobes")
def test_enabling_is_quick(target, new_trace):
    """1024 functions.  The kernel takes its time to let go of them; generous, for loaded machines."""
    t = new_trace()
    t.consumer.strcompile("pid$1:a.out:many_*:entry { @ = count(); }", [str(target.pid)])
    began = time.process_time()
    t.consumer.go()
    if os.environ.get("PYDTRACE_GUEST"):
        return
    assert time.process_time() - began < 1


def test_glob_of_processes(trace, start_target):
    a, b = start_target(), start_target()
    prefix = os.path.commonprefix([str(a.pid), str(b.pid)])
    t = trace(
        f"pid{prefix}*:a.out:twice:entry /pid == $1 || pid == $2/ {{ @[probeprov] = count(); }}",
        a.pid,
        b.pid,
    )
    a.do("value", 1)
    b.do("value", 1)
    b.do("value", 1)
    rows = t.finish().aggregations()[1]
    assert rows == {f"pid{a.pid}": 1, f"pid{b.pid}": 2}


def test_no_such_process():
    child = subprocess.Popen(["true"])
    child.wait()
    e = compile_error("pid$1:::entry { }", child.pid)
    assert f"cannot look at process {child.pid}: there is no such process" in str(e)
    assert e.tag == "D_PROC_GRAB"


def test_nothing_matches(target):
    e = compile_error("pid$1:a.out:no_such_function:entry { }", target.pid)
    assert e.tag == "D_PDESC_ZERO"
    e = compile_error("pid$1:/no/such/file:main:entry { }", target.pid)
    assert e.tag == "D_PROC_LIB"
    assert "/no/such/file" in str(e)


def test_instructions(watch_target):
    """Every instruction of a function, in the order in which they run; ret is the last one."""
    t = watch_target("pid$1:a.out:twice:[0-9a-f] { trace(probename); }", ("value", 1))
    names = [int(name, 16) for name in t.data]
    assert names[0] == 0
    assert names == sorted(set(names))
    assert len(names) >= 2
    offset = t.data[1]
    t = watch_target(
        f"pid$1:a.out:twice:{offset} {{ trace(uregs[R_RDI]); trace(arg0); }}", ("value", 5)
    )
    assert t.data == [5, 0]
    assert t.firings[0].name.endswith(f":a.out:twice:{offset}")


def test_all_of_a_function(watch_target):
    t = watch_target("pid$1:a.out:twice: { @[probename] = count(); }", ("value", 1))
    rows = t.aggregations()[1]
    assert {"entry", "return", "0"} <= set(rows)
    assert set(rows.values()) == {1}


def test_instruction_by_address(watch_target, target, target_binary):
    nm = subprocess.run(["nm", target_binary], capture_output=True, text=True, check=True)
    address = next(line.split()[0] for line in nm.stdout.splitlines() if line.endswith(" twice"))
    t = watch_target(f"pid$1:a.out:-:{int(address, 16):x} {{ trace(uregs[R_RDI]); }}", ("value", 6))
    assert t.data == [6]


def test_wrong_offsets(target):
    e = compile_error("pid$1:a.out:twice:ffff { }", target.pid)
    assert (e.tag, "is not in the function" in str(e)) == ("D_PROC_OFF", True)
    # the first instruction of a function with a frame has one byte (push) or, with endbr64, four
    e = compile_error("pid$1:a.out:main:2 { }", target.pid)
    assert (e.tag, "not where an instruction starts" in str(e)) == ("D_PROC_ALIGN", True)
    assert compile_error("pid$1:a.out:-:1 { }", target.pid).tag == "D_PROC_OFF"
