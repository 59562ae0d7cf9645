# SPDX-License-Identifier: Apache-2.0
"""The Python package: choice of engine, signatures, types."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import dtrace
from dtrace import _engine


def test_engine_names() -> None:
    with pytest.raises(ValueError, match="no such engine: 'nonsense'"):
        dtrace.DTraceConsumer("nonsense")  # type: ignore[arg-type]
    assert _engine.candidates("system") == ["system"]
    assert _engine.candidates("embedded") == ["embedded"]


def test_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYDTRACE_ENGINE", raising=False)
    for platform, names in [("linux", ["embedded", "system"]), ("darwin", ["system"])]:
        monkeypatch.setattr(sys, "platform", platform)
        assert _engine.candidates("auto") == names
    monkeypatch.setenv("PYDTRACE_ENGINE", "system")
    assert _engine.candidates("auto") == ["system"]
    assert _engine.candidates("embedded") == ["embedded"]
    monkeypatch.setenv("PYDTRACE_ENGINE", "wrong")
    with pytest.raises(ValueError, match="wrong"):
        dtrace.DTraceConsumer()


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_engine.modules, "system", "dtrace._not_there")
    with pytest.raises(
        dtrace.DTraceError, match=r"not available on this system \(system: No module"
    ):
        dtrace.DTraceConsumer("system")


def test_the_environment_chooses(fake_engine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDTRACE_ENGINE", "fake")
    with dtrace.DTraceConsumer() as c:
        assert c.engine == "fake"
        assert repr(c) == "<DTraceConsumer engine='fake'>"


def test_through_the_python_class(fake_engine: ModuleType) -> None:
    got = []
    with dtrace.DTraceConsumer("fake") as c:  # type: ignore[arg-type]
        c.setopt("quiet")
        c.strcompile("probe 1 dtrace:::BEGIN\nint 4 5\nexit 2\nagg 1 1\nint 4 7\nwords 9\ndue 0")
        c.go()
        assert c.status is dtrace.Status.OKAY
        assert c.sleep(1) is True
        assert c.fileno() >= 0
        assert c.consume(lambda probe, rec: got.append(rec)) is True
        c.aggwalk(lambda *row: got.append(row))
        c.aggclear()
        c.stop()
        assert (c.exit_status, c.drops, c.faults) == (2, 0, 0)
    assert got == [5, None, (1, [7], 9)]
    assert (c.aggmin(), c.aggmax()) == (-(2**63), 2**63 - 1)


def test_a_subclass(fake_engine: ModuleType) -> None:
    class Mine(dtrace.DTraceConsumer):
        def __init__(self, name: str) -> None:
            super().__init__("fake")  # type: ignore[arg-type]
            self.name = name

    with Mine("x") as mine:
        assert mine.version() == "Sun D 1.99"


def test_public_names() -> None:
    others = {"Datum", "ProbeDict", "Row", "Value", "CURRENT"}
    for name in set(dtrace.__all__) - others:
        public = getattr(dtrace, name)
        assert public.__module__ == "dtrace"
        assert inspect.getdoc(public), name
    for name, method in vars(dtrace.DTraceConsumer).items():
        if not name.startswith("_"):
            assert inspect.getdoc(method), name


def test_docstrings_come_from_the_stub(fake: ModuleType) -> None:
    assert str(inspect.signature(fake.Consumer.setopt)) == "(self, /, option, value=None)"
    assert str(inspect.signature(fake.Consumer.go)) == "(self, /)"
    assert "dtrace_go" in fake.Consumer.go.__doc__
    assert "on_drop=None" in str(inspect.signature(fake.Consumer))
    for name in dir(fake.Consumer):
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(fake.Consumer, name)), name


def test_import_is_lazy() -> None:
    code = "import sys, dtrace; print([m for m in sys.modules if m.startswith('dtrace._')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "_embedded" not in done.stdout and "_system" not in done.stdout


def installed() -> Path:
    return Path(dtrace.__file__).parent


def test_typed() -> None:
    assert (installed() / "py.typed").exists()
    assert (installed() / "_embedded.pyi").exists()


USES = """
import dtrace
from typing import Any

def cb(probe: dict[str, str], rec: Any) -> None: ...
def row(varid: int, key: list[Any], value: Any) -> None: ...
with dtrace.DTraceConsumer(on_drop=lambda drop: print(drop.total)) as c:
    c.setopt("quiet")
    c.setopt("bufsize", 4096)
    c.strcompile("BEGIN")
    c.go()
    done: bool = c.consume(cb)
    c.aggwalk(row)
    c.setopt("quiet", [])  # wrong
    c.consume(1)  # wrong
"""


@pytest.mark.slow
def test_users_are_type_checked(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "uses.py").write_text(USES)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "uses.py"]
    env = {**os.environ, "MYPYPATH": str(installed().parent)}
    if "site-packages" in env["MYPYPATH"]:
        del env["MYPYPATH"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    wrong = [n for n, line in enumerate(USES.splitlines(), 1) if "# wrong" in line]
    found = sorted(int(n) for n in re.findall(r"uses.py:(\d+): error", done.stdout))
    assert found == wrong, done.stdout + done.stderr


@pytest.mark.slow
def test_the_stub_fits_the_extension(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    if sys.platform != "linux":
        pytest.skip("the embedded engine is for Linux")
    command = [sys.executable, "-m", "mypy.stubtest", "dtrace._embedded"]
    env = {**os.environ, "MYPY_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_of_test_files_differ() -> None:
    """pytest imports them by name alone."""
    names = sorted(p.name for p in Path(__file__).parents[1].rglob("test_*.py"))
    assert len(names) > 10 and sorted(set(names)) == names
