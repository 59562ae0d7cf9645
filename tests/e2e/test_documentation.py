# SPDX-License-Identifier: Apache-2.0
"""What the documentation and the examples show works.

Blocks of the pages of docs/: ``console`` ones are run as they stand, ``python`` ones of GUIDES too, ``d`` ones are compiled.
Every tool of examples/tools runs on a command of ours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
GUIDES = ("index.md", "tutorial.md", "howto.md")
TOOLS = sorted((ROOT / "examples/tools").glob("*.d"))
# Debian's python3 is meant, and the pydtrace under test.
ENVIRONMENT = {
    **os.environ,
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("site-packages")),
}


def blocks(kind: str, pages: tuple[str, ...] = ()) -> list[object]:
    found = []
    for page in PAGES:
        if pages and page.name not in pages:
            continue
        for n, text in enumerate(
            re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.M | re.S)
        ):
            found.append(pytest.param(text, id=f"{page.stem}-{n}"))
    return found


def run(*args: str, cwd: Path, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        args,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=timeout * max(1, PATIENCE / 10),
        check=False,
    )


def pydtrace(command: str) -> str:
    return f"{sys.executable} -m dtrace " + command.removeprefix("pydtrace ")


@pytest.mark.parametrize("text", blocks("console"))
def test_console(text: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = [line[2:] for line in text.splitlines() if line.startswith("# pydtrace ")]
    assert commands
    for command in commands:
        done = run("sh", "-c", pydtrace(command), cwd=tmp_path)
        assert (done.returncode, "invalid" in done.stderr) == (0, False), done.stderr
        assert done.stdout or "--flamegraph" in command


@pytest.mark.parametrize("text", blocks("python", GUIDES))
def test_python(text: str, tmp_path: Path) -> None:
    done = run(sys.executable, "-W", "error", "-c", text, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", blocks("d"))
def test_d(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.d").write_text(text)
    done = run(sys.executable, "-m", "dtrace", "-e", "-s", "x.d", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda p: p.stem)
def test_tools(tool: Path) -> None:
    command = (
        "sh -c 'ls /etc/hostname >/dev/null; kill -0 $$; cat /etc/hostname >/dev/null; sleep 0.02'"
    )
    if tool.stem == "pyprof":
        command = "/usr/bin/python3 -c 'sum(i * i for i in range(10**6))'"
    done = run(sys.executable, "-m", "dtrace", "-s", str(tool), "-c", command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    expected = {"opensnoop": "/etc/hostname", "execsnoop": "cat /etc/hostname", "rwtop": "cat"}
    assert expected.get(tool.stem, "\n") in done.stdout
    comment = tool.read_text()
    assert comment.startswith("#!/usr/bin/env -S pydtrace -s\n") and f" * {tool.stem} - " in comment
