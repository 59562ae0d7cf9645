# SPDX-License-Identifier: Apache-2.0
"""Firings of probes as objects.

The C extension calls this module: for the class of an enabling's events, and for names.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple


class Probe(NamedTuple):
    """The name of a probe."""

    provider: str
    module: str
    function: str
    name: str

    def __str__(self) -> str:
        return ":".join(self)


# What an event or a table of events has beside the data.
RESERVED = frozenset(
    [
        "probe",
        "cpu",
        "timestamp",
        "values",
        "text",
        "fields",
        "expressions",
        "clause",
        "description",
        "line",
        "asdict",
        "provider",
        "module",
        "function",
        "name",
        "count",
        "sum",
        "value",
        "low",
        "high",
    ]
)


def identifier(text: str | None, default: str) -> str:
    """A D expression as a name: what cannot be in one becomes ``_``."""
    stack = re.fullmatch(r"([uj]?stack)\s*\(.*\)", text or "", re.DOTALL)
    name = stack[1] if stack else re.sub(r"\W+", "_", text or "", flags=re.ASCII).strip("_")
    if not name:
        return default
    if name[0].isdigit():
        name = "_" + name
    if name in RESERVED or keyword.iskeyword(name):
        name += "_"
    return name


def field_names(expressions: Sequence[str | None], default: str = "value") -> tuple[str, ...]:
    """A different name for each expression."""
    names: list[str] = []
    for expression in expressions:
        name = base = identifier(expression, default)
        n = 2
        while name in names:
            name = f"{base}_{n}"
            n += 1
        names.append(name)
    return tuple(names)


class Event:
    """A firing of a probe, with what a clause of the program recorded.

    The data can be had by name (``event.arg0``, ``event["arg0"]``) and by position
    (``event[0]``, or all of it as ``event.values``).  A name is the D expression with every run
    of characters that no name can have as one underscore: ``copyinstr(arg1)`` is
    ``event.copyinstr_arg1``; as a key the expression itself will do, too.  A name that events
    have anyway, as ``timestamp``, gets an underscore at its end.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        probe: Probe
        cpu: int
        timestamp: int
        values: tuple[Any, ...]
        text: str | None

        def __getattr__(self, name: str) -> Any: ...

    fields: ClassVar[tuple[str, ...]] = ()
    """The names of the data."""
    expressions: ClassVar[tuple[str | None, ...]] = ()
    """The D expressions that the data are the values of; None where not known."""
    clause: ClassVar[int] = 0
    """The number of the clause, from 1 in the order of the program."""
    description: ClassVar[str] = ""
    """The probe descriptions of the clause as the program has them."""
    line: ClassVar[int] = 0
    """The line where the clause begins; 0 if not known."""
    _index: ClassVar[Mapping[str, int]] = {}

    def __getitem__(self, key: int | str) -> Any:
        if not isinstance(key, str):
            return self.values[key]
        return self.values[self._index[key]]

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def asdict(self) -> dict[str, Any]:
        """The data by name."""
        return dict(zip(self.fields, self.values, strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.probe, self.cpu, self.timestamp, self.fields, self.values, self.text)

    def __repr__(self) -> str:
        return f"<Event {self}>"

    def __str__(self) -> str:
        parts = [str(self.probe)]
        parts += [f"{name}={value!r}" for name, value in zip(self.fields, self.values, strict=True)]
        if self.text is not None:
            parts.append(repr(self.text))
        return " ".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = (self.clause, self.description, self.line, self.expressions)
        data = (self.probe, self.cpu, self.timestamp, self.values, self.text)
        return (restore, (facts, data))


Facts = tuple[int, str, int, tuple[str | None, ...]]


def event_class(record: type, facts: Facts) -> type[Event]:
    """The class of the events of one clause; record: where the five members are."""
    clause, description, line, expressions = facts
    names = field_names(expressions)
    index = {name: i for i, name in enumerate(names)}
    for i, expression in enumerate(expressions):
        if expression is not None:
            index.setdefault(expression, i)
    members: dict[str, Any] = {name: property(field(i)) for i, name in enumerate(names)}
    members |= {
        "__slots__": (),
        "__match_args__": names,
        "__doc__": f"A firing of {description or 'a probe'}.",
        "__module__": "dtrace",
        "fields": names,
        "expressions": expressions,
        "clause": clause,
        "description": description,
        "line": line,
        "_index": index,
    }
    return type("Event", (Event, record), members)


def field(i: int) -> Any:
    def get(self: Event) -> Any:
        return self.values[i]

    return get


class Plain:
    """The members of an event from elsewhere, where there may be no engine."""

    __slots__ = ("cpu", "probe", "text", "timestamp", "values")

    def __init__(
        self, probe: Probe, cpu: int, timestamp: int, values: tuple[Any, ...], text: str | None
    ) -> None:
        self.probe = probe
        self.cpu = cpu
        self.timestamp = timestamp
        self.values = values
        self.text = text


_restored: dict[Facts, Any] = {}


def restore(facts: Facts, data: tuple[Any, ...]) -> Any:
    """An event that was pickled."""
    cls = _restored.get(facts)
    if cls is None:
        if len(_restored) > 1000:
            _restored.clear()
        cls = _restored[facts] = event_class(Plain, facts)
    return cls(*data)


for _public in (Probe, Event):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
