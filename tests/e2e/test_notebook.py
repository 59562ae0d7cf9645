# SPDX-License-Identifier: Apache-2.0
"""The magic for notebooks, in an IPython without a notebook around it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("IPython")

from IPython.testing.globalipapp import start_ipython


class Shell:
    """Runs cells and remembers what was shown."""

    def __init__(self, ip: Any) -> None:
        self.ip = ip
        self.shown: list[dict[str, Any]] = []

    def publish(self, data: dict[str, Any], *args: Any, **keywords: Any) -> None:
        self.shown.append({"data": data, "update": keywords.get("update", False)})

    def cell(self, text: str) -> Any:
        return self.ip.run_cell(text)

    @property
    def pages(self) -> list[str]:
        return [s["data"]["text/html"] for s in self.shown if "text/html" in s["data"]]


@pytest.fixture(scope="module")
def ipython() -> Any:
    ip = start_ipython()
    assert ip is not None
    ip.run_line_magic("load_ext", "dtrace")
    return ip


@pytest.fixture
def shell(ipython: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    s = Shell(ipython)
    monkeypatch.setattr(ipython.display_pub, "publish", s.publish)
    formatter = ipython.display_formatter
    before, formatter.active_types = formatter.active_types, ["text/plain", "text/html"]
    yield s
    formatter.active_types = before


def test_a_cell(shell: Shell) -> None:
    shell.cell(
        '%%dtrace -o out -i 0.02\nBEGIN { trace(5); @n["x"] = count(); } tick-100ms { exit(0) }'
    )
    result = shell.ip.user_ns["out"]
    assert result.total >= 1 and result.events[0].values == (5,)
    assert result.aggregations["n"] == {("x",): 1}
    assert "tracing" in shell.pages[0] and "tracing" not in shell.pages[-1]
    assert "@n" in shell.pages[-1] and any(s["update"] for s in shell.shown)


def test_arguments(shell: Shell) -> None:
    shell.cell(
        "%%dtrace -o out -s -t 30 -x strsize=16 42\n"
        "BEGIN { trace($1); trace($target == $pid); exit(0) }"
    )
    assert shell.ip.user_ns["out"].events[0].values == (42, 1)


def test_mistakes(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.cell("%%dtrace\nBEGIN { trace(nonsense) }")
    assert "^~~~" in capsys.readouterr().err
    shell.cell("%%dtrace --nonsense\nBEGIN {}")
    assert "usage" in capsys.readouterr().err
    shell.cell("%%dtrace --help\nBEGIN {}")
    assert "--timeout" in capsys.readouterr().out
    shell.cell("%%dtrace -x nonsense=1\nBEGIN {}")
    assert "option" in capsys.readouterr().err


def test_an_interrupt_ends_the_tracing(shell: Shell) -> None:
    shell.ip.user_ns["out"] = None
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    shell.cell("%%dtrace -o out -i 0.02\nBEGIN { trace(1) } END { trace(2) }")
    assert [e.values for e in shell.ip.user_ns["out"].events] == [(1,), (2,)]
