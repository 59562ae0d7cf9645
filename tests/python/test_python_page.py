# SPDX-License-Identifier: Apache-2.0
"""What the page about the Python API says exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dtrace

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_are_python(block: str) -> None:
    lines = block.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    compile("\n".join(line[indent:] for line in lines), "python.md", "exec")


def test_names() -> None:
    names = set(re.findall(r"\bdtrace\.([A-Za-z_][\w.]*\w)", PAGE))
    assert len(names) > 10
    for name in sorted(names):
        found: object = dtrace
        for part in name.split("."):
            if found is dtrace and part in ("prometheus", "otel", "plot", "fleet", "probes"):
                found = pytest.importorskip(f"dtrace.{part}")
            else:
                found = getattr(found, part)


def test_what_sessions_and_events_have() -> None:
    for owner, name in ((dtrace.Session, "session"), (dtrace.Event, "event")):
        for attribute in re.findall(rf"\b{name}\.(\w+)", PAGE):
            known = hasattr(owner, attribute) or attribute in (
                *("probe", "cpu", "timestamp", "values", "text"),
                *("execname", "arg2", "copyinstr_arg1"),
            )
            assert known, f"{name}.{attribute}"
