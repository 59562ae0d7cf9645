# SPDX-License-Identifier: Apache-2.0
"""The events of ``dtrace.probes``, asked for at a stand-in for sys.monitoring; no tracer."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dtrace import _provider

NAMES = ("PY_START", "PY_RESUME", "PY_THROW", "PY_RETURN", "PY_YIELD", "PY_UNWIND", "LINE", "RAISE")
EVENTS = {name: 1 << i for i, name in enumerate(NAMES)}


class FakeMonitoring:
    """As strict as the real one."""

    DISABLE = object()
    events = SimpleNamespace(**EVENTS)

    def __init__(self) -> None:
        self.tools: dict[int, str] = {}
        self.callbacks: dict[int, Callable[..., object]] = {}
        self.set = 0
        self.calls = 0

    def get_tool(self, tool: int) -> str | None:
        return self.tools.get(tool)

    def use_tool_id(self, tool: int, name: str) -> None:
        if tool in self.tools:
            raise ValueError(f"tool {tool} is already in use")
        self.tools[tool] = name

    def free_tool_id(self, tool: int) -> None:
        assert self.tools.pop(tool) == "dtrace"

    def register_callback(self, tool: int, event: int, function: Any) -> None:
        assert self.tools[tool] == "dtrace"
        assert event in EVENTS.values()
        if function is None:
            del self.callbacks[event]
        else:
            self.callbacks[event] = function

    def set_events(self, tool: int, events: int) -> None:
        assert self.tools[tool] == "dtrace"
        self.set = events
        self.calls += 1

    def fire(self, name: str) -> Callable[..., object]:
        """Called, it does what the interpreter does for the function that calls it."""
        return functools.partial(self.callbacks[EVENTS[name]], sys._getframe(1).f_code)


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("DTRACE_PROBES", "fakeprobes")
    from dtrace import probes as module

    module.stop()
    yield module
    module.stop()


class Recorded:
    """Probes that are kept instead of fired."""

    def __init__(self, probes: Any) -> None:
        self.log: list[tuple[object, ...]] = []
        self.error: Exception | None = None
        self.counters: dict[str, SimpleNamespace] = {}
        self.probes: dict[str, Any] = {}
        for name, types in probes.PROBES.items():
            self.counters[name] = SimpleNamespace(value=0)
            self.probes[name] = SimpleNamespace(
                types=types, _function=self.keeper(name), _counter=self.counters[name]
            )
        self.emit = probes.emitters(self.probes)

    def keeper(self, name: str) -> Callable[..., None]:
        def keep(*args: object) -> None:
            if self.error is not None:
                raise self.error
            self.log.append((name, *args))

        return keep


def here() -> int:
    return sys._getframe(1).f_lineno


def test_monitoring(probes: Any) -> None:
    fake, recorded = FakeMonitoring(), Recorded(probes)
    m = probes.Monitoring(fake, recorded.emit)
    me = (__file__.encode(), b"test_monitoring")
    assert m.apply(set())
    assert m.apply({"audit", "gc__start"})
    assert (fake.tools, fake.callbacks, fake.calls) == ({}, {}, 0)

    assert m.apply({"function__entry"})
    assert fake.tools == {4: "dtrace"}
    assert fake.set == EVENTS["PY_START"] | EVENTS["PY_RESUME"] | EVENTS["PY_THROW"]
    assert fake.fire("PY_START")(0) is None
    assert recorded.log == []  # the tracer has gone already
    for counter in recorded.counters.values():
        counter.value = 1
    assert fake.fire("PY_START")(0) is None
    first = test_monitoring.__code__.co_firstlineno
    assert recorded.log.pop() == ("function__entry", *me, first)
    assert fake.fire("PY_RESUME")(0) is None
    assert recorded.log.pop() == ("function__entry", *me, here() - 1)
    kept = fake.callbacks[EVENTS["PY_START"]]

    assert m.apply({"function__entry", "function__return", "line", "exception"})
    assert fake.set == sum(EVENTS.values())
    assert fake.callbacks[EVENTS["PY_START"]] is kept
    assert fake.fire("PY_RETURN")(0, "value") is None
    assert recorded.log.pop() == ("function__return", *me, here() - 1)
    assert fake.fire("LINE")(7) is None
    assert recorded.log.pop() == ("line", *me, 7)
    assert m.apply({"line"})
    assert (fake.set, list(fake.callbacks)) == (EVENTS["LINE"], [EVENTS["LINE"]])
    assert m.apply(set())
    assert (fake.tools, fake.callbacks, fake.set) == ({}, {}, 0)


def test_places_of_our_own_are_disabled(probes: Any) -> None:
    """Where that is possible: not for PY_THROW and PY_UNWIND."""
    fake, recorded = FakeMonitoring(), Recorded(probes)
    probes.Monitoring(fake, recorded.emit).apply({"function__entry", "function__return", "line"})
    code = probes.start.__code__
    for name in NAMES[:-1]:
        disabled = fake.callbacks[EVENTS[name]](code, 0) is fake.DISABLE
        assert disabled == (name not in ("PY_THROW", "PY_UNWIND")), name
    assert recorded.log == []


def test_exceptions(probes: Any) -> None:
    fake, recorded = FakeMonitoring(), Recorded(probes)
    probes.Monitoring(fake, recorded.emit).apply({"exception"})
    recorded.counters["exception"].value = 1

    class Rude(Exception):
        def __str__(self) -> str:
            raise AssertionError("code of the program was run")

        __repr__ = __str__

    def raises() -> None:
        try:
            raise Rude("said", 1)
        except Rude as e:
            assert fake.fire("RAISE")(0, e) is None
            raise

    try:
        raises()
    except Rude as e:
        assert fake.fire("RAISE")(0, e) is None  # it was raised elsewhere
    ((_, *what, file, function, _),) = recorded.log
    assert (what, file, function) == ([b"Rude", b"said"], __file__.encode(), b"raises")
    assert probes.message(OSError(2, "No such file")) == "No such file"
    assert probes.message(KeyError(7)) == "7"
    assert probes.message(ValueError()) == probes.message(ValueError(Rude())) == ""


def test_tool_ids_of_others(probes: Any) -> None:
    fake, recorded = FakeMonitoring(), Recorded(probes)
    m = probes.Monitoring(fake, recorded.emit)
    fake.tools = dict.fromkeys(range(6), "other")
    assert not m.apply({"line"})
    del fake.tools[2]
    assert m.apply({"line"})
    assert fake.tools[2] == "dtrace"


def test_failures_do_not_reach_the_program(probes: Any) -> None:
    """But what its own signal handlers raise does."""
    fake, recorded = FakeMonitoring(), Recorded(probes)
    probes.Monitoring(fake, recorded.emit).apply({"line"})
    recorded.counters["line"].value = 1
    recorded.error = TimeoutError("from a handler, as far as its place says")
    with pytest.raises(TimeoutError):
        fake.fire("LINE")(1)

    finder = probes.Finder(lambda name: name.no_such_attribute)
    with pytest.raises(AttributeError):
        finder.find_spec("x")  # from here, not from the module
    assert probes.Finder(probes.text).find_spec(7) is None  # a failure of the module's own


def test_switched_by_the_counters(probes: Any) -> None:
    if not _provider.supported():
        pytest.skip("static probes are for Linux on x86-64")
    import gc

    before = len(gc.callbacks), len(sys.meta_path)
    probes.start()
    watcher = probes.watcher
    assert watcher.wanted == set()
    assert set(probes.probes()) == set(probes.PROBES)
    probe = probes.probes()["import"]
    probe._counter.value = 1  # what a tracer does
    probes.probes()["gc__done"]._counter.value = 1
    try:
        watcher.pause()
        watcher.start()
        assert watcher.wanted == {"import", "gc__done"}
        assert (len(gc.callbacks), len(sys.meta_path)) == (before[0] + 1, before[1] + 1)
    finally:
        probe._counter.value = probes.probes()["gc__done"]._counter.value = 0
        probes.stop()
    assert (len(gc.callbacks), len(sys.meta_path)) == before


def test_firing_is_an_audit_event(probes: Any) -> None:
    """It is one on newer Pythons, and is not told again."""
    library: Any = None

    def emit(event: str) -> None:
        log.append(event)
        library.audit("ctypes.call_function", ())

    log: list[str] = []
    library = probes.Library({"audit": emit})
    library.wanted = {"audit"}
    library.audit("first", ())
    library.audit("second", ())
    assert log == ["first", "second"]


def test_systems_that_refuse(probes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is told, and runs."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "refused")

    monkeypatch.setattr(_provider, "load", refuse)
    if _provider.supported():
        with pytest.warns(UserWarning, match="there will be no probes of this program: .*refused"):
            probes.start()
    assert probes.watcher is None
    assert probes.probes() == {}
    watcher = probes.Watcher({"line": SimpleNamespace(enabled=True)}, (refuse,))
    with pytest.warns(UserWarning, match="do not all work: .*refused"):
        watcher.look()
    watcher.look()  # told once


def test_needs_no_extension() -> None:
    code = (
        "import sys; sys.modules['dtrace._embedded'] = sys.modules['dtrace._system'] = None\n"
        "import dtrace.probes, threading\n"
        "assert threading.active_count() == 1\n"
        "print(sorted(m for m in sys.modules if m.startswith('dtrace')))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "dtrace._session" not in done.stdout
