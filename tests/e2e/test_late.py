# SPDX-License-Identifier: Apache-2.0
"""Libraries that a process loads while it is traced, and processes that are started for the tracing."""

from __future__ import annotations

import time

import pytest
from commandline import PATIENCE

import dtrace

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="session")
def plugin(compile_c):
    return compile_c("uplugin.c", "-shared", "-fPIC", name="libuplugin.so")


def call_until_seen(t, target, count):
    """Calls one by one until the tracing has noticed the library."""
    end = time.monotonic() + PATIENCE
    while not count():
        target.do("plugin", 1)
        t.poll()
        time.sleep(0.01)
        assert time.monotonic() < end, "the library was not noticed"


def test_functions_of_a_late_library(trace, target, plugin):
    t = trace(
        "pid$1:libuplugin:plugin_inner:entry { trace(arg0); trace(probefunc); trace(probemod); }"
        'pid$1:libuplugin:plugin_*:entry { @[probefunc] = count(); @s[strjoin(probefunc, "!")] = count(); }',
        target.pid,
        zdefs=True,
    )
    assert target.do("load", plugin) == 1
    call_until_seen(t, target, lambda: t.firings)
    before = len(t.firings)
    target.do("plugin", 5)
    t.finish()
    new = [f for f in t.firings[before:] if f.data][-5:]
    assert [f.data for f in new] == [[i, "plugin_inner", "libuplugin.so"] for i in range(5)]
    assert {f.name.split(":", 1)[1] for f in new} == {"libuplugin.so:plugin_inner:entry"}
    rows = t.aggregations()
    total = sum(1 for f in t.firings if f.data)
    assert rows[1]["plugin_inner"] == total
    assert rows[1]["plugin_work"] >= total - 1
    assert rows[2]["plugin_inner!"] == total


def test_static_probes_of_a_late_library(trace, target, plugin):
    t = trace(
        "plugin$1:::work-done { trace((long)arg0); } plugin$1::plugin_work: { @[probename] = count(); }",
        target.pid,
        zdefs=True,
    )
    assert target.do("load", plugin) == 1
    call_until_seen(t, target, lambda: t.data)
    t.poll()
    before = len(t.data)
    target.do("plugin", 4)
    assert t.finish().data[before:] == [0, 1, 2, 3]
    assert t.aggregations()[1] == {"work-done": len(t.data)}


def test_by_path_it_is_known_before(trace, target, plugin):
    """Nothing is missed."""
    t = trace(f"pid$1:{plugin}:plugin_inner:entry {{ @ = count(); }}", target.pid)
    for _ in range(2):
        target.do("load", plugin)
        target.do("plugin", 10)
        target.do("unload", 0)
    assert t.finish().aggregations()[1] == {(): 20}


# ---- processes that are created -------------------------------------------------------------------


def run_created(new_trace, program, command, **options):
    """A D program about a process that is started for it, to its end."""
    t = new_trace()
    for name, value in options.items():
        t.consumer.setopt(name, value)
    consumer = t.consumer._consumer
    consumer.create([str(word) for word in command], lambda pid, message: None)
    t.consumer.strcompile(program)
    t.consumer.go()
    consumer.resume()
    return t.to_exit()


def test_functions_from_the_start(new_trace, target_binary):
    """All calls are seen, in the program and in its libraries."""
    t = run_created(
        new_trace,
        "pid$target:a.out:main:entry { trace(arg0); }"
        "pid$target:a.out:twice:entry { @ = count(); }"
        "pid$target:libc:exit:entry { @e = count(); trace(probemod); }",
        [target_binary, "fork", "3"],
    )
    assert t.data == [3, "libc.so.6"]
    assert t.aggregations() == {2: {(): 1}}


def test_static_probes_from_the_start(new_trace, target_binary):
    t = run_created(
        new_trace, "target$target:::twice { @ = count(); }", [target_binary, "probes", "3"]
    )
    assert t.aggregations()[1] == {(): 6}


@pytest.fixture(scope="session")
def constructor(compile_c):
    """A library function is called by a constructor, by another one of the program, and by main()."""
    lib = compile_c(
        "ctor_lib.c",
        "-shared",
        "-fPIC",
        name="libctor.so",
        text='int ctor_called(int x) { __asm__ volatile(""); return x; }'
        "__attribute__((constructor)) static void early(void) { ctor_called(1); }",
    )
    return compile_c(
        "ctor.c",
        str(lib),
        f"-Wl,-rpath,{lib.parent}",
        text="int ctor_called(int x);"
        "__attribute__((constructor)) static void early(void) { ctor_called(2); }"
        "int main(void) { return ctor_called(3) - 3; }",
    )


@pytest.mark.parametrize(
    ("when", "seen"), [("preinit", [1, 2, 3]), ("postinit", [2, 3]), ("main", [3])]
)
def test_evaltime(new_trace, constructor, when, seen):
    t = run_created(
        new_trace,
        "pid$target:libctor:ctor_called:entry { trace(arg0); }",
        [constructor],
        evaltime=when,
    )
    assert t.data == seen


def test_evaltime_exec(new_trace, constructor):
    """Before the libraries are there: only the program and its dynamic linker are."""
    with pytest.raises(dtrace.CompileError, match="does not match any probes"):
        run_created(
            new_trace,
            "pid$target:libctor:ctor_called:entry { trace(arg0); }",
            [constructor],
            evaltime="exec",
        )


def test_system_calls_of_the_dynamic_linker_are_seen(new_trace, target_binary):
    """Nothing is run ahead when no description asks for functions."""
    t = run_created(
        new_trace,
        'syscall::openat:entry /pid == $target && basename(copyinstr(arg1)) == "libc.so.6"/ { @ = count(); }',
        [target_binary, "value", "1"],
    )
    assert t.aggregations()[1] == {(): 1}


def test_statically_linked(new_trace, compile_c):
    static = compile_c(
        "static.c",
        "-static",
        text='__attribute__((noinline, noclone)) int called(int x) { __asm__ volatile(""); return x; } int main(void) { return called(5) - 5; }',
    )
    for when in ("exec", "preinit", "postinit", "main"):
        t = run_created(
            new_trace,
            "pid$target:a.out:called:entry { trace(arg0); }",
            [static],
            evaltime=when,
        )
        assert t.data == [5]


def test_the_process_ends(trace, start_target, plugin):
    """While there is more to be looked for: that is no failure."""
    target = start_target()
    t = trace(
        "pid$1:libuplugin:plugin_inner:entry { @ = count(); } pid$1:a.out:twice:entry { trace(arg0); }",
        target.pid,
        zdefs=True,
    )
    target.do("value", 3)
    target.end()
    for _ in range(5):
        t.consumer.sleep(0.05)
        t.poll()
    assert t.finish().data == [3]
