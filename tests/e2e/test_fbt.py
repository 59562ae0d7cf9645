# SPDX-License-Identifier: Apache-2.0
"""fbt and rawfbt: functions of the kernel.  Kernels that let nobody trace them must say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dtrace

pytestmark = pytest.mark.kernel

REFUSED = (
    "needs kprobes or fentry, which this kernel does not offer: fentry: .*kprobe_multi: .*kprobes: "
)


def can_trace() -> bool:
    consumer = dtrace.DTraceConsumer("embedded")
    try:
        consumer.strcompile("fbt:vmlinux:vfs_read:entry /0/ { trace(1); }")
        consumer.go()
    except dtrace.DTraceError as e:
        assert "needs kprobes or fentry" in str(e)
        return False
    finally:
        consumer.close()
    return True


@pytest.fixture(scope="module")
def functions() -> None:
    if os.geteuid() == 0 and not can_trace():
        pytest.skip("this kernel lets nobody trace its functions")


def test_refusal_is_explained(new_trace):
    if can_trace():
        pytest.skip("this kernel does not refuse")
    for name in (
        "fbt::vfs_read:entry",
        "fbt::vfs_read:return",
        "rawfbt::vfs_read:entry",
        "fbt::vfs_*:entry",
    ):
        with pytest.raises(dtrace.DTraceError, match=REFUSED):
            new_trace().go(name + " { trace(1); }")
    # and who did not ask for them by name goes without
    new_trace().go("::getppid:entry, ::*getppid:entry { trace(1); }").finish()


def test_unknown_function(new_trace):
    for name in ("fbt::no_such_function:entry", "fbt:nomod:vfs_read:entry", "fbt::vfs_read:middle"):
        with pytest.raises(dtrace.DTraceError, match="does not match any probes"):
            new_trace().go(name + " { trace(1); }")


def test_entry_and_return(functions, watch):
    """vfs_read(file, buf, count, pos): arguments raw and typed, and the value."""
    t = watch(
        "fbt::vfs_read:entry /pid == $1 && arg2 == 777/"
        "{ trace(stringof(args[0]->f_path.dentry->d_name.name)); trace(args[2]); trace(arg4); self->in = 1; }"
        "fbt::vfs_read:return /self->in/ { trace(args[1]); trace(arg1); trace(arg0); self->in = 0; }",
        ("read", 3, 777),
    )
    assert t.data == ["zero", 777, 0, 777, 777, -1] * 3
    assert [f.name for f in t.firings[:2]] == [
        "fbt:vmlinux:vfs_read:entry",
        "fbt:vmlinux:vfs_read:return",
    ]


def test_raw(functions, watch):
    t = watch(
        "rawfbt::vfs_read:entry /pid == $1 && arg2 == 777/ { @[probeprov, probefunc] = count(); self->in = 1; }"
        "rawfbt::vfs_read:return /self->in/ { @r = sum(arg1); @o = max(arg0); self->in = 0; }",
        ("read", 5, 777),
    )
    assert t.aggregations() == {1: {("rawfbt", "vfs_read"): 5}, 2: {(): 5 * 777}, 3: {(): -1}}


def test_raw_is_untyped(new_trace):
    with pytest.raises(dtrace.DTraceError, match="no arguments of known types"):
        new_trace().go("rawfbt::vfs_read:entry { trace(args[0]); }")


@pytest.mark.skipif(
    "PYDTRACE_GUEST" not in os.environ, reason="thousands of probes on a machine in use"
)
def test_many_functions(functions, trace, workload):
    """By one program and one link, where the kernel has such links: each probe knows its own name."""
    t = trace(
        "fbt::vfs_*:entry, fbt::vfs_*:return /pid == $1/ { @[probefunc, probename] = count(); }"
        "fbt::vfs_r*:entry /pid == $1 && arg2 == 777/ { @n[probefunc] = count(); }",
        workload.pid,
    )
    workload.do("read", 9, 777)
    rows = t.finish().aggregations()
    assert rows[1]["vfs_read", "entry"] >= 9
    assert rows[1]["vfs_read", "return"] >= 9
    assert rows[2] == {"vfs_read": 9}


def test_stack_starts_with_the_function(functions, watch):
    t = watch(
        "fbt::vfs_read:entry /pid == $1 && arg2 == 777/ { stack(3); func(caller); }"
        "rawfbt::vfs_read:entry /pid == $1 && arg2 == 777/ { stack(3); func(caller); }",
        ("read", 1, 777),
    )
    for stack, caller in (t.data[:2], t.data[2:]):
        assert stack[0].split("+")[0] == "vmlinux`vfs_read"
        assert stack[1].split("+")[0] == "vmlinux`ksys_read" == caller


@pytest.mark.skipif(not Path("/sys/kernel/btf/9pnet").exists(), reason="no module to trace")
def test_module(functions, trace):
    """A function of a module and a tracepoint of one, with types that only the module has."""
    t = trace(
        "fbt:9pnet:p9_client_walk:entry { @f[probemod] = count(); }"
        "fbt:9pnet:p9_client_w*:entry { @g[probemod, probefunc] = count(); }"
        "fbt:9pnet:p9_client_walk:entry /args[0]->fid/ { @fid = count(); }"
        "sdt:9p::9p_client_req { @tp[probemod, probename] = count(); @msize[args[0]->msize > 4096] = count(); }"
    )
    for name in ("pyproject.toml", "no such file"):
        Path(__file__).parents[2].joinpath(name).exists()
    Path("/no/such/place").exists()
    rows = t.finish().aggregations()
    assert rows[1]["9pnet"] > 0
    assert rows[2]["9pnet", "p9_client_walk"] > 0
    assert rows[4]["9p", "9p_client_req"] > 0
    assert list(rows[5]) == [1]


@pytest.mark.skipif(
    "PYDTRACE_GUEST" not in os.environ, reason="thousands of probes on a machine in use"
)
def test_untraceable_function(functions, new_trace):
    """Of a function that the kernel keeps to itself it says so, by name."""
    listed = Path("/sys/kernel/tracing/available_filter_functions").read_text().split()
    name = next(n for n in ("native_sched_clock", "sched_clock", "do_int3") if n not in listed)
    with pytest.raises(dtrace.DTraceError, match=rf"{name}|does not match"):
        new_trace().go(f"rawfbt::{name}:entry {{ trace(1); }}")
