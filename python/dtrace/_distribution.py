# SPDX-License-Identifier: Apache-2.0
"""What quantize(), lquantize() and llquantize() make: counts of values, by bucket."""

from __future__ import annotations

import html
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["quantize", "lquantize", "llquantize"]
Range: TypeAlias = tuple[int, int]

LEAST, MOST = -(2**63), 2**63 - 1


@lru_cache(maxsize=128)
def buckets(kind: Kind, parameters: tuple[int, ...]) -> tuple[Range, ...]:
    """All ranges of such a distribution, in ascending order, both ends included."""
    if kind == "quantize":
        powers = [1 << n for n in range(63)]
        negative = [(-2 * p + 1, -p) for p in reversed(powers)]
        positive = [(p, 2 * p - 1) for p in powers]
        return ((LEAST, negative[0][1]), *negative[1:], (0, 0), *positive)
    if kind == "lquantize":
        base, step, levels = parameters
        steps = range(base, base + levels * step, step)
        inner = [(low, low + step - 1) for low in steps]
        return ((LEAST, base - 1), *inner, (base + levels * step, MOST))
    factor, low, high, steps_per_order = parameters
    ranges = [(0, factor**low - 1)]
    for order in range(low, high + 1):
        value, end = factor**order, factor ** (order + 1)
        step = max(end // steps_per_order, 1)
        ranges += [(v, v + step - 1) for v in range(value, end, step)]
    return (*ranges, (factor ** (high + 1), MOST))


class Distribution:
    """How often values were in which range.

    Made by the aggregating functions quantize(), lquantize() and llquantize().  Iterating gives
    ``((low, high), count)`` for each range with something in it, in ascending order, both
    ends included.  Distributions with the same ranges can be added and subtracted.
    """

    __slots__ = ("_counts", "kind", "parameters")

    kind: Kind
    """``"quantize"``, ``"lquantize"`` or ``"llquantize"``."""
    parameters: tuple[int, ...]
    """For lquantize base, step, levels; for llquantize factor, low, high, steps."""

    def __init__(
        self,
        kind: Kind = "quantize",
        parameters: tuple[int, ...] = (),
        counts: Mapping[Range, int] | Iterable[tuple[Range, int]] = (),
    ) -> None:
        self.kind = kind
        self.parameters = parameters
        pairs = counts.items() if isinstance(counts, Mapping) else counts
        self._counts: dict[Range, int] = {r: n for r, n in sorted(pairs) if n}

    # ---- what is in it ------------------------------------------------------------------------

    @property
    def buckets(self) -> tuple[Range, ...]:
        """All ranges, the empty ones too."""
        return buckets(self.kind, self.parameters)

    @property
    def counts(self) -> dict[Range, int]:
        """The counts by range, without the empty ones."""
        return dict(self._counts)

    def __iter__(self) -> Iterator[tuple[Range, int]]:
        return iter(self._counts.items())

    def __len__(self) -> int:
        """How many ranges have something in them."""
        return len(self._counts)

    def __getitem__(self, value: int) -> int:
        """The count of the range that a value is in."""
        for (low, high), count in self._counts.items():
            if low <= value <= high:
                return count
        return 0

    def __bool__(self) -> bool:
        return bool(self._counts)

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return sum(self._counts.values())

    @property
    def mean(self) -> float:
        """The mean of the values, as if each was in the middle of its range; 0.0 of none."""
        total = self.total
        if not total:
            return 0.0
        return sum(sum(self._bounds(r)) / 2 * n for r, n in self._counts.items()) / total

    def _bounds(self, r: Range) -> Range:
        """A range's ends; the open end of the outermost ones is taken to be its other end."""
        low, high = r
        if low == LEAST:
            low = 2 * high if self.kind == "quantize" and high < 0 else high
        if high == MOST and self.kind != "quantize":
            high = low
        return low, high

    def percentile(self, p: float) -> float:
        """A value that p percent of the values are not above, as near as the ranges tell.

        Within a range values are taken to be spread evenly.  Raises ValueError for an empty
        distribution.
        """
        return self.percentiles([p])[0]

    def percentiles(self, ps: Iterable[float]) -> list[float]:
        """Several percentiles: see percentile()."""
        rows = [(self._bounds(r), n) for r, n in self._counts.items() if n > 0]
        if not rows:
            raise ValueError("an empty distribution has no percentiles")
        ends: list[int] = []
        for _, n in rows:
            ends.append((ends[-1] if ends else 0) + n)
        return [self._percentile(rows, ends, p) for p in ps]

    @staticmethod
    def _percentile(rows: list[tuple[Range, int]], ends: list[int], p: float) -> float:
        if not 0 <= p <= 100:
            raise ValueError("a percentile is between 0 and 100")
        rank = p / 100 * ends[-1]
        i = min(bisect_right(ends, rank), len(rows) - 1)
        if i and rank <= ends[i - 1]:
            i -= 1
        (low, high), n = rows[i]
        part = (rank - (ends[i - 1] if i else 0)) / n
        return low + (high - low) * part

    @property
    def median(self) -> float:
        """The percentile 50."""
        return self.percentile(50)

    # ---- arithmetic ---------------------------------------------------------------------------

    def _combined(self, other: Distribution, function: Callable[[int, int], int]) -> Distribution:
        if (self.kind, self.parameters) != (other.kind, other.parameters):
            raise ValueError(f"distributions differ: {self.shape} and {other.shape}")
        mine, others = self._counts, other._counts
        ranges = sorted(mine.keys() | others.keys())
        counts = {r: function(mine.get(r, 0), others.get(r, 0)) for r in ranges}
        return Distribution(self.kind, self.parameters, counts)

    def __add__(self, other: Distribution) -> Distribution:
        if not isinstance(other, Distribution):
            return NotImplemented
        return self._combined(other, lambda a, b: a + b)

    def __sub__(self, other: Distribution) -> Distribution:
        if not isinstance(other, Distribution):
            return NotImplemented
        return self._combined(other, lambda a, b: a - b)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return (self.kind, self.parameters, self._counts) == (
            other.kind,
            other.parameters,
            other._counts,
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.parameters, tuple(self._counts.items())))

    # ---- showing it ---------------------------------------------------------------------------

    @property
    def shape(self) -> str:
        """What makes such distributions, as ``lquantize(x, 0, 100, 10)``."""
        if self.kind == "quantize":
            return "quantize(x)"
        if self.kind == "lquantize":
            base, step, levels = self.parameters
            return f"lquantize(x, {base}, {base + levels * step}, {step})"
        factor, low, high, steps = self.parameters
        return f"llquantize(x, {factor}, {low}, {high}, {steps})"

    def label(self, r: Range) -> str:
        """The name of a range, as dtrace(1) has it."""
        low, high = r
        if self.kind == "quantize":
            return str(high if high < 0 else low)
        first, last = self.buckets[0], self.buckets[-1]
        if r == first:
            return f"< {high + 1}"
        return f">= {low}" if r == last else str(low)

    def rows(self) -> list[tuple[Range, int]]:
        """The ranges to show: from one before the first that has something in it to one after
        the last."""
        ranges = self.buckets
        used = [i for i, r in enumerate(ranges) if r in self._counts]
        if not used:
            middle = 62 if self.kind == "quantize" else 0
            used = [middle + 1]
        first, last = max(used[0] - 1, 0), min(used[-1] + 1, len(ranges) - 1)
        return [(r, self._counts.get(r, 0)) for r in ranges[first : last + 1]]

    def draw(self, width: int = 40) -> str:
        """A picture in text, as dtrace(1) prints it."""
        title = " Distribution ".center(width, "-").rjust(width + 1)
        lines = [f"{'value':>16} {title} {'count':<9}"]
        total = sum(map(abs, self._counts.values()))
        signs = {n > 0 for n in self._counts.values()}
        for r, n in self.rows():
            lines.append(f"{self.label(r):>16} {bar(n, total, signs, width)} {n:<9}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.draw()

    def __repr__(self) -> str:
        return f"<Distribution {self.shape} total={self.total}>"

    def _repr_html_(self) -> str:
        most = max((abs(n) for n in self._counts.values()), default=0) or 1
        lines = []
        for r, n in self.rows():
            label = html.escape(self.label(r))
            length = abs(n) / most * 100
            lines.append(
                f'<tr><td style="text-align:right">{label}</td>'
                '<td style="width:20em;text-align:left"><div style="height:0.9em;'
                f'background:{"#4c78a8" if n >= 0 else "#e45756"};width:{length:.1f}%"></div></td>'
                f'<td style="text-align:right">{n}</td></tr>'
            )
        return (
            "<table><thead><tr><th>value</th><th></th><th>count</th></tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table>"
        )


def bar(n: int, total: int, signs: set[bool], width: int) -> str:
    """Bars go to the right; to the left for negative counts; both from the middle."""
    if len(signs) == 2:
        width //= 2
    length = min(int(abs(n) * width / total + 0.5), width) if total else 0
    right, left = ("@" * length).ljust(width), ("@" * length).rjust(width)
    if signs == {False}:
        return f"{left}|"
    if len(signs) < 2:
        return f"|{right}"
    return f"{' ' * width}|{right}" if n > 0 else f"{left}|{' ' * width}"


def unpack(kind: Kind, word: int) -> tuple[int, ...]:
    """The parameters in the first word of libdtrace's values."""
    if kind == "quantize":
        return ()
    if kind == "lquantize":
        base = word & 0xFFFFFFFF
        return (base - ((base & 0x80000000) << 1), word >> 48, word >> 32 & 0xFFFF)
    return (word >> 48, word >> 32 & 0xFFFF, word >> 16 & 0xFFFF, word & 0xFFFF)


def as_distribution(value: Any) -> Distribution:
    """A check for functions that want one."""
    if not isinstance(value, Distribution):
        raise TypeError(f"a Distribution expected, not {type(value).__name__}")
    return value


for _public in (Distribution,):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
