# SPDX-License-Identifier: Apache-2.0
"""Events and their names; events of a scripted libdtrace."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
from types import ModuleType
from typing import Any

import pytest
from conftest import started

from dtrace import DropWarning, Event, Probe
from dtrace._events import event_class, field_names

PROBE = Probe("syscall", "vmlinux", "read", "entry")


@pytest.mark.parametrize(
    ("expressions", "names"),
    [
        (("execname", "arg0"), ("execname", "arg0")),
        (("copyinstr(arg1)", "arg0 + 1"), ("copyinstr_arg1", "arg0_1")),
        (("self->ts", "args[0]->pid"), ("self_ts", "args_0_pid")),
        (("arg0", "arg0", "arg0"), ("arg0", "arg0_2", "arg0_3")),
        (("timestamp", "cpu", "probe"), ("timestamp_", "cpu_", "probe_")),
        ((None, None), ("value", "value_2")),
        (("ustack()", "stack(5)", "ustack(5, 0)"), ("ustack", "stack", "ustack_2")),
        (("1 + 2", '"text"', "-1", "()"), ("_1_2", "text_", "_1", "value")),
        (("class", "größe"), ("class_", "gr_e")),
        (("", "a" * 3), ("value", "aaa")),
    ],
)
def test_names(expressions: tuple[str | None, ...], names: tuple[str, ...]) -> None:
    assert field_names(expressions) == names
    assert all(n.isidentifier() and not hasattr(Event, n) for n in names)


def make(record: type, *values: Any, expressions: tuple[str | None, ...] = ()) -> Any:
    cls = event_class(record, (1, "syscall::read:entry", 3, expressions))
    return cls(PROBE, 2, 1000, values, None)  # type: ignore[call-arg]


def test_an_event(fake: ModuleType) -> None:
    e = make(fake.Record, "cat", 42, expressions=("execname", "arg2 * 2"))
    assert isinstance(e, Event)
    assert (e.probe, e.cpu, e.timestamp, e.values, e.text) == (PROBE, 2, 1000, ("cat", 42), None)
    assert e.execname == e["execname"] == e[0] == "cat"
    assert e.arg2_2 == e["arg2_2"] == e["arg2 * 2"] == e[1] == e[-1] == 42
    assert list(e) == ["cat", 42] and len(e) == 2
    assert e.asdict() == {"execname": "cat", "arg2_2": 42}
    assert "execname" in e and "nothing" not in e
    assert (e.clause, e.description, e.line) == (1, "syscall::read:entry", 3)
    assert str(e) == "syscall:vmlinux:read:entry execname='cat' arg2_2=42"
    assert str(e.probe) == "syscall:vmlinux:read:entry"
    match e:
        case Event(execname="cat", arg2_2=n):
            assert n == 42
        case _:
            pytest.fail("it does not match")
    for wrong in ("nothing", 2):
        with pytest.raises((KeyError, IndexError)):
            e[wrong]
    with pytest.raises(AttributeError):
        _ = e.nothing
    with pytest.raises(AttributeError):
        e.cpu = 1


def test_equality_and_copies(fake: ModuleType) -> None:
    e = make(fake.Record, "cat", expressions=("execname",))
    copy = pickle.loads(pickle.dumps(e))
    assert copy == e and hash(copy) == hash(e) and copy.execname == "cat"
    assert pickle.loads(pickle.dumps(copy)) == e
    assert e != make(fake.Record, "dog", expressions=("execname",))
    assert e != ("cat",)


def test_a_record_checks_its_arguments(fake: ModuleType) -> None:
    with pytest.raises(TypeError):
        fake.Record(PROBE, 0, 0, ["a list"])
    with pytest.raises(TypeError):
        fake.Record()


# ---- what a library hands over ----------------------------------------------------------------

FIRINGS = """
    probe 7 syscall:vmlinux:read:entry 2
      int 4 -5
      str 16 bash
    probe 8 p:m:f:n
      stack 0x10 0x20
      bytes 00ff
      float 8 1.5
"""


def test_events_of_a_library(fake: ModuleType) -> None:
    c = started(fake, FIRINGS)
    events, done = c.events()
    assert not done and len(events) == 3
    assert events[0].probe == PROBE and events[0].probe is events[1].probe
    assert events[0].values == (-5, "bash") and events[0].fields == ("value", "value_2")
    assert type(events[0]) is type(events[1]) is not type(events[2])
    assert events[2].values == (("mod`sym10+0x1", "mod`sym20+0x1"), b"\0\xff", 1.5)
    assert c.events() == ([], False)


@pytest.mark.parametrize("kind", ["fake", "classic"])
def test_text_is_gathered(kind: str, request: pytest.FixtureRequest) -> None:
    module = request.getfixturevalue(kind)
    c = started(
        module,
        """
        probe 1 a:b:c:d
          printf one
          int 4 7
          printa two|three
        probe 2 a:b:c:e
          int 4 8
        probe 1 a:b:c:d
          printf four
        """,
    )
    events, _ = c.events()
    assert [e.text for e in events] == ["onetwothree", None, "four"]
    assert [e.values for e in events] == [(7,), (8,), ()]


def test_exit(fake: ModuleType) -> None:
    c = started(fake, "probe 1 a:b:c:d\n exit 3")
    events, done = c.events()
    assert done and [e.values for e in events] == [()] and c.exit_status == 3


def test_tracemem_shows_what_was_asked_for(fake: ModuleType) -> None:
    c = started(fake, "probe 1 a:b:c:d\n tracemem 2 00112233")
    ((event,), _) = c.events()
    assert event.values == (b"\x00\x11",)


def test_nothing_is_lost_by_an_exception(fake: ModuleType) -> None:
    def refuse(drop: Any) -> None:
        raise RuntimeError("no drops, please")

    c = started(
        fake, "probe 1 a:b:c:d 5\n int 4 1\ndrop 0 3\nprobe 1 a:b:c:d 5\n int 4 2", on_drop=refuse
    )
    with pytest.raises(RuntimeError, match="no drops"):
        c.events()
    events, _ = c.events()
    assert [e.values for e in events] == [(1,)] * 5


def test_drops_are_warnings(fake: ModuleType) -> None:
    c = started(fake, "drop 0 3")
    with pytest.warns(DropWarning, match="3 drops"):
        c.events()


def test_a_record_beyond_its_data(fake: ModuleType) -> None:
    c = started(fake, "probe 1 a:b:c:d\n past")
    with pytest.raises(SystemError, match="beyond the end"):
        c.events()


def test_no_leaks(fake: ModuleType) -> None:
    def work() -> None:
        c = started(fake, FIRINGS + "probe 1 a:b:c:d\n printf hello")
        pickle.loads(pickle.dumps(c.events()[0]))
        c.collect()
        c.close()

    for _ in range(3):
        work()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        work()
    gc.collect()
    assert len(gc.get_objects()) - before < 20
    assert sys.getrefcount(fake.Record) < 1000


def test_many_threads(fake: ModuleType) -> None:
    """All ways of reading at once, on one consumer and on several."""
    shared = started(fake, FIRINGS + "probe 1 a:b:c:d\n printf hello\nagg 1 1\n str 8 k\n words 5")
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(60):
                own = started(fake, FIRINGS)
                assert len(own.events()[0]) == 3
                for c in (own, shared):
                    (c.collect, c.events, c.collected, c.aggregations)[(i + n) % 4]()
                own.close()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failures
