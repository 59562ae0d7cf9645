# SPDX-License-Identifier: Apache-2.0
"""Actions on processes (option destructive) and on the consumer: its output, its options."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import dtrace

pytestmark = pytest.mark.kernel

GETPPID = "syscall::getppid:entry /pid == $1/ "
LIBRARY = 1000


def written(new_trace, tmp_path, text, **options):
    """What a program writes with write(), and what on_error heard."""
    out = tmp_path / "out"
    t = new_trace()
    options.setdefault("quiet", True)
    t.go(text, **options)
    with out.open("wb") as f:
        while not t.consumer.write(f):
            time.sleep(0.005)
    return out.read_text(), t


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


# ---- processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action", ["raise(9)", "stop()", 'system("true")', 'freopen("x")', "copyout(alloca(4), 0, 4)"]
)
def test_refused_without_the_option(new_trace, action):
    with pytest.raises(dtrace.DTraceError, match="Destructive actions are not allowed"):
        new_trace().go("BEGIN { " + action + "; }")


@pytest.mark.parametrize("pragma", ["#pragma D option destructive\n", ""])
def test_raise(new_trace, start_workload, pragma):
    victim, other = start_workload(), start_workload()
    t = new_trace().go(
        pragma + GETPPID + "{ trace(1); raise(15); trace(2); }",
        victim.pid,
        **({} if pragma else {"destructive": True}),
    )
    victim.tell("getppid", 1)
    assert victim.child.wait(20) == -signal.SIGTERM
    assert other.do("getppid", 1) == 0
    t.finish()
    assert t.data == [1, 2]


def test_stop(new_trace, workload):
    t = new_trace().go(GETPPID + "{ stop(); trace(1); }", workload.pid, destructive=True)
    workload.tell("getppid", 1)
    t.until(lambda: t.data and state(workload.pid) == "T")
    os.kill(workload.pid, signal.SIGCONT)
    assert workload.answer() == 0
    t.finish()


def test_no_such_signal(new_trace, workload):
    t = new_trace().go(GETPPID + "{ raise(9999); }", workload.pid, destructive=True)
    workload.do("getppid", 1)
    t.finish()
    assert len(t.faults) == 1
    assert "illegal operation" in t.faults[0].message.lower()


def test_copyout(new_trace, workload):
    number = workload.do("address", "number")
    text = workload.do("address", "text")
    t = new_trace()
    program = (
        "BEGIN { this->n = (int *)alloca(8); }"
        + GETPPID
        + "{ this->n = (int *)alloca(4); *this->n = 4711; copyout(this->n, $2, 4);"
        ' copyoutstr("new text!", $3, 4); copyoutstr("x", $3 + 9, 100); trace(1); }'
        + GETPPID
        + "{ trace(*(int *)copyin($2, 4)); tracemem(copyin($3, 12), 12); }"
        + GETPPID
        + "{ copyout(alloca(4), 8, 4); }"
    )
    try:
        t.go(program, workload.pid, number, text, destructive=True)
    except dtrace.DTraceError as e:
        assert "locked down" in e.message
        pytest.skip(e.message)
    workload.do("getppid", 1)
    t.finish()
    assert t.data == [1, 4711, b"new  in tx\x00 "]
    assert [f.address for f in t.faults] == [8]


@pytest.mark.parametrize("action", ["chill(5)", "panic()", "breakpoint()", "printm(1, curthread)"])
def test_what_cannot_be(new_trace, action):
    with pytest.raises(dtrace.CompileError, match="is not possible here: "):
        new_trace().go("BEGIN { " + action + "; }", destructive=True)


# ---- output ---------------------------------------------------------------------------------------


def test_system(new_trace, tmp_path):
    target = tmp_path / "said"
    out, _ = written(
        new_trace,
        tmp_path,
        'BEGIN { printf("before\\n"); system("echo %d %s >>' + str(target) + '", 42, "words"); '
        'system("false"); printf("after\\n"); exit(0); }',
        destructive=True,
    )
    assert out == "before\nafter\n"
    assert target.read_text() == "42 words\n"


def test_system_comes_after_what_was_printed(tmp_path, new_trace):
    copy = tmp_path / "copy"
    written(
        new_trace,
        tmp_path,
        f'BEGIN {{ printf("one\\n"); system("cp {tmp_path}/out {copy}"); exit(0); }}',
        destructive=True,
    )
    assert copy.read_text() == "one\n"


@pytest.mark.parametrize("quiet", [True, False])
def test_freopen(new_trace, tmp_path, quiet):
    one, two = tmp_path / "one.5", tmp_path / "two"
    one.write_text("kept\n")
    out, t = written(
        new_trace,
        tmp_path,
        f'BEGIN {{ printf("a"); freopen("{tmp_path}/one.%d", 5); printf("b"); trace(1); }}'
        f'BEGIN {{ printf("c"); freopen("{two}"); printf("d"); freopen(""); printf("e"); }}'
        'BEGIN { freopen(""); printf("f"); exit(0); }',
        destructive=True,
        quiet=quiet,
    )
    if quiet:
        assert (out, one.read_text(), two.read_text()) == ("aef", "kept\nb1c", "d")
    else:
        assert out == "ae\nf\n"
        assert one.read_text() == "kept\nb          1\nc"
        assert two.read_text() == "d"
    assert t.faults == []


def test_freopen_takes_text_from_callbacks_too(new_trace, tmp_path):
    t = new_trace().go(
        f'BEGIN {{ printf("a"); freopen("{tmp_path}/f"); printf("b"); freopen(""); printf("c");'
        " exit(0); }",
        destructive=True,
    )
    t.to_exit()
    assert "".join(t.data) == "ac"
    assert (tmp_path / "f").read_text() == "b"


def test_freopen_that_fails(new_trace, tmp_path):
    out, t = written(
        new_trace,
        tmp_path,
        'BEGIN { freopen("/nowhere/at/all"); printf("still here"); exit(0); }',
        destructive=True,
    )
    assert out == "still here"
    assert len(t.faults) == 1
    assert t.faults[0].fault == LIBRARY
    assert "/nowhere/at/all" in t.faults[0].message
    assert os.strerror(2) in t.faults[0].message


def test_full_disk(new_trace, tmp_path):
    with pytest.raises(dtrace.DTraceError, match="No space left"):
        written(
            new_trace,
            tmp_path,
            'BEGIN { freopen("/dev/full"); printf("lost"); } BEGIN { exit(0); }',
            destructive=True,
        )


def test_ftruncate(new_trace, tmp_path):
    out, _ = written(
        new_trace,
        tmp_path,
        f'BEGIN {{ freopen("{tmp_path}/f"); printf("lost"); ftruncate(); printf("kept"); exit(0); }}',
        destructive=True,
    )
    assert out == ""
    assert (tmp_path / "f").read_text() == "kept"


def test_a_dot_is_no_file(new_trace):
    with pytest.raises(dtrace.CompileError, match="D_FREOPEN_INVALID"):
        new_trace().go('BEGIN { freopen("."); }', destructive=True)


# ---- options --------------------------------------------------------------------------------------


def test_setopt(new_trace, tmp_path):
    out, t = written(
        new_trace,
        tmp_path,
        'BEGIN { trace(1); setopt("quiet"); setopt(strjoin("qui", "et"), "no"); trace(2); '
        'setopt("quiet", "yes"); trace(3); exit(0); }',
        quiet=False,
    )
    assert out == "          1          23\n"
    assert t.faults == []


def test_setopt_that_fails(new_trace, tmp_path):
    out, t = written(
        new_trace,
        tmp_path,
        'BEGIN { setopt("nosuch", "5"); setopt("bufsize", "1m"); setopt("stackindent", "x"); '
        'printf("on"); exit(0); }',
    )
    assert out == "on"
    assert [f.fault for f in t.faults] == [LIBRARY] * 3
    assert 'couldn\'t set option "nosuch" to "5"' in t.faults[0].message
    assert "bufsize" in t.faults[1].message


# ---- exit -----------------------------------------------------------------------------------------


def test_exit(new_trace, workload):
    # The rest of the clause runs, no other clause of this firing, no later firing; END does.
    t = new_trace().go(
        GETPPID
        + "{ trace(1); n++; } syscall::getppid:entry /n == 2/ { exit(7); trace(2); }"
        + GETPPID
        + "{ trace(3); } END { trace(n); }",
        workload.pid,
    )
    workload.do("getppid", 5)
    t.to_exit()
    assert t.data == [1, 3, 1, 2, 2]
    assert t.consumer.exit_status == 7


def test_a_command_is_given_what_was_traced(new_trace, workload, tmp_path):
    target = tmp_path / "names"
    t = new_trace().go(
        'syscall::openat:entry /pid == $1/ { system("echo %s >>' + str(target) + '", '
        "copyinstr(arg1)); }",
        workload.pid,
        destructive=True,
    )
    workload.do("open", 2, "/dev/null")
    t.finish()
    assert target.read_text() == "/dev/null\n" * 2
