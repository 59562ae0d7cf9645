# SPDX-License-Identifier: Apache-2.0
"""Probes of what a Python program does: ``dtrace.probes`` in Debian's python3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, clean_env

# Another one, of 3.11 or later, may be named.
PYTHON = os.environ.get("PYDTRACE_TEST_PYTHON", "/usr/bin/python3")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"there is no {PYTHON}"),
]

PATH = os.pathsep.join(p for p in sys.path if p.endswith("site-packages"))

APP = """\
import gc, json, os, sys, threading
gc.disable()
if "late" not in sys.argv:
    import dtrace.probes
def leaf(n):
    if n < 0:
        raise ValueError("no \\u00e9")
    return n
def middle(n):
    return leaf(n)
def calls(n):
    for i in range(n):
        middle(i)
def caught(n):
    for i in range(n):
        try:
            middle(-1)
        except ValueError:
            pass
def generator(n):
    yield from range(n)
def in_thread(f, *args):
    t = threading.Thread(target=f, args=args)
    t.start()
    t.join()
def forked(f, *args):
    pid = os.fork()
    if pid == 0:
        f(*args)
        os._exit(0)
    os.waitpid(pid, 0)
    return pid
def imports(name):
    try:
        __import__(name)
    except ImportError:
        pass
def registered():
    monitoring = getattr(sys, "monitoring", None)
    tools = [monitoring.get_tool(i) for i in range(6)] if monitoring else []
    hooks = [sys.getprofile(), sys.gettrace(), threading.getprofile(), threading.gettrace(), *tools]
    finders = [f for f in sys.meta_path if type(f).__module__ == "dtrace.probes"]
    return len([h for h in hooks if h is not None]) + len(gc.callbacks) + len(finders)
print("null", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


class App:
    def __init__(self, path: Path, *args: str, name: str = "pyprobes", run: tuple[str, ...] = ()):
        self.path = str(path)
        path.write_text(APP)
        self.child = subprocess.Popen(
            [PYTHON, *run, self.path, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**clean_env(), "PYTHONPATH": PATH, "DTRACE_PROBES": name},
            text=True,
        )
        self.pid = self.child.pid
        self.answer()

    def answer(self) -> Any:
        return json.loads(self.child.stdout.readline())

    def do(self, expression: str) -> Any:
        self.child.stdin.write(expression + "\n")
        self.child.stdin.flush()
        return self.answer()

    def until(self, expression: str, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.do(expression):
            assert time.monotonic() < end, f"waiting for {what}"
            time.sleep(0.01)

    def switched(self, *names: str) -> None:
        """Wait until the program has seen that these probes are traced, and has done all there is to do."""
        names = tuple(n.replace("-", "__") for n in names)
        self.until(
            f"dtrace.probes.watcher.wanted == {set(names)!r} and dtrace.probes.watcher.settled",
            f"{names}",
        )
        self.do("1")  # what was left to the main thread is done between instructions

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path / "app.py")
    yield app
    app.end()


def test_functions(trace: Callable[..., Any], app: App) -> None:
    app.do("calls(3)")
    assert app.do("registered()") == 0
    t = trace(
        "pyprobes$1:::function-entry, pyprobes$1:::function-return /copyinstr(arg0) == $$2/"
        "{ @[probename, copyinstr(arg1), arg2] = count(); }",
        app.pid,
        app.path,
    )
    app.switched("function-entry", "function-return")
    app.do("calls(5)")
    app.do("list(generator(2))")
    assert app.do("registered()") > 0
    rows = t.finish().aggregations()[1]
    app.until("registered() == 0", "the hooks to go")
    app.do("calls(7)")
    line = {s.split()[1].split("(")[0]: n for n, s in enumerate(APP.split("\n"), 1) if "def " in s}
    assert {k[1:]: v for k, v in rows.items() if k[0] == "function-entry" and k[1] in line} == {
        ("calls", line["calls"]): 1,
        ("middle", line["middle"]): 5,
        ("leaf", line["leaf"]): 5,
        ("generator", line["generator"]): 1,
        ("generator", line["generator"] + 1): 2,
        ("registered", line["registered"]): 1,
    }
    returns = {k[1:]: v for k, v in rows.items() if k[0] == "function-return"}
    assert returns["leaf", line["leaf"] + 3] == 5
    assert returns["middle", line["middle"] + 1] == 5
    assert returns["generator", line["generator"] + 1] == 3


def test_lines(trace: Callable[..., Any], app: App) -> None:
    t = trace(
        'pyprobes$1:::line /copyinstr(arg1) == "leaf"/ { @[copyinstr(arg0), arg2] = count(); }',
        app.pid,
    )
    app.switched("line")
    app.do("calls(4)")
    at = 1 + APP.split("\n").index("def leaf(n):")
    assert t.finish().aggregations()[1] == {(app.path, at + 1): 4, (app.path, at + 3): 4}
    app.until("registered() == 0", "the hooks to go")


def test_exceptions(trace: Callable[..., Any], app: App) -> None:
    t = trace(
        "pyprobes$1:::exception"
        "{ @[copyinstr(arg0), copyinstr(arg1), copyinstr(arg2), copyinstr(arg3), arg4] = count(); }",
        app.pid,
    )
    app.switched("exception")
    app.do("caught(3)")
    app.do("imports('no_such_module')")
    rows = t.finish().aggregations()[1]
    at = 3 + APP.split("\n").index("def leaf(n):")
    assert rows.pop(("ValueError", "no é", app.path, "leaf", at)) == 3
    at = 3 + APP.split("\n").index("def imports(name):")
    missing = ("ModuleNotFoundError", "No module named 'no_such_module'", app.path, "imports", at)
    assert rows == {missing: 1}
    app.until("registered() == 0", "the hooks to go")


def test_library(trace: Callable[..., Any], app: App) -> None:
    """Collections, imports, audit events."""
    t = trace(
        "pyprobes$1:::gc-start, pyprobes$1:::gc-done { @[probename, arg0] = count(); }"
        'pyprobes$1:::import { @[probename, copyinstr(arg0) == "wave" ? 1 : 0] = count(); }'
        'pyprobes$1:::audit /copyinstr(arg0) == "my.event"/ { @[probename, 0] = count(); }',
        app.pid,
    )
    app.switched("gc-start", "gc-done", "import", "audit")
    assert app.do("registered()") == 2
    app.do("[gc.collect(0), gc.collect(2), None][2]")
    app.do("imports('wave')")
    app.do("imports('wave')")  # it is there
    app.do("[sys.audit('my.event', 1) for _ in range(3)]")
    rows = t.finish().aggregations()
    merged = {k: v for row in rows.values() for k, v in row.items()}
    assert merged["gc-start", 0] == 1
    assert merged["gc-start", 2] == 1
    assert sum(v for k, v in merged.items() if k[0] == "gc-done") == 2
    assert merged["import", 1] == 1
    assert merged["audit", 0] == 3
    app.until("registered() == 0", "the hooks to go")
    app.do("[sys.audit('my.event', 1) for _ in range(3)]")


def test_threads_and_children(trace: Callable[..., Any], app: App) -> None:
    t = trace(
        "usdt:$$2:pyprobes:function-entry /(pid == $1 || ppid == $1) && copyinstr(arg1) == $$3/"
        "{ @[pid, pid != tid] = count(); }",
        app.pid,
        app.do("dtrace.probes.probes()['function__entry'].path"),
        "leaf",
    )
    app.switched("function-entry")
    app.do("in_thread(calls, 2)")
    child = app.do("forked(calls, 3)")
    app.do("calls(4)")
    assert app.do("threading.active_count()") == 1
    assert t.finish().aggregations()[1] == {(app.pid, 1): 2, (child, 0): 3, (app.pid, 0): 4}
    app.until("registered() == 0", "the hooks to go")


def test_a_program_with_its_own_profiler(trace: Callable[..., Any], app: App) -> None:
    app.do("[sys.setprofile(json.loads and (lambda *_: None)), None][1]")
    t = trace("pyprobes$1:::function-entry { @ = count(); }", app.pid)
    app.until("'function__entry' in dtrace.probes.watcher.wanted", "the probe")
    app.do("calls(1)")
    t.finish()
    app.until("not dtrace.probes.watcher.wanted", "the end")
    assert app.do("sys.getprofile() is not None")


def test_from_the_start(trace: Callable[..., Any], tmp_path: Path) -> None:
    """Started with the probes; traced by file before it runs: nothing is missed.

    Under its own name the bridge adds what the interpreter lacks.
    """
    listed = subprocess.run(
        [PYTHON, "-m", "dtrace.probes", "--list"],
        env={**clean_env(), "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = dict(line.split() for line in listed.splitlines())
    assert {"exception", "import"} <= files.keys()
    t = trace(
        'usdt:$$1:python:exception /copyinstr(arg0) == "ValueError" && copyinstr(arg2) == $$2/'
        "{ @[pid] = count(); }",
        files["exception"],
        str(tmp_path / "app.py"),
    )
    app = App(tmp_path / "app.py", "late", name="", run=("-m", "dtrace.probes", "--wait"))
    try:
        app.do("caught(6)")
        assert app.do("[sys.argv[1:], __name__]") == [["late"], "__main__"]
        assert t.finish().aggregations()[1] == {app.pid: 6}
    finally:
        app.end()


def test_usage() -> None:
    done = subprocess.run(
        [PYTHON, "-m", "dtrace.probes"],
        env={**clean_env(), "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("usage: ")
