# SPDX-License-Identifier: Apache-2.0
"""Small D programs, each with what it must print or the error it must be refused with.

The files of programs/ hold them: after a line of prose a case is

    === name [option=value ...]
    the program
    --- output              and the text that it prints (with option quiet)
    --- error D_TAG,D_TAG   it does not compile: one of these tags
    --- fault text          a fault is reported, and what is said about it
    --- args one two        $1, $2 ...

One process runs them all; nothing outside of it is looked at.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import PATIENCE

import dtrace

pytestmark = pytest.mark.kernel

FILES = sorted((Path(__file__).parent / "programs").glob("*.txt"))


class Case(NamedTuple):
    name: str
    options: list[str]
    program: str
    expected: dict[str, str]


def parse_case(text: str) -> Case:
    title, _, rest = text.partition("\n")
    name, _, options = title.partition(" [")
    parts = re.split(r"^--- (\w+) ?(.*)\n", rest, flags=re.M)
    expected = {
        what: body.rstrip("\n") if what == "output" else argument
        for what, argument, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }
    return Case(name, options.rstrip("]").split(), parts[0].rstrip("\n") + "\n", expected)


def read_cases(file: Path) -> list[Case]:
    return [parse_case(text) for text in re.split(r"^=== ", file.read_text(), flags=re.M)[1:]]


def run(consumer: dtrace.DTraceConsumer) -> str:
    with tempfile.TemporaryFile() as out:
        consumer.go()
        end = time.monotonic() + PATIENCE
        while not consumer.write(out):
            assert time.monotonic() < end, "the program does not end"
            time.sleep(0.0005)
        out.seek(0)
        return out.read().decode(errors="replace")


def check(case: Case, faults: list[str]) -> None:
    consumer = dtrace.DTraceConsumer("embedded", on_error=lambda f: faults.append(str(f)))
    try:
        for option in ["bufsize=64k", "quiet", *case.options]:
            name, _, value = option.partition("=")
            consumer.setopt(name, value or None)
        try:
            consumer.strcompile(case.program, case.expected.get("args", "").split())
        except dtrace.DTraceError as e:
            assert e.tag in case.expected.get("error", "").split(","), str(e)
            return
        assert "error" not in case.expected, "it compiles"
        assert run(consumer).rstrip("\n") == case.expected["output"]
        assert [f for f in faults if case.expected.get("fault", "none") in f] == faults
        assert ("fault" in case.expected) == bool(faults)
    finally:
        consumer.close()


CASES = [(file.stem, case) for file in FILES for case in read_cases(file)]


@pytest.mark.parametrize(
    "case", [case for _, case in CASES], ids=[f"{stem}: {case.name}" for stem, case in CASES]
)
def test_program(case: Case) -> None:
    check(case, [])


def test_names_are_used_once() -> None:
    names = [(stem, case.name) for stem, case in CASES]
    assert len(names) == len(set(names)) > 400
