# SPDX-License-Identifier: Apache-2.0
"""Static probes: of a process, of many, and of a file; every kind of operand."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from test_pid import compile_error

pytestmark = pytest.mark.kernel


def test_registers(watch_target):
    """Every width, signed and not, and bits 8 to 15."""
    t = watch_target(
        "target$1:a.out:fire:registers"
        "{ trace(arg0); trace(arg1); trace(arg2); trace(arg3); trace(arg4); trace(arg5); trace(arg6); }",
        ("probes", 1),
    )
    value = 0xFFFFFFF0FFFFF2F1
    signed32 = (value & 0xFFFFFFFF) - (1 << 32)
    assert [x % 2**64 for x in t.data] == [
        x % 2**64 for x in (value, signed32, value & 0xFFFFFFFF, -0x0D0F, 0xF1, 0xF2, 0)
    ]
    assert t.firings[0].name.split(":")[1:] == ["utarget", "fire", "registers"]


def test_constants(watch_target):
    t = watch_target(
        "target$1:::constants { trace((long)arg0); trace(arg1); trace(arg2); trace((long)arg3); }",
        ("probes", 1),
    )
    assert t.data == [-3, 16, 300 & 255, -(2**63)]


def test_memory(watch_target):
    """On the stack, of a name, of a name with an offset, base and index, scaled."""
    t = watch_target(
        "target$1:::memory { trace(arg0); trace((int)arg1); trace(arg2); trace(arg3); trace(arg4); }",
        ("probes", 2),
    )
    assert t.data == [0, -5, 13, 13, 14, 100, -5, 13, 13, 14]


def test_text(watch_target):
    assert watch_target("target$1:::text { trace(copyinstr(arg0)); }", ("probes", 1)).data == [
        "fired"
    ]


def test_what_cannot_be_had_is_zero(watch_target):
    t = watch_target(
        "target$1:::nothing { trace(arg0); trace(arg1); trace(arg2); trace(arg3); }", ("probes", 1)
    )
    assert t.data == [0, 0, 0, 7]


def test_dashes(watch_target):
    t = watch_target("target$1:::no-size { trace(arg0); trace(arg1); }", ("probes", 2))
    assert t.data == [0, 5, 1, 5]


def test_one_probe_at_two_places(watch_target):
    t = watch_target("target$1:::twice { trace(arg0); }", ("probes", 3))
    assert t.data == [0, 1, 1, 2, 2, 3]


def test_guarded(trace, target):
    """The counter is up while somebody traces, so that the program gets there."""
    assert target.do("probes", 5) == 0
    t = trace("target$1:::guarded { @ = sum(arg0); @n = count(); }", target.pid)
    assert target.do("probes", 5) == 5
    t.finish()
    assert target.do("probes", 5) == 5
    rows = t.aggregations()
    assert rows == {1: {(): 10}, 2: {(): 5}}


def test_types(watch_target):
    t = watch_target(
        "target$1:::registers { trace(args[1] < 0); trace(args[2] > 0); trace(sizeof (args[3])); }",
        ("probes", 1),
    )
    assert t.data == [1, 1, 2]


def test_all_of_a_provider(watch_target):
    t = watch_target("target$1::: { @[probename] = count(); }", ("probes", 3))
    assert t.aggregations()[1] == {
        "registers": 3,
        "constants": 3,
        "memory": 3,
        "text": 3,
        "nothing": 3,
        "no-size": 3,
        "guarded": 3,
        "twice": 6,
    }


def test_all_processes(trace, start_target):
    a, b = start_target(), start_target()
    t = trace(
        "targe[t]*:::twice /pid == $1 || pid == $2/ { @[probeprov] = count(); }", a.pid, b.pid
    )
    a.do("probes", 2)
    b.do("probes", 3)
    assert t.finish().aggregations()[1] == {f"target{a.pid}": 4, f"target{b.pid}": 6}


def test_of_a_file(trace, target_binary, start_target):
    """In processes that are there and in those that come."""
    old = start_target()
    t = trace(
        f"usdt:{target_binary}:target:guarded /pid == $1 || pid == $2/ {{ @[pid] = count(); }}"
        "usdt:" + str(target_binary) + ":target:twice { @f[probefunc, probename] = count(); }",
        old.pid,
        0,
    )
    new = start_target()
    old.do("probes", 2)
    new.do("probes", 3)
    rows = t.finish().aggregations()
    assert rows[1] == {old.pid: 2}
    assert rows[2] == {("target", "twice"): 10}


def test_functions_of_a_file(trace, target_binary, start_target):
    old = start_target()
    t = trace(
        f"uprobe:{target_binary}:twice:entry {{ @[pid, arg0] = count(); }}"
        f"uprobe:{target_binary}:twice:return {{ @r[probemod, arg1] = count(); }}"
    )
    new = start_target()
    old.do("value", 2)
    new.do("value", 3)
    rows = t.finish().aggregations()
    assert rows[1] == {(old.pid, 2): 1, (new.pid, 3): 1}
    assert rows[2] == {("utarget", 4): 1, ("utarget", 6): 1}


def test_nothing_matches(target):
    e = compile_error("target$1:::no-such { }", target.pid)
    assert e.tag == "D_PDESC_ZERO"
    assert compile_error("usdt:/no/file:a:b { }").tag == "D_PROC_LIB"
    assert compile_error("usdt:/etc/passwd:a:b { }").tag == "D_PDESC_ZERO"


def test_matches_nothing_yet(watch_target):
    t = watch_target("nothing$1:nowhere:: { @[probefunc] = count(); }", ("probes", 1), zdefs=True)
    assert not t.aggregations()


def test_python(trace):
    """A Python with static probes, such as Debian's."""
    python = next(
        (p for p in ("/usr/bin/python3", sys.executable) if has_notes(p)),
        None,
    )
    if python is None:
        pytest.skip("no Python here has static probes")
    code = """
import gc, sys
gc.disable()
print("ready", flush=True)
input()
for i in range(7):
    gc.collect(i % 3)
import colorsys
sys.audit("my event", 1)
print(1, flush=True)
input()
"""
    child = subprocess.Popen(
        [python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        child.stdout.readline()
        t = trace(
            "python$1:::gc-start { @[arg0] = count(); }"
            "python$1:::gc-done { @done = count(); }"
            "python$1:::import-find-load-start { @imports[copyinstr(arg0)] = count(); }"
            "python$1:::audit { @events[copyinstr(arg0)] = count(); }",
            child.pid,
        )
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        rows = t.finish().aggregations()
        assert rows[1] == {0: 3, 1: 2, 2: 2}
        assert rows[2] == {(): 7}
        assert rows[3]["colorsys"] == 1
        assert rows[4]["my event"] == 1
    finally:
        child.kill()
        child.communicate()


def has_notes(program: str) -> bool:
    readelf = shutil.which("readelf")
    if readelf is None or shutil.which(program) is None:
        return False
    out = subprocess.run([readelf, "-n", program], capture_output=True, text=True, check=False)
    return "gc__start" in out.stdout
