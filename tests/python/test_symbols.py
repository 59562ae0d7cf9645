# SPDX-License-Identifier: Apache-2.0
"""Addresses as symbols: in records and in keys."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from conftest import Run

pytestmark = pytest.mark.kernel

RunProgram = Callable[..., Run]

SYMBOL = re.compile(r"^[^`+]+`[^`+]+$|^0x[0-9a-f]+$")
FULL = re.compile(r"^[^`]+`[^`+]+(\+0x[0-9a-f]+)?$|^0x[0-9a-f]+$|^[^`]+`0x[0-9a-f]+$")
SHAPES = {
    "func": SYMBOL,
    "sym": SYMBOL,
    "mod": re.compile(r"^[^`+]+$"),
    "uaddr": FULL,
    "usym": SYMBOL,
    "ufunc": SYMBOL,
    "umod": re.compile(r"^[^`]+$"),
}


def kernel_address(name: str) -> int:
    with open("/proc/kallsyms") as f:
        for line in f:
            address, _, symbol, *module = line.split()
            if symbol == name and not module:
                return int(address, 16)
    raise LookupError(name)


@pytest.fixture
def busy() -> Iterator[int]:
    """A process that computes."""
    with subprocess.Popen([sys.executable, "-c", "while True: hash('x')"]) as child:
        yield child.pid
        child.kill()


@pytest.mark.parametrize("action", SHAPES)
def test_under_begin(run: RunProgram, action: str) -> None:
    r = run(f"BEGIN {{ {action}(0x12345); @[{action}(0x12345)] = count(); exit(0) }}")
    ((_, key, count),) = r.aggregations()
    for text in (*r.data, *key):
        assert isinstance(text, str) and text
    assert len(r.data) == 1 and r.data == key and count == 1


def test_a_kernel_symbol(run: RunProgram) -> None:
    a = kernel_address("do_exit")
    r = run(f"BEGIN {{ sym({a:#x}); func({a:#x}); mod({a:#x}); sym({a + 2:#x}); exit(0) }}")
    assert r.data == ["vmlinux`do_exit", "vmlinux`do_exit", "vmlinux", "vmlinux`do_exit"]


def test_no_symbol(run: RunProgram) -> None:
    assert run("BEGIN { mod(0x10); exit(0) }").data == ["<unknown>"]


@pytest.mark.parametrize("action", SHAPES)
def test_under_profile(run: RunProgram, action: str, busy: int) -> None:
    kernel = action in ("func", "sym", "mod")
    which = "arg0" if kernel else "arg1"
    r = run(
        f"profile-997hz /{which} != 0{'' if kernel else f' && pid == {busy}'}/"
        f"{{ {action}({which}); @[{action}({which})] = count() }}",
        finish=False,
    )
    r.until(lambda: bool(r.data), seconds=20)
    keys = [key for _, key, _ in r.aggregations()]
    assert keys
    for text in [*r.data, *(k for key in keys for k in key)]:
        assert SHAPES[action].match(text), text


def test_user_symbols_have_names(run: RunProgram, busy: int) -> None:
    r = run(
        f"profile-997hz /arg1 != 0 && pid == {busy}/ {{ umod(arg1); usym(arg1) }}", finish=False
    )
    r.until(lambda: any("python" in text for text in r.data), seconds=30)
    assert any("python" in text for text in r.data)
    assert any("`" in text for text in r.data)
