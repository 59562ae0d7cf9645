# SPDX-License-Identifier: Apache-2.0
"""Static probes that Python programs define: seen by us and by bpftrace, free when nobody looks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dtrace

pytestmark = pytest.mark.kernel


class Program:
    """A Python program that answers each line with one."""

    def __init__(self, code: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.child.pid
        self.answer()

    def answer(self) -> str:
        return self.child.stdout.readline().strip()

    def do(self, line: object) -> str:
        self.child.stdin.write(f"{line}\n")
        self.child.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


APP = """
import dtrace
provider = dtrace.Provider("myapp")
start = provider.probe("request__start", str, int)
many = provider.probe("many", *[int] * 10)
bare = provider.probe("bare")
computed = 0
def expensive():
    global computed
    computed += 1
    return "computed"
print(start.path, flush=True)
while True:
    n = int(input())
    for i in range(n):
        start("request \\u00e9" if i % 2 else b"raw", -i)
        start(expensive, 100)
        many(*range(1, 11))
        bare.fire()
    print(computed, start.enabled, flush=True)
"""


@pytest.fixture
def app() -> Iterator[Program]:
    program = Program(APP)
    yield program
    program.end()


def test_arguments(trace: Callable[..., object], app: Program) -> None:
    t = trace(
        "myapp$1:::request-start { trace(copyinstr(arg0)); trace((long)arg1); }"
        'myapp$1:::many { printf("%d %d %d %d %d", arg0, arg5, arg6, arg7, arg9); }'
        "myapp$1::bare:bare { @ = count(); }",
        app.pid,
    )
    assert app.do(2) == "2 True"
    t.finish()
    assert t.data == [
        *("raw", 0, "computed", 100, "1 6 7 8 10"),
        *("request é", -1, "computed", 100, "1 6 7 8 10"),
    ]
    assert t.aggregations()[1] == {(): 2}
    assert app.do(1) == "2 False"


def test_nothing_is_computed_for_nobody(app: Program) -> None:
    assert app.do(1000) == "0 False"


def test_types(trace: Callable[..., object], app: Program) -> None:
    t = trace("myapp$1:::request-start { trace(args[1] < 0 || args[1] == 100); }", app.pid)
    app.do(2)
    assert t.finish().data == [0, 1, 1, 1]


def test_by_file_before_the_process_runs(trace: Callable[..., object]) -> None:
    probe = dtrace.Provider("early").probe("bird", int)
    t = trace(f"usdt:{probe.path}:early:bird {{ @[pid] = sum(arg0); }}")
    code = """
        import dtrace
        bird = dtrace.Provider("early").probe("bird", int)
        print("ready", flush=True)
        while True:
            bird(int(input()))
            print("done", flush=True)
        """
    program = Program(code)
    try:
        program.do(40)
        program.do(2)
        probe(5)
        assert t.finish().aggregations()[1] == {program.pid: 42, os.getpid(): 5}
    finally:
        program.end()


def test_probes_that_come_while_tracing(trace: Callable[..., object]) -> None:
    code = """
        import dtrace
        print("ready", flush=True)
        provider = dtrace.Provider("latecomer")
        while True:
            provider.probe(input(), int)(7)
            print("done", flush=True)
        """
    program = Program(code)
    try:
        t = trace(
            "latecomer$1::: { @[probename, (long)arg0] = count(); @n = count(); }",
            program.pid,
            zdefs=True,
        )
        for name in ("one", "two"):
            seen = t.aggregations().get(2, {}).get((), 0)
            t.until(
                lambda name=name, seen=seen: (
                    program.do(name) and t.aggregations().get(2, {}).get((), 0) > seen
                ),
                "the probe",
            )
    finally:
        program.end()


def test_definitions() -> None:
    provider = dtrace.Provider("defs")
    probe = provider.probe("one", str, int)
    assert provider.probe("one", str, int) is probe
    assert provider.probes == {"one": probe}
    assert repr(probe) == "<StaticProbe defs:one(str, int)>"
    assert not probe.enabled
    with pytest.raises(TypeError, match="takes 2 arguments, not 1"):
        probe("x")
    with pytest.raises(ValueError, match="other arguments"):
        provider.probe("one", int)
    with pytest.raises(TypeError, match="int, str or bytes"):
        provider.probe("two", float)
    with pytest.raises(ValueError, match="at most 10"):
        provider.probe("two", *[int] * 11)
    for bad in ("", "a-b", "1a", "a b", "a:b", "é"):
        with pytest.raises(ValueError, match="no name"):
            provider.probe(bad)
        with pytest.raises(ValueError, match="no name"):
            dtrace.Provider(bad)
    with pytest.raises(ValueError, match="no name"):
        dtrace.Provider("app2")


def test_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kept once; a folder that others may write to is not used."""
    from dtrace import _provider

    monkeypatch.setattr(_provider.tempfile, "gettempdir", lambda: str(tmp_path))
    first = dtrace.Provider("files").probe("one", int)
    again = dtrace.Provider("files").probe("one", int)
    assert first.path == again.path
    folder = Path(first.path).parent
    assert [p.name for p in folder.iterdir()] == [Path(first.path).name]
    Path(first.path).unlink()  # it is mapped: writing to it would change our own code
    Path(first.path).write_bytes(b"something else")
    assert (
        _provider.keep(_provider.shared_object("files", "one", (int,)), "files", "one")
        .read_bytes()
        .startswith(b"\x7fELF")
    )
    folder.chmod(0o777)
    assert _provider.folder() is None
    elsewhere = dtrace.Provider("files").probe("two", int)
    assert elsewhere.path == ""
    elsewhere(1)


def test_a_folder_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dtrace import _provider

    monkeypatch.setattr(_provider.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"dtrace-probes-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert _provider.folder() is None


def test_bpftrace_sees_them(app: Program) -> None:
    bpftrace = shutil.which("bpftrace")
    if bpftrace is None:
        pytest.skip("bpftrace is not installed")
    path = app.do(0) and next(
        line.split()[-1]
        for line in Path(f"/proc/{app.pid}/maps").read_text().splitlines()
        if "myapp.request__start" in line
    )
    tracer = subprocess.Popen(
        [
            *(bpftrace, "-p", str(app.pid), "-e"),
            'BEGIN { printf("ready\\n"); } '
            f"usdt:{path}:myapp:request__start "
            '{ printf("%s %d\\n", str(arg0), arg1); @n++; if (@n == 4) { exit(); } }',
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = []
        for line in tracer.stdout:
            lines.append(line.strip())
            if lines[-1] == "ready":
                assert app.do(2) == "2 True"
        assert [line for line in lines if line][1:][:5][1:] == [
            *("raw 0", "computed 100", "request é -1", "computed 100")
        ], (lines, tracer.stderr.read())
    finally:
        tracer.send_signal(signal.SIGKILL)
        tracer.communicate()
