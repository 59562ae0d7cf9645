# SPDX-License-Identifier: Apache-2.0
"""Profiles: what stacks were seen how often, for the tools that show such things.

    with dtrace.trace("profile-997 /pid == $target/ { @[ustack()] = count() }", target=pid) as s:
        s.wait(10)
        dtrace.stacks.save(s[""], "profile.svg")

A source is an aggregation with stacks among its keys, a table or events with stacks among their
data.  Parts of a key that are no stacks become the outermost frames.  Where there are both, the
kernel's frames come inside of the user's.  Frames are functions: the places in them that stacks
tell (``read+0x4c``) are added up, unless offsets are asked for.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from ._aggregations import Aggregation
from ._distribution import Distribution
from ._events import Event
from ._tables import Table

Stacks: TypeAlias = list[tuple[tuple[str, ...], int]]
"""Frames from the outermost to the innermost, and how often they were seen."""
Source: TypeAlias = Aggregation | Table | Iterable[Event]


def stacks(source: Source, *, offsets: bool = False) -> Stacks:
    """The stacks of a source, with their weights.

    offsets: tell the places in a function apart.
    """
    rows: Iterable[tuple[Sequence[Any], Sequence[str | None], int]]
    if isinstance(source, Aggregation):
        rows = [(key, source.expressions, weight_of(value)) for key, value in source.items()]
    elif isinstance(source, Table):
        columns = [source[name].tolist() for name in source.fields]
        rows = [(row, source.expressions, 1) for row in zip(*columns, strict=True)]
    else:
        rows = [(e.values, e.expressions, 1) for e in source]
    return merged((frames_of(parts, of, offsets), n) for parts, of, n in rows)


@lru_cache(maxsize=10000)
def function_of(frame: str) -> str:
    """A frame without the place in the function."""
    return re.sub(r"\+0x[0-9a-f]+$", "", frame)


def weight_of(value: Any) -> int:
    if isinstance(value, Distribution):
        return value.total
    if isinstance(value, int):
        return value
    raise TypeError("averages and deviations have no weight: count() or sum() is what is wanted")


def frames_of(
    parts: Sequence[Any], expressions: Sequence[str | None], offsets: bool
) -> tuple[str, ...]:
    """One stack of what may be several, and other things."""
    others: list[str] = []
    user: list[str] = []
    kernel: list[str] = []
    for i, part in enumerate(parts):
        if not isinstance(part, (tuple, list)):
            others.append(str(part))
            continue
        expression = (expressions[i] if i < len(expressions) else None) or ""
        frames = reversed(part) if offsets else map(function_of, reversed(part))
        (kernel if re.match(r"\s*stack\b", expression) else user).extend(frames)
    return (*others, *user, *kernel)


def merged(rows: Iterable[tuple[tuple[str, ...], int]]) -> Stacks:
    """Each stack once."""
    sums: dict[tuple[str, ...], int] = {}
    for frames, n in rows:
        if frames:
            sums[frames] = sums.get(frames, 0) + n
    return sorted(sums.items())


# ---- formats --------------------------------------------------------------------------------------


def folded(source: Source) -> str:
    """A line per stack: frames joined by semicolons, outermost first, and the number."""
    from ._flamegraph import folded as fold

    return fold(stacks(source))


def flamegraph(source: Source, title: str = "Flame graph", unit: str = "samples") -> str:
    """A flame graph: an SVG that needs nothing but a browser."""
    from ._flamegraph import flamegraph as draw

    return draw(stacks(source), title=title, unit=unit)


def speedscope(source: Source, name: str = "dtrace") -> str:
    """A file for speedscope (https://www.speedscope.app): JSON."""
    numbers: dict[str, int] = {}
    samples = []
    weights = []
    for frames, n in stacks(source):
        samples.append([numbers.setdefault(harmless(f), len(numbers)) for f in frames])
        weights.append(n)
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "exporter": "pydtrace",
            "name": name,
            "shared": {"frames": [{"name": frame} for frame in numbers]},
            "profiles": [
                {
                    "type": "sampled",
                    "name": name,
                    "unit": "none",
                    "startValue": 0,
                    "endValue": sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
            ],
        }
    )


def harmless(text: str) -> str:
    """What is no valid Unicode is replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# ---- pprof ----------------------------------------------------------------------------------------


def varint(n: int) -> bytes:
    n &= 2**64 - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field: int, n: int) -> bytes:
    return varint(field << 3) + varint(n) if n else b""


def message(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


def packed(field: int, numbers: Iterable[int]) -> bytes:
    return message(field, b"".join(map(varint, numbers)))


class _Profile:
    """The tables of a profile: strings, functions, modules, places."""

    def __init__(self) -> None:
        self.strings = {"": 0}
        self.functions: dict[tuple[str, str], int] = {}
        self.modules: dict[str, int] = {}
        self.places: dict[str, int] = {}
        self.body = bytearray()

    def string(self, text: str) -> int:
        return self.strings.setdefault(harmless(text), len(self.strings))

    def module(self, name: str) -> int:
        if not name:
            return 0
        if name not in self.modules:
            self.modules[name] = n = len(self.modules) + 1
            # Mapping: id, filename, has_functions
            self.body += message(3, number(1, n) + number(5, self.string(name)) + number(7, 1))
        return self.modules[name]

    def function(self, module: str, name: str) -> int:
        key = (module, name)
        if key not in self.functions:
            self.functions[key] = n = len(self.functions) + 1
            text = self.string(name)
            # Function: id, name, system_name, filename
            self.body += message(
                5, number(1, n) + number(2, text) + number(3, text) + number(4, self.string(module))
            )
        return self.functions[key]

    def place(self, frame: str) -> int:
        if frame not in self.places:
            module, _, symbol = frame.rpartition("`")
            name = function_of(symbol)
            self.places[frame] = n = len(self.places) + 1
            line = message(4, number(1, self.function(module, name)))
            address = int(symbol, 16) if re.fullmatch(r"0x[0-9a-f]{1,16}", symbol) else 0
            # Location: id, mapping, address, line
            self.body += message(
                4, number(1, n) + number(2, self.module(module)) + number(3, address) + line
            )
        return self.places[frame]


def pprof(source: Source, kind: str = "samples", unit: str = "count") -> bytes:
    """A profile for pprof: a gzipped protocol buffer."""
    p = _Profile()
    p.body += message(1, number(1, p.string(kind)) + number(2, p.string(unit)))
    for frames, n in stacks(source):
        places = [p.place(f) for f in reversed(frames)]
        p.body += message(2, packed(1, places) + packed(2, [n]))
    strings = b"".join(message(6, text.encode()) for text in p.strings)
    return gzip.compress(bytes(p.body) + strings, mtime=0)


def save(source: Source, path: str | PathLike[str], title: str = "") -> None:
    """Write a file in the format that its name asks for: ``.svg``, ``.folded`` or ``.txt``,
    ``.json`` (speedscope), ``.pb.gz`` (pprof)."""
    to = Path(path)
    name = title or to.name.split(".", 1)[0]
    if to.name.endswith((".pb.gz", ".pprof")):
        to.write_bytes(pprof(source))
    elif to.suffix == ".svg":
        to.write_text(flamegraph(source, title=name), encoding="utf-8")
    elif to.suffix == ".json":
        to.write_text(speedscope(source, name), encoding="utf-8")
    elif to.suffix in (".folded", ".txt"):
        to.write_text(folded(source), encoding="utf-8", errors="replace")
    else:
        raise ValueError(f"no format known for {to.name!r}: .svg, .folded, .json or .pb.gz")
