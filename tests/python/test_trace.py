# SPDX-License-Identifier: Apache-2.0
"""The classic consumer on the running kernel: programs, records, options, errors."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, own_name

import dtrace

pytestmark = pytest.mark.kernel

Open = Callable[..., dtrace.DTraceConsumer]
RunProgram = Callable[..., Run]

BEGIN = {"provider": "dtrace", "module": "", "function": "", "name": "BEGIN"}
END = {**BEGIN, "name": "END"}


# ---- compiling ----------------------------------------------------------------------------------


def test_wrong_arguments(open_consumer: Open) -> None:
    c = open_consumer()
    for nonsense in (None, 61707, 1.5, {}, [], object(), b"BEGIN"):
        with pytest.raises(TypeError):
            c.strcompile(nonsense)  # type: ignore[arg-type]
    for method in (c.strcompile, c.consume, c.aggwalk):
        with pytest.raises(TypeError):
            method()  # type: ignore[operator]


@pytest.mark.parametrize("program", ["this is not D", "BEGIN {", "BEGIN { trace(nothing_known) }"])
def test_text_that_is_not_d(open_consumer: Open, program: str) -> None:
    with pytest.raises(dtrace.CompileError) as e:
        open_consumer().strcompile(program)
    error = e.value
    assert error.tag and error.tag.startswith("D_")
    assert error.line == 1
    assert error.column and error.column >= 1
    assert "^" in error.text
    assert "line 1" in error.message
    assert "\n" not in error.message
    assert error.diagnostics[0].tag == error.tag


def test_where_the_error_is(open_consumer: Open) -> None:
    with pytest.raises(dtrace.CompileError) as e:
        open_consumer().strcompile("BEGIN\n{\n\ttrace(1);\n\ttrace(nothing_known);\n}\n")
    assert (e.value.line, e.value.column) == (4, 8)


def test_an_unknown_probe(open_consumer: Open) -> None:
    with pytest.raises(dtrace.CompileError, match="nosuchprovider") as e:
        open_consumer().strcompile("nosuchprovider:::nothing { trace(1) }")
    assert e.value.tag == "D_PDESC_ZERO"


def test_a_consumer_survives_a_wrong_program(open_consumer: Open) -> None:
    r = Run(open_consumer())
    for _ in range(3):
        with pytest.raises(dtrace.CompileError):
            r.consumer.strcompile("BEGIN { wrong }")
    r.start("BEGIN { trace(1); exit(0) }").finish()
    assert r.data == [1]


def test_not_after_go(open_consumer: Open) -> None:
    r = Run(open_consumer()).start("BEGIN { trace(9904) }")
    with pytest.raises(dtrace.DTraceError):
        r.consumer.go()
    with pytest.raises(dtrace.DTraceError):
        r.consumer.strcompile("BEGIN { trace(61707) }")
    r.poll()
    assert r.data == [9904]


def test_several_programs(open_consumer: Open) -> None:
    r = Run(open_consumer())
    r.consumer.strcompile("BEGIN { trace(1) }")
    r.consumer.strcompile('BEGIN { trace("two"); exit(0) }')
    r.consumer.go()
    assert r.finish().data == [1, "two"]


def test_macro_arguments(open_consumer: Open) -> None:
    r = Run(open_consumer())
    r.consumer.strcompile("BEGIN { trace($1); trace($$2); exit(0) }", ["42", "text"])
    r.consumer.go()
    assert r.finish().data == [42, "text"]


# ---- records ------------------------------------------------------------------------------------


def test_begin(open_consumer: Open) -> None:
    r = Run(open_consumer()).start("BEGIN { trace(9904) }")
    r.poll()
    assert r.records == [(BEGIN, 9904), (BEGIN, None)]
    r.poll()
    assert len(r.records) == 2


def test_end_comes_after_stop_only(open_consumer: Open) -> None:
    r = Run(open_consumer()).start("END { trace(61707) }")
    r.poll()
    time.sleep(0.1)
    r.poll()
    assert r.records == []
    r.consumer.stop()
    assert r.poll() is True
    assert r.records == [(END, 61707), (END, None)]
    assert r.consumer.status is dtrace.Status.STOPPED


def test_tick(run: RunProgram) -> None:
    r = run("int n; tick-20ms { trace(n++) }", finish=False)
    r.until(lambda: len(r.data) >= 5)
    assert r.data == list(range(len(r.data)))
    assert all(p["provider"] == "profile" and p["name"] == "tick-20ms" for p, _ in r.records)
    assert [rec is None for _, rec in r.records] == [False, True] * len(r.data)


def test_tick_second(run: RunProgram) -> None:
    r = run("int n; tick-1sec { trace(n++) }", finish=False)
    start = time.monotonic()
    r.until(lambda: len(r.data) >= 2)
    assert r.data == [0, 1]
    assert time.monotonic() - start > 1


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1", 2),
        ("-1", -1),
        ("-1L", -1),
        ("(unsigned int)-1", 2**32 - 1),
        ("(uint64_t)-1", 2**64 - 1),
        ("(int64_t)1 << 63", -(2**63)),
        ("(char)200", -56),
        ("(uint8_t)200", 200),
        ("(short)-2", -2),
        ('"hello"', "hello"),
        ('""', ""),
        ('strjoin("a", "bc")', "abc"),
        ("1 < 2", 1),
    ],
)
def test_values(run: RunProgram, expression: str, value: Any) -> None:
    r = run(f"BEGIN {{ trace({expression}); exit(0) }}")
    assert r.data == [value]
    assert type(r.data[0]) is type(value)


def test_builtins(run: RunProgram) -> None:
    r = run("BEGIN { trace(pid); trace(execname); trace(probename); trace(uid); exit(3) }")
    assert r.data == [os.getpid(), own_name(), "BEGIN", os.getuid()]
    assert r.consumer.exit_status == 3
    assert r.consumer.status in (dtrace.Status.EXITED, dtrace.Status.STOPPED)


def test_system_calls(run: RunProgram) -> None:
    mine = f"/pid == {os.getpid()}/"
    r = run(
        f"syscall::getppid:entry {mine} {{ trace(probefunc) }}"
        f"syscall::getppid:return {mine} {{ trace((int)arg0) }}",
        finish=False,
    )
    for _ in range(3):
        os.getppid()
    r.until(lambda: len(r.data) >= 6)
    assert r.data == ["getppid", os.getppid()] * 3
    assert [p["name"] for p, rec in r.records if rec is not None] == ["entry", "return"] * 3
    assert r.records[0][0]["provider"] == "syscall"
    assert r.records[0][0]["function"] == "getppid"


def test_a_stack(run: RunProgram) -> None:
    r = run(f"syscall::getppid:entry /pid == {os.getpid()}/ {{ stack(); ustack() }}", finish=False)
    os.getppid()
    r.until(lambda: len(r.data) >= 2)
    kernel, user = r.data[:2]
    assert kernel and all(isinstance(f, str) and f for f in kernel)
    assert any("`" in f for f in kernel)
    assert user and any("getppid" in f for f in user)


def test_tracemem(run: RunProgram) -> None:
    r = run(
        f"""
        syscall::write:entry /pid == {os.getpid()} && arg2 == 7/
        {{ tracemem(copyin(arg1, 7), 16, arg2); trace(copyinstr(arg1)); exit(0) }}""",
        finish=False,
    )
    with open("/dev/null", "wb", buffering=0) as f:
        f.write(b"\x00\xffabc\x01\x02")
    r.finish()
    assert r.data[0] == b"\x00\xffabc\x01\x02"
    assert r.data[1] == ""


def test_strings_may_hold_any_bytes(run: RunProgram) -> None:
    r = run(
        f"syscall::chdir:entry /pid == {os.getpid()}/ {{ trace(copyinstr(arg0)); exit(0) }}",
        finish=False,
    )
    name = b"/no/such/\xff\xfe\xc3\xa9"
    with pytest.raises(FileNotFoundError):
        os.chdir(name)
    r.finish()
    assert r.data == [os.fsdecode(name)]


def test_many_records_in_order(run: RunProgram) -> None:
    r = run(f"int n; syscall::getppid:entry /pid == {os.getpid()}/ {{ trace(n++) }}", finish=False)
    for _ in range(20000):
        os.getppid()
    r.until(lambda: len(r.data) >= 20000)
    assert r.data == list(range(20000))


def test_a_callbacks_exception(run: RunProgram) -> None:
    r = run("tick-1ms { trace(1) }", finish=False)

    def fail(probe: dict[str, str], rec: Any) -> None:
        raise KeyError(rec)

    with pytest.raises(KeyError) as e:
        while True:
            r.consumer.consume(fail)
    assert e.value.args == (1,)
    r.until(lambda: len(r.data) >= 3)


def test_stop_inside_a_callback(run: RunProgram) -> None:
    r = run("tick-1ms { trace(1) } END { trace(2) }", finish=False)
    end = time.monotonic() + 10

    def stop(probe: dict[str, str], rec: Any) -> None:
        r.consumer.stop()

    while r.consumer.status is not dtrace.Status.STOPPED:
        assert time.monotonic() < end
        r.consumer.consume(stop)
    assert r.poll() is True
    assert r.data[-1] == 2


def test_close_inside_a_callback(run: RunProgram) -> None:
    r = run("BEGIN { trace(1) } tick-1ms { trace(1) }", finish=False)
    r.consumer.consume(lambda probe, rec: r.consumer.close())
    assert r.consumer.closed


# ---- printf -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('"plain"', "plain"),
        ('"%d", 42', "42"),
        ('"%d %d", -1, 2', "-1 2"),
        ('"%5d|%-5d|%05d", 42, 42, 42', "   42|42   |00042"),
        ('"%u", (unsigned int)-1', "4294967295"),
        ('"%x %X %#x", 255, 255, 255', "ff FF 0xff"),
        ('"%o", 8', "10"),
        ('"%c%c", 72, 105', "Hi"),
        ('"%s", "text"', "text"),
        ('"[%10s|%-10s|%.2s]", "right", "left", "cut"', "[     right|left      |cu]"),
        ('"100%%"', "100%"),
        ('"%s=%d", "a", 1', "a=1"),
        ('"tab\\there"', "tab\there"),
        ('"%p", (void *)0xff', "ff"),
        ('"%lld", (long long)1 << 40', str(1 << 40)),
        ('"%d %s %d %s", 1, "two", 3, "four"', "1 two 3 four"),
    ],
)
def test_printf(run: RunProgram, arguments: str, text: str) -> None:
    r = run(f"BEGIN {{ printf({arguments}); exit(0) }}")
    assert r.data == [text]


def test_printf_of_time(run: RunProgram) -> None:
    r = run('BEGIN { printf("%Y", walltimestamp); exit(0) }')
    assert str(datetime.datetime.now().year) in r.data[0]


def test_printf_between_others(run: RunProgram) -> None:
    r = run('BEGIN { trace(1); printf("two %d", 2); trace("three"); printf("4"); exit(0) }')
    assert r.records == [(BEGIN, rec) for rec in (1, "two 2", "three", "4", None)]


def test_printa(run: RunProgram) -> None:
    r = run('BEGIN { @a["x"] = sum(5); @a["y"] = sum(7); printa("%s=%@d;", @a); exit(0) }')
    assert r.data == ["x=5;y=7;"]


# ---- text to a file -----------------------------------------------------------------------------


def test_write(open_consumer: Open, tmp_path: Path) -> None:
    c = open_consumer()
    c.setopt("quiet")
    c.strcompile(
        r"""
        BEGIN { @a["x"] = sum(5); @a["y"] = sum(7); }
        BEGIN { printf("%s %d\n", probename, 3); trace("text"); trace(4); }
        BEGIN { printa("\n%s=%@d;", @a); stack(1); clear(@a); printa("%@d;", @a); exit(3); }
        END { printf("end\n"); }
        """
    )
    c.go()
    with open(tmp_path / "f", "w+") as out:
        out.write("before\n")
        while not c.write(out):
            c.sleep(0.1)
        lines = (tmp_path / "f").read_text().split("\n")
        assert out.seek(0, 1) == out.seek(0, 2)
    assert lines[:5] == ["before", "BEGIN 3", "text4", "x=5;", "y=7;"]
    assert "`" in lines[5] and lines[-2:] == ["0;0;end", ""]
    assert c.exit_status == 3


def test_write_and_consume_take_turns(open_consumer: Open, tmp_path: Path) -> None:
    r = Run(open_consumer())
    r.start(f'syscall::getppid:entry /pid == {os.getpid()}/ {{ printf("%d\\n", ++n) }}', quiet=True)
    with open(tmp_path / "f", "w") as out:
        for _ in range(3):
            os.getppid()
            r.consumer.write(out)
            os.getppid()
            r.poll()
    assert (tmp_path / "f").read_text() == "1\n3\n5\n"
    assert r.data == ["2\n", "4\n", "6\n"]


# ---- options ------------------------------------------------------------------------------------


def test_options_that_are_refused(open_consumer: Open) -> None:
    c = open_consumer()
    with pytest.raises(TypeError):
        c.setopt()  # type: ignore[call-arg]
    for name, value in [
        ("nonesuch", None),
        ("nonesuch", "1"),
        ("bufpolicy", None),
        ("bufpolicy", "nonesuch"),
        ("bufpolicy", True),
        ("dynvarsize", True),
        ("dynvarsize", 1.23),
        ("quiet", 1.024),
        ("bufsize", -1),
    ]:
        with pytest.raises(dtrace.DTraceError):
            c.setopt(name, value)
    for wrong in ([], {}, datetime.datetime.now(), object()):
        with pytest.raises(TypeError):
            c.setopt("quiet", wrong)  # type: ignore[arg-type]


def test_options_that_are_accepted(open_consumer: Open) -> None:
    c = open_consumer()
    for value in (None, True, False, 1024, "1", "0", "false"):
        c.setopt("quiet", value)
    for name, text in [
        ("bufsize", "1m"),
        ("bufsize", 65536),
        ("bufpolicy", "switch"),
        ("switchrate", "10ms"),
        ("aggrate", "5hz"),
        ("strsize", "64"),
        ("dynvarsize", "2m"),
    ]:
        c.setopt(name, text)


@pytest.mark.parametrize(
    ("value", "quiet"), [(None, True), (True, True), ("yes", True), (False, False), ("no", False)]
)
def test_a_flag_is_set_and_unset(
    open_consumer: Open, tmp_path: Path, value: Any, quiet: bool
) -> None:
    r = Run(open_consumer()).start("BEGIN { trace(1) }", quiet=not quiet)
    r.consumer.setopt("quiet", value)
    with open(tmp_path / "f", "w") as out:
        r.consumer.write(out)
    assert (tmp_path / "f").read_text() == ("1" if quiet else " " * 10 + "1\n")


def test_no_run_time_options_after_go(open_consumer: Open) -> None:
    r = Run(open_consumer()).start("BEGIN { trace(1) }")
    with pytest.raises(dtrace.DTraceError, match="active"):
        r.consumer.setopt("bufsize", "1m")
    r.consumer.setopt("quiet")


def test_strsize(run: RunProgram) -> None:
    assert run('BEGIN { trace("0123456789"); exit(0) }', strsize=8).data == ["0123456"]


# ---- faults, drops ------------------------------------------------------------------------------


def test_a_fault(open_consumer: Open) -> None:
    faults: list[dtrace.Fault] = []
    r = Run(open_consumer(on_error=faults.append))
    r.start("BEGIN { trace(1); trace(*(int *)0x10); trace(2) } BEGIN { trace(3); exit(0) }")
    r.finish()
    assert r.data == [3]
    assert len(faults) == 1
    assert faults[0].address == 0x10
    assert faults[0].probe["name"] == "BEGIN"
    assert "invalid address" in faults[0].message
    assert not faults[0].message.endswith("\n")
    assert r.consumer.faults == 1


def test_a_fault_warns(open_consumer: Open) -> None:
    r = Run(open_consumer()).start("BEGIN { trace(1 / (int)(timestamp & 0)) } BEGIN { exit(0) }")
    with pytest.warns(dtrace.FaultWarning, match="divide-by-zero"):
        r.finish()


def test_the_error_probe(open_consumer: Open) -> None:
    r = Run(open_consumer(on_error=lambda fault: None))
    r.start("BEGIN { trace(*(int *)0x10) } ERROR { trace(arg5); exit(1) }")
    assert r.finish().data == [0x10]


def test_drops(open_consumer: Open) -> None:
    drops: list[dtrace.Drop] = []
    r = Run(open_consumer(on_drop=drops.append))
    r.start(
        f"syscall::getppid:entry /pid == {os.getpid()}/ {{ trace(0) }}",
        bufsize="4k",
        statusrate="1ms",
    )
    for _ in range(20000):
        os.getppid()
    time.sleep(0.01)
    r.until(lambda: bool(drops))
    assert drops[0].kind is dtrace.DropKind.PRINCIPAL
    assert re.match(r"\d+ drops? on CPU \d+", drops[0].message)
    r.consumer.stop()
    r.poll()
    assert len(r.data) + r.consumer.drops == 20000


# ---- about --------------------------------------------------------------------------------------


def test_version(open_consumer: Open) -> None:
    c = open_consumer()
    words = c.version().split(" ")
    assert len(words) == 3
    major, minor = map(int, words[2].split(".")[:2])
    assert major == 1 and minor >= 5
    assert c.engine == "embedded"


def test_limits(open_consumer: Open) -> None:
    c = open_consumer()
    assert c.aggmin() == -(2**63)
    assert c.aggmax() == 2**63 - 1
