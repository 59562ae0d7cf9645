# SPDX-License-Identifier: Apache-2.0
"""References and memory of the binding, with failing allocations."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from conftest import started

import dtrace

ALL = """probe 5 a:b:c:d 3
int 8 123456789
uint 8 18446744073709551615
str 16 hello
bytes 010203
float 8 2.5
tracemem 2 414243
stack 16 32 17
ustack 7 16
sym 16
mod 17
usym 1 16
printf text
printa some|more
exit 3
agg 1 1
str 8 foo
int 8 5
words 42
agg 2 4
words 3 10
agg 3 6
words 3 1000000 0 99
agg 4 7
words 0 0 0 0 0 0 5 5 5
agg 5 8
words 281483566645248 1 2 3
agg 6 9
words 2814749767172106 1 2 3
drop 0 12
fault 1
"""


def ignore(*args: Any) -> None:
    pass


def use(module: ModuleType) -> None:
    c = started(module, ALL, on_drop=ignore, on_error=ignore)
    c.consume(ignore)
    c.aggwalk(ignore)
    c.close()


def use_with_errors(module: ModuleType) -> None:
    def fail(*args: Any) -> None:
        raise KeyError

    for script in ("diag 1 2 three", "verifier log", "nonsense"):
        with pytest.raises(dtrace.DTraceError):
            started(module, script)
    c = started(module, ALL, on_drop=ignore)
    with pytest.raises(KeyError):
        c.consume(fail)
    with pytest.raises(KeyError):
        c.aggwalk(fail)


@pytest.mark.parametrize("flavour", ["fake", "classic"])
@pytest.mark.parametrize("what", [use, use_with_errors])
def test_no_object_is_left(
    flavour: str, what: Callable[[ModuleType], None], request: pytest.FixtureRequest
) -> None:
    module = request.getfixturevalue(flavour)
    for _ in range(3):
        what(module)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(50):
        what(module)
    gc.collect()
    assert sys.getallocatedblocks() - before < 40  # less than one per round


def test_references(fake: ModuleType) -> None:
    names = ("provider", "module", "function", "name")
    before = [sys.getrefcount(n) for n in (*names, None)]
    for _ in range(100):
        use(fake)
    after = [sys.getrefcount(n) for n in (*names, None)]
    assert all(abs(a - b) < 50 for a, b in zip(after, before, strict=True))


def test_modules_are_independent(fake: ModuleType) -> None:
    from conftest import load_extension

    for _ in range(3):
        again = load_extension("dtrace._fake", fake.__file__)
        assert again.Consumer is not fake.Consumer
        use(again)
        del again
        gc.collect()
    use(fake)


def nomemory() -> Callable[[int], None]:
    testcapi = pytest.importorskip("_testcapi")
    return lambda n: testcapi.set_nomemory(n, n + 1) if n else testcapi.remove_mem_hooks()


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="CPython's allocator is meant")
def test_each_allocation_fails_once(fake: ModuleType) -> None:
    """Whatever allocation fails, the outcome is a MemoryError or success, and all goes on."""
    fail_at = nomemory()
    refused = 0
    for n in range(1, 400):
        c = started(fake, ALL, on_drop=ignore, on_error=ignore)
        outcomes = []
        for call in (c.consume, c.aggwalk):
            fail_at(n)
            try:
                call(ignore)
            except MemoryError:
                outcomes.append("refused")
            except BaseException as e:
                outcomes.append(e)
            finally:
                fail_at(0)
        refused += outcomes.count("refused")
        assert all(o == "refused" for o in outcomes), (n, outcomes)
        c.close()
    assert refused > 20
