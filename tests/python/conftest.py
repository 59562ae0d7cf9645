# SPDX-License-Identifier: Apache-2.0
"""What the Python tests share: the binding around a scripted libdtrace, and the real engine.

``fake`` and ``classic`` are the C module made by tests/fake; they need no privilege.
``open_consumer`` and ``run`` use the real engine; tests with them are marked ``kernel`` and are
skipped where it cannot work.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dtrace
from dtrace import _engine

sys.path.insert(0, str(Path(__file__).parents[1] / "fake"))

import build as fake_build


def load_extension(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The binding around a fake with all that the embedded engine has."""
    return load_extension("dtrace._fake", fake_build.build("fake"))


@pytest.fixture(scope="session")
def classic() -> ModuleType:
    """The binding around a fake with only what a platform's libdtrace has."""
    return load_extension("classic._fake", fake_build.build("classic"))


@pytest.fixture
def fake_engine(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Makes DTraceConsumer("fake") work."""
    monkeypatch.setitem(_engine.modules, "fake", "dtrace._fake")
    monkeypatch.setitem(sys.modules, "dtrace._fake", fake)
    return fake


def started(module: ModuleType, script: str, **keywords: Any) -> Any:
    """A C consumer of a fake that has been given a script and go()."""
    consumer = module.Consumer(**keywords)
    consumer.strcompile(script)
    consumer.go()
    return consumer


# ---- the real engine ----------------------------------------------------------------------------


def why_not() -> str | None:
    """Why the embedded engine cannot be used here."""
    if sys.platform != "linux":
        return "the embedded engine is for Linux"
    try:
        dtrace.DTraceConsumer("embedded").close()
    except dtrace.DTraceError as e:
        return str(e)
    if os.geteuid() != 0:
        return "tracing needs root"
    return None


REASON = why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REASON is None:
        return
    for item in items:
        if item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture
def open_consumer() -> Iterator[Callable[..., dtrace.DTraceConsumer]]:
    """Opens consumers of the embedded engine and closes them at the end of the test."""
    opened: list[dtrace.DTraceConsumer] = []

    def open_one(**keywords: Any) -> dtrace.DTraceConsumer:
        opened.append(dtrace.DTraceConsumer("embedded", **keywords))
        return opened[-1]

    yield open_one
    for consumer in opened:
        consumer.close()


def own_name() -> str:
    """This thread's execname."""
    return Path("/proc/thread-self/comm").read_text().rstrip("\n")


Records = list[tuple[dict[str, str], Any]]


class Run:
    """A D program on the real engine, with what it recorded."""

    def __init__(self, consumer: dtrace.DTraceConsumer) -> None:
        self.consumer = consumer
        self.records: Records = []

    def start(self, program: str, **options: Any) -> Run:
        for name, value in options.items():
            self.consumer.setopt(name, value)
        self.consumer.strcompile(program)
        self.consumer.go()
        return self

    def take(self, probe: dict[str, str], rec: Any) -> None:
        self.records.append((probe, rec))

    def poll(self) -> bool:
        return self.consumer.consume(self.take)

    def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        """Consume until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"still not so: {self.records}"
            self.poll()
            time.sleep(0.01)

    def finish(self, seconds: float = 10) -> Run:
        """Consume until the program has called exit()."""
        end = time.monotonic() + seconds
        while not self.poll():
            assert time.monotonic() < end, "exit() was not reached"
            self.consumer.sleep(0.1)
        return self

    @property
    def data(self) -> list[Any]:
        """What was traced, without the ends of firings."""
        return [rec for _, rec in self.records if rec is not None]

    def aggregations(self) -> list[tuple[int, list[Any], Any]]:
        rows: list[tuple[int, list[Any], Any]] = []
        self.consumer.aggwalk(lambda varid, key, value: rows.append((varid, key, value)))
        return rows


@pytest.fixture
def run(open_consumer: Callable[..., dtrace.DTraceConsumer]) -> Callable[..., Run]:
    """Runs a D program that ends with exit(), or one that is only started (finish=False)."""

    def run_one(program: str, *, finish: bool = True, **options: Any) -> Run:
        r = Run(open_consumer()).start(program, **options)
        return r.finish() if finish else r

    return run_one
