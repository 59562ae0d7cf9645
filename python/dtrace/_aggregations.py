# SPDX-License-Identifier: Apache-2.0
"""Snapshots of aggregations: mappings from keys to values, with exact arithmetic.

A snapshot holds what the library counted, in columns; Python objects are made of it when
somebody looks.  What a value is for arithmetic (its state) is more than what is shown: an
average is a sum and a count, and so on.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from . import _engine
from ._distribution import Distribution, Kind, unpack
from ._events import field_names
from ._mapping import MappingLike
from ._text import cell_html, shorten

Key: TypeAlias = tuple[Any, ...]
State: TypeAlias = Any

FUNCTIONS = [
    "count",
    "min",
    "max",
    "avg",
    "sum",
    "stddev",
    "quantize",
    "lquantize",
    "llquantize",
]  # in the order of libdtrace's numbers, from 1
DISTRIBUTIONS = frozenset(("quantize", "lquantize", "llquantize"))


class Columns(Protocol):
    """A Frame of the C extension."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
    def column(self, name: str, /) -> Any: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


# ---- states -----------------------------------------------------------------------------------


def quotient(n: int, by: int) -> int:
    """As C divides."""
    return n // by if (n < 0) == (by < 0) else -(-n // by)


def shown_number(state: int, by: int) -> int:
    return quotient(state, by)


def shown_average(state: tuple[int, int], by: int) -> float:
    count, total = state
    return total / count / by if count else 0.0


def shown_deviation(state: tuple[int, int, int], by: int) -> float:
    count, total, squares = state
    spread = squares * count - total * total
    return math.sqrt(spread / (count * count)) / by if count and spread > 0 else 0.0


def shown_distribution(state: Distribution, by: int) -> Distribution:
    if by == 1:
        return state
    return Distribution(state.kind, state.parameters, [(r, quotient(n, by)) for r, n in state])


def add(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    return a + b


def subtract(a: Any, b: Any) -> Any:
    if isinstance(a, tuple):
        return tuple(x - y for x, y in zip(a, b, strict=True))
    return a - b


def show(function: str) -> Callable[[Any, int], Any]:
    if function in DISTRIBUTIONS:
        return shown_distribution
    if function == "avg":
        return shown_average
    return shown_deviation if function == "stddev" else shown_number


def merge_states(function: str) -> Callable[[Any, Any], Any]:
    return {"min": min, "max": max}.get(function, add)


def is_nothing(state: State) -> bool:
    return not any(state) if isinstance(state, tuple) else not state


# ---- one aggregation ----------------------------------------------------------------------------


class Aggregation(MappingLike[Key, Any]):
    """An aggregation as it was at one time: values by key.

    Keys are tuples; one of a single part may be given as itself: ``agg["bash"]``.  An aggregation
    without keys has the key ``()``, and its value is ``agg.value``.  Values are an int for count,
    sum, min and max; a float for avg and stddev; a Distribution for quantize and its like.

    ``a + b`` adds up what two of them counted, exactly; ``later - earlier`` is what was
    counted in between.  Arrow, and so pandas, polars and others, take it as a table: a row per key,
    of distributions one per key and range.
    """

    def __init__(
        self,
        name: str,
        function: str,
        states: Mapping[Key, State] | None = None,
        *,
        varid: int = 0,
        expressions: tuple[str | None, ...] = (),
        parameters: tuple[int, ...] = (),
        normals: Mapping[Key, int] | None = None,
        columns: Columns | None = None,
    ) -> None:
        if function not in FUNCTIONS:
            raise ValueError(f"no such aggregating function: {function!r}")
        self.name = name
        self.function = function
        self.varid = varid
        self.expressions = expressions
        self.parameters = parameters
        self._columns = columns
        self._states = None if states is None and columns is not None else dict(states or {})
        self._normals = dict(normals or {})

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the parts of keys."""
        if self.expressions or self._columns is not None:
            return field_names(self.expressions, "key")
        first = next(iter(self.states), ())
        return field_names([None] * len(first), "key")

    # ---- states -------------------------------------------------------------------------------

    @property
    def states(self) -> dict[Key, State]:
        """What exact arithmetic is done with: the value for count, sum, min, max; (count, sum)
        for avg; (count, sum, sum of squares) for stddev; a Distribution.  Not normalized."""
        if self._states is None:
            self._states = self._read()
        return self._states

    def _read(self) -> dict[Key, State]:
        c = self._columns
        assert c is not None
        keys: Iterable[Key]
        names = self.fields
        keys = list(zip(*(c.column(n).tolist() for n in names), strict=True)) if names else ()
        if not names:
            keys = [()] * len(c)
        normals = c.column("_normal").tolist()
        self._normals = {k: n for k, n in zip(keys, normals, strict=True) if n != 1}
        return dict(zip(keys, self._raw(c, keys), strict=False))

    def _raw(self, c: Columns, keys: Iterable[Key]) -> Iterable[State]:
        def words(*names: str) -> list[list[int]]:
            return [c.column(n).tolist() for n in names]

        if self.function in DISTRIBUTIONS:
            return self._distributions(c, keys)
        if self.function == "avg":
            return list(zip(*words("count", "sum"), strict=True))
        if self.function == "stddev":
            parts = zip(*words("count", "sum", "_low", "_high"), strict=True)
            mask = 2**64 - 1
            return [
                (count, total, (high & mask) << 64 | (low & mask))
                for count, total, low, high in parts
            ]
        (values,) = words(self._column_of("value"))
        return values

    def _column_of(self, name: str) -> str:
        """Where the numbers are: normalized ones are kept apart."""
        assert self._columns is not None
        try:
            self._columns.column("_" + name)
        except KeyError:
            return name
        return "_" + name

    def _distributions(self, c: Columns, keys: Iterable[Key]) -> Iterable[State]:
        names = ("low", "high", self._column_of("count"))
        columns = [c.column(n).tolist() for n in names]
        found: dict[Key, dict[tuple[int, int], int]] = {}
        for key, low, high, count in zip(keys, *columns, strict=True):
            found.setdefault(key, {})[low, high] = count
        # one per row, as for the others: dict() makes them one per key
        made = {k: Distribution(self.kind, self.parameters, v) for k, v in found.items()}
        return [made[k] for k in keys]

    @property
    def kind(self) -> Kind:
        """The kind of distribution."""
        if self.function == "lquantize":
            return "lquantize"
        return "llquantize" if self.function == "llquantize" else "quantize"

    def normal(self, key: Key) -> int:
        """What normalize() has set for a key: values are shown divided by it."""
        _ = self.states
        return self._normals.get(key, 1)

    # ---- mapping ------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) and key in self.states else (key,)
        if parts not in self.states:
            raise KeyError(key)
        return show(self.function)(self.states[parts], self._normals.get(parts, 1))

    def __contains__(self, key: object) -> bool:
        try:
            return key in self.states or (key,) in self.states
        except TypeError:
            return False

    def __iter__(self) -> Iterator[Key]:
        return iter(self.states)

    def __len__(self) -> int:
        if self._states is None and self.function not in DISTRIBUTIONS:
            assert self._columns is not None
            return len(self._columns)
        return len(self.states)

    @property
    def value(self) -> Any:
        """The value of an aggregation without keys; what an empty one has if nothing was counted.

        Raises TypeError if there are keys.
        """
        if self.expressions or any(self.states):
            raise TypeError(f"@{self.name} has keys: take one of its values")
        if () in self.states:
            return self[()]
        if self.function in DISTRIBUTIONS:
            return Distribution(self.kind, self.parameters)
        return {"avg": 0.0, "stddev": 0.0, "count": 0, "sum": 0}.get(self.function)

    def top(self, n: int = 10, *, reverse: bool = False) -> list[tuple[Key, Any]]:
        """The n greatest (reverse: least) values with their keys; distributions by total."""
        return sorted(self.items(), key=lambda kv: weight(kv[1]), reverse=not reverse)[:n]

    def total(self) -> Any:
        """All values as one, exactly: the sum of counts, the least of minima, the average of all
        averaged values, all distributions as one.  None of an empty min or max."""
        merge = merge_states(self.function)
        states = iter(self.states.values())
        try:
            state = next(states)
        except StopIteration:
            return Aggregation(self.name, self.function, parameters=self.parameters).value
        for other in states:
            state = merge(state, other)
        return show(self.function)(state, next(iter(self._normals.values()), 1))

    # ---- arithmetic ---------------------------------------------------------------------------

    def _check_alike(self, other: Aggregation) -> None:
        mine = (self.function, self.parameters)
        if mine != (other.function, other.parameters):
            raise ValueError(
                f"@{self.name} and @{other.name} differ: {self.function}{self.parameters} and "
                f"{other.function}{other.parameters}"
            )

    def _with(self, states: dict[Key, State], other: Aggregation) -> Aggregation:
        return Aggregation(
            self.name,
            self.function,
            states,
            varid=self.varid,
            expressions=self.expressions or other.expressions,
            parameters=self.parameters,
            normals={**other._normals, **self._normals},
        )

    def __add__(self, other: Aggregation) -> Aggregation:
        if not isinstance(other, Aggregation):
            return NotImplemented
        self._check_alike(other)
        merge = merge_states(self.function)
        states = dict(self.states)
        for key, state in other.states.items():
            states[key] = merge(states[key], state) if key in states else state
        return self._with(states, other)

    def __sub__(self, earlier: Aggregation) -> Aggregation:
        if not isinstance(earlier, Aggregation):
            return NotImplemented
        self._check_alike(earlier)
        if self.function in ("min", "max"):
            raise ValueError(f"{self.function}() of the time in between is not known")
        states = {}
        for key, state in self.states.items():
            rest = subtract(state, earlier.states[key]) if key in earlier.states else state
            if not is_nothing(rest):
                states[key] = rest
        return self._with(states, earlier)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Aggregation):
            return (self.function, self.parameters, self.states) == (
                other.function,
                other.parameters,
                other.states,
            )
        return dict(self) == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        _ = self.states
        return {**self.__dict__, "_columns": None}

    # ---- tables -------------------------------------------------------------------------------

    @property
    def columns(self) -> Columns:
        """The same as columns; an object that Arrow understands."""
        if self._columns is None:
            self._columns = self._make_columns()
        return self._columns

    def _make_columns(self) -> Columns:
        make = make_distribution_columns if self.function in DISTRIBUTIONS else make_columns
        return _engine.load().Frame(make(self))

    def __arrow_c_schema__(self) -> object:
        return self.columns.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.columns.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.columns.__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame."""
        from ._tables import frame_to_pandas

        return frame_to_pandas(self.columns)

    # ---- showing it ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        keys = ", ".join(e or "?" for e in self.expressions)
        of = f"[{keys}]" if keys else ""
        return f"<Aggregation @{self.name}{of} = {self.function}() rows={len(self)}>"

    def __str__(self) -> str:
        lines = []
        for key, value in sorted(self.items(), key=lambda kv: weight(kv[1])):
            name = "  ".join(shorten(part) for part in key)
            if isinstance(value, Distribution):
                lines += [f"  {name}", str(value), ""]
            else:
                lines.append(f"  {name:<50} {number(value):>16}")
        return "\n".join(lines)

    def __rich__(self) -> Any:
        """For rich: a table of the greatest values."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(f"@{self.name}"))
        for field in self.fields:
            table.add_column(Text(field))
        table.add_column(self.function, justify="right")
        for key, value in self.top(ROWS_SHOWN):
            shown = str(value) if isinstance(value, Distribution) else number(value)
            table.add_row(*(Text(shorten(part)) for part in key), Text(shown, no_wrap=True))
        return table

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(f)}</th>" for f in (*self.fields, self.function))
        rows = []
        for key, value in self.top(ROWS_SHOWN):
            cells = "".join(f"<td>{cell_html(part)}</td>" for part in key)
            shown = (
                value._repr_html_()
                if isinstance(value, Distribution)
                else html.escape(number(value))
            )
            rows.append(f'<tr>{cells}<td style="text-align:right">{shown}</td></tr>')
        more = len(self) - ROWS_SHOWN
        note = f"<p>and {more} more</p>" if more > 0 else ""
        title = html.escape(f"@{self.name}")
        return (
            f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table>{note}"
        )


ROWS_SHOWN = 50


def number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def weight(value: Any) -> Any:
    return value.total if isinstance(value, Distribution) else value


# ---- columns from states ----------------------------------------------------------------------

Column: TypeAlias = tuple[str, str, list[Any]]


def format_of(values: list[Any]) -> str:
    """The Arrow format of a key's column."""
    first = next(iter(values), 0)
    if isinstance(first, str):
        return "U"
    if isinstance(first, bytes):
        return "Z"
    if isinstance(first, float):
        return "g"
    if isinstance(first, (tuple, list)):
        return "+L"
    return "L" if any(v > 2**63 - 1 for v in values) else "l"


def key_columns(agg: Aggregation, keys: list[Key]) -> list[Column]:
    columns = []
    for i, name in enumerate(agg.fields):
        values = [key[i] for key in keys]
        columns.append((name, format_of(values), values))
    return columns


def make_columns(agg: Aggregation) -> list[Column]:
    keys = list(agg.states)
    columns = key_columns(agg, keys)
    if agg.function in ("avg", "stddev"):
        states = [agg.states[k] for k in keys]
        columns.append(("count", "l", [s[0] for s in states]))
        columns.append(("sum", "l", [s[1] for s in states]))
        columns.append(("value", "g", [agg[k] for k in keys]))
    else:
        columns.append(("value", "l", [agg[k] for k in keys]))
    return columns


def make_distribution_columns(agg: Aggregation) -> list[Column]:
    rows = [(key, r, n) for key, d in agg.items() for r, n in d]
    columns = key_columns(agg, [key for key, _, _ in rows])
    columns.append(("low", "l", [low for _, (low, _), _ in rows]))
    columns.append(("high", "l", [high for _, (_, high), _ in rows]))
    columns.append(("count", "l", [n for _, _, n in rows]))
    return columns


# ---- all of them ------------------------------------------------------------------------------

RawAggregation: TypeAlias = tuple[str, int, int, int, tuple[str | None, ...], Any]


class Snapshot(Mapping[str, Aggregation]):
    """All aggregations of a program at one time, by name.

    The name may be given with ``@``; that of the aggregation without a name is ``""``.  Snapshots
    add and subtract as their aggregations do.
    """

    def __init__(self, aggregations: Iterable[Aggregation] = (), when: int | None = None) -> None:
        self._aggregations = {a.name: a for a in aggregations}
        self.timestamp = time.monotonic_ns() if when is None else when
        """When it was taken: time.monotonic_ns()."""

    @classmethod
    def of(cls, raw: Iterable[RawAggregation]) -> Snapshot:
        """From what the C extension gives."""
        made = []
        for name, varid, function, word, expressions, columns in raw:
            f = FUNCTIONS[function - 1]
            parameters: tuple[int, ...] = ()
            if f == "lquantize":
                parameters = unpack("lquantize", word)
            elif f == "llquantize":
                parameters = unpack("llquantize", word)
            made.append(
                Aggregation(
                    "" if name == "_" else name,
                    f,
                    varid=varid,
                    expressions=expressions,
                    parameters=parameters,
                    columns=columns,
                )
            )
        return cls(sorted(made, key=lambda a: a.varid))

    def __getitem__(self, name: str) -> Aggregation:
        try:
            return self._aggregations[name.removeprefix("@")]
        except KeyError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._aggregations)

    def __len__(self) -> int:
        return len(self._aggregations)

    @property
    def only(self) -> Aggregation:
        """The one aggregation of the program; ValueError if it has none or several."""
        if len(self) != 1:
            raise ValueError(f"the program has {len(self)} aggregations, not one")
        return next(iter(self.values()))

    def __add__(self, other: Snapshot) -> Snapshot:
        if not isinstance(other, Snapshot):
            return NotImplemented
        merged = dict(self._aggregations)
        for name, agg in other.items():
            merged[name] = merged[name] + agg if name in merged else agg
        return Snapshot(merged.values(), max(self.timestamp, other.timestamp))

    def __sub__(self, earlier: Snapshot) -> Snapshot:
        if not isinstance(earlier, Snapshot):
            return NotImplemented
        rest = [a - earlier[n] if n in earlier else a for n, a in self.items()]
        return Snapshot(rest, self.timestamp)

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ", ".join(f"@{name}" for name in self)
        return f"<Snapshot {names}>"

    def __str__(self) -> str:
        return "\n\n".join(f"@{name}\n{agg}" for name, agg in self.items())

    def __rich__(self) -> Any:
        """For rich: all tables."""
        from rich.console import Group

        return Group(*self.values())

    def _repr_html_(self) -> str:
        return "".join(agg._repr_html_() for agg in self.values())


for _public in (Aggregation, Snapshot):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
