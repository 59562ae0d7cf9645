# SPDX-License-Identifier: Apache-2.0
"""The command line: outputs byte for byte as dtrace(1) is documented to lay them out, and its failures."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commandline import (
    PATIENCE,
    PYDTRACE,
    Done,
    Running,
    caught,
    environment,
    pydtrace,
    wait_until,
    writing,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conftest import Workload

pytestmark = pytest.mark.kernel

HEADER = "                   FUNCTION:NAME\n"
BEGIN = "                          :BEGIN "
MATCHED = "dtrace: description 'BEGIN' matched 1 probe\n"


# ---- records ------------------------------------------------------------------------------------


def test_a_record_has_its_probe_in_front() -> None:
    done = pydtrace("-n", 'BEGIN{trace(1); trace("two"); exit(0)}')
    assert done.out == f"{HEADER}{BEGIN}          1  two                              \n\n"
    assert done.err == MATCHED
    assert done.status == 0


def test_the_columns_cpu_and_id() -> None:
    out = pydtrace("-n", "BEGIN{exit(0)}", testing=False).out
    header, line, end = out.splitlines(keepends=True)
    assert header == "CPU     ID                    FUNCTION:NAME\n"
    assert re.fullmatch(r" {0,2}\d+      1                           :BEGIN \n", line)
    assert end == "\n"


def test_quiet_prints_what_the_program_prints() -> None:
    done = pydtrace("-q", "-n", 'BEGIN{printf("%d-%s\\n", $1, $$2); exit(0)}', "7", "x")
    assert (done.out, done.err, done.status) == ("7-x\n\n", "", 0)


def test_the_pragma_quiet_silences_notices() -> None:
    done = pydtrace("-s", "-", stdin="#pragma D option quiet\nBEGIN { exit(0); }")
    assert (done.out, done.err) == ("\n", "")


def test_several_clauses_in_order() -> None:
    done = pydtrace(
        "-n", 'BEGIN{printf("a")}', "-n", 'BEGIN /0/ {printf("no")}', "-n", "BEGIN{exit(0)}"
    )
    assert done.out == f"{HEADER}{BEGIN}a\n{BEGIN}\n\n"
    assert done.err == MATCHED + MATCHED.replace("BEGIN", "BEGIN ") + MATCHED


def test_each_kind_of_clause(tmp_path: Path) -> None:
    script = tmp_path / "x.d"
    script.write_text('BEGIN { printf("script %s", $$0); }\n')
    done = pydtrace(
        *("-P", 'dtrace/probename == "BEGIN"/{printf("provider")}'),
        *("-m", 'dtrace:/probename == "BEGIN"/{printf("module")}'),
        *("-f", 'dtrace::/probename == "BEGIN"/{printf("function")}'),
        *("-n", 'dtrace:::BEGIN{printf("name")}'),
        *("-i", '1{printf("id")}'),
        *("-s", str(script)),
        *("-n", "BEGIN{exit(0)}"),
    )
    words = ["provider", "module", "function", "name", "id", f"script {script}", ""]
    assert done.out == HEADER + "".join(f"{BEGIN}{w}\n" for w in words) + "\n"
    assert done.err == (
        "dtrace: description 'dtrace' matched 3 probes\n"
        "dtrace: description 'dtrace:' matched 3 probes\n"
        "dtrace: description 'dtrace::' matched 3 probes\n"
        "dtrace: description 'dtrace:::BEGIN' matched 1 probe\n"
        "dtrace: description '1' matched 1 probe\n"
        f"dtrace: script '{script}' matched 1 probe\n"
        "dtrace: description 'BEGIN' matched 1 probe\n"
    )


def test_aggregations_come_last() -> None:
    program = """
    BEGIN { @a["x", 1] = sum(2); @a["y", 22] = sum(5); @n = sum(3); @q = quantize(4); exit(0); }
    """
    done = pydtrace("-q", "-n", program)
    row = "  %-50s %8d %16d\n"
    assert done.out == (
        "\n"
        + row % ("x", 1, 2)
        + row % ("y", 22, 5)
        + f" {3:16}\n"
        + "\n           value  ------------- Distribution ------------- count    \n"
        + "               2 |                                         0        \n"
        + "               4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 1        \n"
        + "               8 |                                         0        \n\n"
    )


def test_flowindent() -> None:
    out = pydtrace("-F", "-n", 'BEGIN{printf("x"); exit(0)}').out
    assert out == f"{'FUNCTION':41}\n{'| :BEGIN':41} x\n\n"
    out = pydtrace("-F", "-n", "BEGIN{exit(0)}", testing=False).out
    header, line, _ = out.splitlines(keepends=True)
    assert header == f"CPU {'FUNCTION':41}\n"
    assert line[4:] == f"{'| :BEGIN':41} \n"


def test_flowindent_of_calls(workload: Workload) -> None:
    script = f"syscall::getppid:*/pid == {workload.pid}/{{}} syscall::read:return/pid == {workload.pid} && ++n > 1/{{exit(0)}}"
    with Running("-F", "-n", script) as running:
        running.started()
        workload.do("getppid", 1)
        workload.do("getppid", 1)
    assert f"{' => getppid':41} \n{' <= getppid':41} \n" in running.out


# ---- statuses and failures ------------------------------------------------------------------------


def test_the_status_is_that_of_exit() -> None:
    assert pydtrace("-n", "BEGIN{exit(7)}").status == 7


def test_no_probes() -> None:
    done = pydtrace("-q")
    assert (done.status, done.out, done.err) == (1, "", "dtrace: no probes specified\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-n", "nosuch:::"], "invalid probe specifier nosuch:::: "),
        (["-n", "BEGIN{"], "invalid probe specifier BEGIN{: syntax error"),
        (["-n", "BEGIN{nosuch()}"], "invalid probe specifier BEGIN{nosuch()}: undefined function"),
        (["-s", "/no/such/file"], "failed to open /no/such/file: No such file or directory"),
        (["-x", "nosuch", "-n", "BEGIN"], "failed to set -x nosuch: "),
        (["-b", "lots", "-n", "BEGIN"], "failed to set -b: "),
        (["-p", "x", "-n", "BEGIN"], "invalid pid: x"),
        (["-o", "/no/such/file", "-n", "BEGIN"], "failed to open output file '/no/such/file': "),
        (
            ["-xerrtags", "-n", "BEGIN{x}"],
            "invalid probe specifier BEGIN{x}: [D_IDENT_UNDEF] failed",
        ),
        (["-c", "/no/such/command", "-n", "BEGIN"], "cannot run '/no/such/command': "),
    ],
)
def test_failures(args: list[str], message: str) -> None:
    done = pydtrace(*args)
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("dtrace: " + message)
    assert done.out == ""


def test_without_words_there_is_the_usage() -> None:
    done = pydtrace()
    assert done.status == 2
    assert done.err.startswith("Usage: pydtrace ")
    assert done.out == ""


def test_nothing_needs_to_match_when_more_may_come() -> None:
    done = pydtrace("-Z", "-n", "nosuch:::", "--timeout", "10ms")
    assert (done.status, done.out) == (0, "\n")
    assert done.err == "dtrace: description 'nosuch:::' matched 0 probes\n"


def test_lines_are_named_where_there_are_several() -> None:
    done = pydtrace("-n", "BEGIN\n{x}")
    assert done.err.startswith("dtrace: invalid probe specifier BEGIN\n{x}: line 2: ")


@pytest.mark.parametrize("text", ["BEGIN", "BEGIN;", "BEGIN{} END"])
def test_scripts_say_what_to_do(text: str) -> None:
    done = pydtrace("-xerrtags", "-s", "-", stdin=text)
    assert done.status == 1
    assert done.err.startswith("dtrace: failed to compile script -: [D_SYNTAX] line 1: expected")


def test_descriptions_are_listed_as_they_are_written() -> None:
    rows = pydtrace("-l", "-n", "BEGIN,END,dtrace:::BEGIN").out.splitlines()
    assert [row.split()[-1] for row in rows[1:]] == ["BEGIN", "END", "BEGIN"]


def test_a_script_that_does_not_compile(tmp_path: Path) -> None:
    script = tmp_path / "bad.d"
    script.write_text("BEGIN\n{\n\tx(;\n}\n")
    done = pydtrace("-s", str(script))
    assert done.status == 1
    assert done.err.startswith(f"dtrace: failed to compile script {script}: line 3: ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-@"], "invalid option -- '@'"),
        (["-b"], "option requires an argument -- 'b'"),
        (["-n"], "option requires an argument -- 'n'"),
        (["--nosuch"], "unrecognized option '--nosuch'"),
        (["--format", "nosuch"], "unknown format 'nosuch' (text, json)"),
        (["--timeout", "soon"], "invalid timeout: soon"),
        (["--timeout"], "option '--timeout' requires an argument"),
        (["--live=yes"], "option '--live' doesn't allow an argument"),
        (["-X", "z"], "invalid argument for -X: z"),
    ],
)
def test_wrong_usage(args: list[str], message: str) -> None:
    done = pydtrace(*args)
    assert done.status == 2
    assert done.err.startswith(f"dtrace: {message}\nUsage: pydtrace ")
    assert done.out == ""


def test_destructive_actions_are_announced() -> None:
    done = pydtrace("-w", "-n", "BEGIN{exit(0)}")
    assert done.err == MATCHED + "dtrace: allowing destructive actions\n"


def test_a_fault_is_told_and_tracing_goes_on() -> None:
    done = pydtrace("-n", "BEGIN{trace(*(int *)0)} BEGIN{exit(0)}")
    assert "dtrace: error " in done.err
    assert done.status == 0


# ---- options and arguments --------------------------------------------------------------------------


def test_options_from_the_environment() -> None:
    assert pydtrace("-n", "BEGIN{exit(0)}", DTRACE_OPT_QUIET="").out == "\n"
    done = pydtrace("-n", "BEGIN{exit(0)}", DTRACE_OPT_BUFSIZE="lots")
    assert done.err.startswith("dtrace: failed to set DTRACE_OPT_BUFSIZE: ")


def test_flags_in_one_word_and_arguments_between() -> None:
    done = pydtrace(
        "-qn", 'BEGIN{printf("%d %d %s", $1, $2, $$3); exit(0)}', "5", "-w", "6", "--", "-7"
    )
    assert done.out == "5 6 -7\n"


def test_the_name_of_the_script_is_dollar_zero(tmp_path: Path) -> None:
    script = tmp_path / "name.d"
    script.write_text('BEGIN { printf("%s", $$0); exit(0); }')
    assert pydtrace("-qs", str(script)).out == f"{script}\n"


def test_a_script_that_names_its_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script.d"
    script.write_text(
        f"#!/usr/bin/env -S {' '.join(PYDTRACE)} -s\n#pragma D option quiet\n"
        'BEGIN { printf("%s", $$1); exit(0); }\n'
    )
    script.chmod(0o755)
    done = subprocess.run([script, "hello"], capture_output=True, text=True, env=environment())
    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "", 0)


def test_output_is_appended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("before\n")
    done = pydtrace("-o", str(out), "-qn", 'BEGIN{printf("x"); exit(0)}')
    assert (done.out, done.err) == ("", "")
    assert out.read_text() == "before\nx\n"


def test_compile_only() -> None:
    done = pydtrace("-e", "-n", "BEGIN{exit(3)}")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_stabilities() -> None:
    done = pydtrace("-e", "-v", "-n", "BEGIN{exit(0)}")
    assert done.out == (
        "\nStability attributes for description BEGIN:\n"
        "\n\tMinimum Probe Description Attributes\n"
        "\t\tIdentifier Names: Stable\n\t\tData Semantics:   Stable\n\t\tDependency Class: Common\n"
        "\n\tMinimum Statement Attributes\n"
        "\t\tIdentifier Names: Stable\n\t\tData Semantics:   Stable\n\t\tDependency Class: Common\n"
        "\n"
    )


def test_version() -> None:
    done = pydtrace("-V")
    assert re.fullmatch(r"dtrace: Sun D 1\.\d+(\.\d+)?\n", done.out)


# ---- listing ------------------------------------------------------------------------------------------


def test_a_list_of_probes() -> None:
    done = pydtrace("-l", "-n", "syscall::getppid:entry")
    lines = done.out.splitlines()
    assert lines[0] == "   ID   PROVIDER            MODULE                          FUNCTION NAME"
    assert re.fullmatch(
        r" *\d+    syscall           vmlinux                           getppid entry", lines[1]
    )
    assert len(lines) == 2 and done.status == 0


def test_all_probes_are_many() -> None:
    out = pydtrace("-l").out
    assert len(out.splitlines()) > 500
    assert "\n    1     dtrace                                                     BEGIN\n" in out


def test_a_list_says_more_when_asked() -> None:
    out = pydtrace("-lvn", "syscall::close:entry").out
    attributes = (
        r"\t\tIdentifier Names: \w+\n\t\tData Semantics:   \w+\n\t\tDependency Class: \w+\n"
    )
    assert re.search(
        rf" close entry\n\n\tProbe Description Attributes\n{attributes}"
        rf"\n\tArgument Attributes\n{attributes}"
        r"\n\tArgument Types\n\t\targs\[0\]: unsigned int\n\n$",
        out,
    )


def test_nothing_to_list() -> None:
    done = pydtrace("-l", "-n", "nosuch:::")
    assert done.status == 1
    assert done.err == "dtrace: failed to match nosuch:::: No such probe\n"


# ---- processes ------------------------------------------------------------------------------------------


def test_a_command_is_traced_to_its_end() -> None:
    done = pydtrace(
        *("-n", 'syscall::exit_group:entry/pid == $target/{printf("%s", execname)}'),
        *("-c", "sh -c 'exit 0'"),
    )
    assert re.search(r"exit_group:entry sh\n\n$", done.out)
    assert re.search(r"dtrace: pid \d+ has exited\n$", done.err)
    assert done.status == 0


@pytest.mark.parametrize(
    ("command", "end"),
    [("exit 3", "exited with status 3"), ("kill -KILL $$", "terminated by SIGKILL")],
)
def test_how_a_command_has_ended(command: str, end: str) -> None:
    done = pydtrace("-n", "BEGIN", "-c", f"sh -c '{command}'")
    assert re.search(rf"^dtrace: pid \d+ {end}$", done.err, re.M)
    assert done.status == 0


def test_a_process_is_traced_to_its_end(workload: Workload) -> None:
    program = "syscall::getppid:entry/pid == $target/{@ = count()}"
    with Running("-p", str(workload.pid), "-n", program) as running:
        running.started()
        workload.do("getppid", 5)
        workload.end()
    assert running.out == "\n                5\n"
    assert running.err.endswith(f"dtrace: pid {workload.pid} has exited\n")


# ---- signals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_tracing_and_aggregations_are_printed(number: signal.Signals) -> None:
    with Running("-n", "BEGIN{@ = sum(9)}") as running:
        running.started()
        running.child.send_signal(number)
    assert running.out == "\n\n                9\n"
    assert running.status == 0


def test_a_second_signal_leaves_at_once() -> None:
    # The reader of the pipe is asleep, so the first signal cannot end it.
    program = 'tick-1000hz{printf("%s", "' + "x" * 200 + '"); printf("%200s%200s", "", "")}'
    with Running("-x", "switchrate=1ms", "-n", program) as running:
        running.started()
        pid = running.child.pid
        wait_until(lambda: writing(pid))
        running.child.send_signal(signal.SIGINT)
        wait_until(lambda: not caught(pid))
        assert running.child.poll() is None
        running.child.send_signal(signal.SIGINT)
        assert running.child.wait(PATIENCE) == -signal.SIGINT


def test_a_closed_pipe_ends_quietly() -> None:
    read, write = os.pipe()
    with Running("-x", "switchrate=10ms", "-n", 'tick-100hz{printf("x")}', stdout=write) as running:
        os.close(write)
        assert os.read(read, 10)
        os.close(read)
        assert running.child.wait(PATIENCE) == -signal.SIGPIPE
    assert running.err == "dtrace: description 'tick-100hz' matched 1 probe\n"


def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "w") as full, Running("-n", "BEGIN{exit(0)}", stdout=full) as running:
        pass
    assert running.err == MATCHED + "dtrace: failed to write output: No space left on device\n"
    assert running.status == 1


def test_a_full_disk_under_freopen_is_told() -> None:
    done = pydtrace("-w", "-n", 'BEGIN{freopen("/dev/full"); printf("lost"); exit(0)}')
    assert "No space left on device" in done.err
    assert done.status == 1


def test_the_time_is_limited() -> None:
    start = time.monotonic()
    done = pydtrace("--timeout", "200ms", "-n", "BEGIN{@ = count()}")
    assert done.out == "\n                1\n"
    assert done.status == 0
    assert 0.2 <= time.monotonic() - start < PATIENCE


# ---- terminals ------------------------------------------------------------------------------------------

HOSTILE = r"""
BEGIN
{
    this->s = "\033[2J\302\2331m\377\303\251\r\n";
    printf("\033[1mbold %s|%c", this->s, 27); trace(this->s); @[this->s] = count(); exit(0);
}
"""


def on_a_terminal(*args: str) -> bytes:
    ours, theirs = pty.openpty()
    with Running(*args, stdout=theirs) as running:
        os.close(theirs)
        out = b""
        while running.child.poll() is None or select.select([ours], [], [], 0.1)[0]:
            try:
                out += os.read(ours, 65536)
            except OSError:  # the other end has gone
                break
    os.close(ours)
    return out


def test_traced_text_does_not_steer_the_terminal() -> None:
    out = on_a_terminal("-q", "-n", HOSTILE)
    safe = rb"\x1b[2J\xc2\x9b1m\xff" + "é".encode() + rb"\x0d"
    assert out.startswith(b"\x1b[1mbold " + safe + b"\r\n|" + rb"\x1b" + safe)
    assert out.count(safe) == 3 and out.count(b"\x1b") == 1


def test_elsewhere_traced_text_is_as_it_was() -> None:
    raw = b"\x1b[2J\xc2\x9b1m\xff\xc3\xa9\r"
    assert on_a_terminal("-x", "printable=no", "-q", "-n", HOSTILE).count(raw) == 3
    done = subprocess.run([*PYDTRACE, "-q", "-n", HOSTILE], capture_output=True, check=True)
    assert done.stdout.count(raw) == 3
    done = subprocess.run(
        [*PYDTRACE, "-x", "printable", "-q", "-n", HOSTILE], capture_output=True, check=True
    )
    assert done.stdout.count(b"\x1b") == 1


# ---- static probes --------------------------------------------------------------------------------------

PROVIDER = "provider myapp { probe start(int); probe done(char *, int); };\n"


def run_in(folder: Path, *args: str) -> Done:
    done = subprocess.run(
        [*PYDTRACE, *args], cwd=folder, capture_output=True, text=True, env=environment()
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_header_and_an_object_for_static_probes(tmp_path: Path) -> None:
    (tmp_path / "myapp.d").write_text(PROVIDER)
    header = run_in(tmp_path, "-h", "-s", "myapp.d")
    assert (header.status, header.out, header.err) == (0, "", "")
    text = (tmp_path / "myapp.h").read_text()
    assert "MYAPP_START" in text and "MYAPP_DONE_ENABLED" in text
    done = run_in(tmp_path, "-G", "-s", "myapp.d")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert (tmp_path / "myapp.o").read_bytes()[:18].startswith(b"\x7fELF\x02\x01")
    done = run_in(tmp_path, "-G", "-s", "myapp.d", "-o", "probes.o", "nosuch.o")
    assert done.status == 1
    assert done.err.startswith("dtrace: failed to link script myapp.d: ") and "nosuch.o" in done.err


def test_static_probes_want_scripts(tmp_path: Path) -> None:
    for flag in ("-h", "-G"):
        done = run_in(tmp_path, flag)
        assert (done.status, done.err) == (
            1,
            f"dtrace: {flag} requires one or more scripts or enabling options\n",
        )
    (tmp_path / "myapp").write_text(PROVIDER)
    done = run_in(tmp_path, "-h", "-s", "myapp")
    assert done.status == 1 and "requires an output file" in done.err


def test_the_code_for_the_kernel_is_shown() -> None:
    done = pydtrace("-S", "-n", "BEGIN{exit(0)}")
    assert re.search(r"^== dt_begin\n", done.err, re.M)
    assert "exit" in done.err
    done = pydtrace("-e", "-S", "-n", "BEGIN{exit(0)}")
    assert done.err.startswith("== dt_begin\n") and (done.out, done.status) == ("", 0)


# ---- actions that change the output -----------------------------------------------------------------------


def test_setopt_in_a_program_works_at_once() -> None:
    program = (
        'BEGIN{trace(1)} BEGIN{setopt("quiet")} BEGIN{trace(2)} '
        'BEGIN{setopt("quiet", "no"); trace(3)} BEGIN{exit(0)}'
    )
    out = pydtrace("-n", program).out
    assert out == f"{HEADER}{BEGIN}          1\n{BEGIN}2          3\n{BEGIN}\n\n"


def test_freopen_takes_the_columns_along(tmp_path: Path) -> None:
    file = tmp_path / "out"
    program = (
        f'BEGIN{{freopen("{file}"); trace(1)}} BEGIN{{trace(2)}} '
        'BEGIN{freopen(""); trace(3)} BEGIN{exit(0)}'
    )
    out = pydtrace("-w", "-n", program).out
    assert out == f"{HEADER}{BEGIN}          3\n{BEGIN}\n\n"
    assert file.read_text() == f"          1\n{BEGIN}          2\n{BEGIN}"


def test_commands_print_in_order() -> None:
    program = r'BEGIN{printf("a\n"); system("echo b"); printf("c\n"); exit(0)}'
    assert pydtrace("-w", "-q", "-n", program).out == "a\nb\nc\n\n"
