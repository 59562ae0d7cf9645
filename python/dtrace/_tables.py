# SPDX-License-Identifier: Apache-2.0
"""Events in columns: tables that Arrow, pandas, polars and NumPy take without a copy."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Any

from ._aggregations import Columns
from ._events import Event, Facts
from ._mapping import MappingLike
from ._text import cell_html

ROWS_SHOWN = 20


class Table:
    """The events of one clause, a row each.

    The columns: ``timestamp`` (nanoseconds of the monotonic clock), ``cpu``, the parts of the
    probe's name, then the data by name.  ``table[name]`` is a column: a sequence, whose numbers
    NumPy takes as they are.  The table itself has the Arrow PyCapsule interface:
    ``pyarrow.table(t)``, ``polars.DataFrame(t)``.
    """

    __slots__ = ("clause", "columns", "description", "expressions", "line")

    columns: Columns
    clause: int
    """The number of the clause, from 1 in the order of the program."""
    description: str
    """The probe descriptions of the clause as the program has them."""
    line: int
    """The line where the clause begins; 0 if not known."""
    expressions: tuple[str | None, ...]
    """The D expressions that the data are the values of."""

    def __init__(self, facts: Facts, columns: Columns) -> None:
        self.clause, self.description, self.line, self.expressions = facts
        self.columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.columns.names

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the data alone."""
        return self.names[len(self.names) - len(self.expressions) :]

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, name: str) -> Any:
        return self.columns.column(name)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows as tuples."""
        return zip(*(self[name].tolist() for name in self.names), strict=True)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; pyarrow is not needed."""
        return frame_to_pandas(self.columns)

    def __arrow_c_schema__(self) -> object:
        return self.columns.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.columns.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.columns.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Table {self.description!r} rows={len(self)} columns={', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        shown = min(len(self), ROWS_SHOWN)
        columns = [[self[name][i] for i in range(shown)] for name in self.names]
        rows = list(zip(*columns, strict=True))
        return table_html(self.names, rows, len(self), self.description)


class Tables(MappingLike[int, Table]):
    """Tables of events, by the number of their clause.

    A program whose events are all of one clause may be used as if it was that table: ``only``,
    or straight as an argument of ``pyarrow.table()``.
    """

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = {t.clause: t for t in tables}

    def __getitem__(self, clause: int) -> Table:
        return self._tables[clause]

    def __iter__(self) -> Iterator[int]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def find(self, description: str) -> Table:
        """The table of the first clause with these probe descriptions; KeyError without one."""
        for table in self.values():
            if table.description == description:
                return table
        raise KeyError(description)

    @property
    def only(self) -> Table:
        """The one table that has data; ValueError if there are none or several.

        Clauses without data, such as one that only calls exit(), are left out, unless there are
        no others.
        """
        tables = [t for t in self.values() if t.expressions] or list(self.values())
        if len(tables) != 1:
            raise ValueError(f"there are tables of {len(tables)} clauses: take one of them")
        return tables[0]

    def __arrow_c_schema__(self) -> object:
        return self.only.__arrow_c_schema__()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self.only.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.only.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Tables {list(self.values())}>"

    def _repr_html_(self) -> str:
        return "".join(t._repr_html_() for t in self.values())


class Events(list[Event]):
    """A list of events; a notebook shows it as a table."""

    def _repr_html_(self) -> str:
        return events_html(self[:ROWS_SHOWN], len(self))


def events_html(events: Iterable[Event], total: int) -> str:
    """Events as a table, the names of their data in front of them where these differ."""
    shown = list(events)
    fields = {e.fields for e in shown}
    common = next(iter(fields)) if len(fields) == 1 else None
    text = any(e.text is not None for e in shown)
    head = ["timestamp", "cpu", "probe", *(["data"] if common is None else common)]
    rows: list[list[Any]] = []
    for e in shown:
        data = (
            list(e.values)
            if common is not None
            else [", ".join(f"{n}={v!r}" for n, v in e.asdict().items())]
        )
        rows.append([e.timestamp, e.cpu, str(e.probe), *data, *([e.text or ""] if text else [])])
    if text:
        head.append("text")
    return table_html(head, rows, total)


def table_html(
    names: Iterable[str], rows: Iterable[Iterable[Any]], total: int, caption: str = ""
) -> str:
    """A table of HTML; everything in it is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{cell_html(value)}</td>" for value in row)
        lines.append(f"<tr>{cells}</tr>")
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    more = total - len(lines)
    note = f"<p>and {more} more</p>" if more > 0 else ""
    return (
        f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{note}"
    )


def frame_to_pandas(columns: Columns) -> Any:
    """A pandas.DataFrame made with NumPy alone."""
    import numpy
    import pandas

    data: dict[str, Any] = {}
    for name in columns.names:
        column = columns.column(name)
        if column.format in ("U", "Z", "+L"):
            data[name] = column.tolist()
        elif name in PROBE_PARTS:
            data[name] = pandas.Categorical(column.tolist())
        else:
            data[name] = numpy.asarray(column)
    return pandas.DataFrame(data)


PROBE_PARTS = frozenset(("provider", "module", "function", "name"))


for _public in (Table, Tables, Events):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
