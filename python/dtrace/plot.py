# SPDX-License-Identifier: Apache-2.0
"""Plots of distributions and aggregations.  Needs matplotlib: ``pip install pydtrace[plot]``.

Each function draws on an Axes, a new one if none is given, and gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._aggregations import Aggregation, Snapshot
from ._distribution import Distribution, Range
from ._text import printable, shorten


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, made = plt.subplots()
    return made


def safe(text: str) -> str:
    """Without control characters, and not taken for mathematics by matplotlib."""
    return printable(text).replace("$", r"\$")


def distribution(d: Distribution, ax: Any = None, *, title: str = "", color: Any = None) -> Any:
    """A bar for each range, from one before the first to one after the last with something in it."""
    ax = _axes(ax)
    rows = d.rows()
    ax.bar(range(len(rows)), [n for _, n in rows], width=0.9, color=color)
    ax.set_xticks(range(len(rows)), [d.label(r) for r, _ in rows], rotation=45, ha="right")
    ax.set_ylabel("count")
    if title:
        ax.set_title(safe(title))
    return ax


def aggregation(agg: Aggregation, ax: Any = None, *, n: int = 20, title: str | None = None) -> Any:
    """The n greatest values as bars; of distributions, how many values they have."""
    ax = _axes(ax)
    rows = agg.top(n)[::-1]
    labels = [safe("  ".join(shorten(part, 40) for part in key)) for key, _ in rows]
    values = [v.total if isinstance(v, Distribution) else v for _, v in rows]
    ax.barh(range(len(rows)), values)
    ax.set_yticks(range(len(rows)), labels)
    ax.set_xlabel(agg.function)
    ax.set_title(safe(f"@{agg.name}" if title is None else title))
    return ax


class Heatmap:
    """Distributions over time: a column for each time, a row for each range.

    Fed with what was counted since the last time: differences of snapshots, or snapshots that
    were taken with clear=True.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.distributions: list[Distribution] = []

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot], name: str, key: Any = ()) -> Heatmap:
        """Of snapshots as Session.snapshots() gives them, which count from the start: each column
        is what came in since the one before.  key: which of the aggregation's distributions."""
        made = cls()
        before: Distribution | None = None
        for snapshot in snapshots:
            agg = snapshot[name]
            now = agg[key] if key in agg else Distribution(agg.kind, agg.parameters)
            made.add(snapshot.timestamp / 1e9, now - before if before is not None else now)
            before = now
        return made

    def add(self, seconds: float, d: Distribution) -> None:
        """Another column."""
        if self.distributions and d.shape != self.distributions[0].shape:
            raise ValueError(f"distributions differ: {d.shape} and {self.distributions[0].shape}")
        self.times.append(seconds)
        self.distributions.append(d)

    def rows(self) -> Sequence[Range]:
        """The ranges from the first to the last that ever had something in it."""
        if not self.distributions:
            return []
        ranges = self.distributions[0].buckets
        used = {r for d in self.distributions for r in d.counts}
        places = [i for i, r in enumerate(ranges) if r in used]
        return ranges[places[0] : places[-1] + 1] if places else []

    def matrix(self) -> list[list[int]]:
        """A list of counts for each range."""
        counts = [d.counts for d in self.distributions]
        return [[c.get(r, 0) for c in counts] for r in self.rows()]

    def draw(self, ax: Any = None, *, title: str = "", cmap: str = "viridis") -> Any:
        """The map: darker where there is nothing, lighter where there is much."""
        ax = _axes(ax)
        rows = self.rows()
        if rows:
            start = self.times[0]
            right = self.times[-1] - start or 1.0
            image = ax.imshow(
                self.matrix(),
                aspect="auto",
                origin="lower",
                interpolation="nearest",
                cmap=cmap,
                extent=(0, right, -0.5, len(rows) - 0.5),
            )
            d = self.distributions[0]
            step = max(len(rows) // 12, 1)
            ax.set_yticks(range(0, len(rows), step), [d.label(r) for r in rows[::step]])
            ax.figure.colorbar(image, ax=ax, label="count")
        ax.set_xlabel("seconds")
        if title:
            ax.set_title(safe(title))
        return ax


def heatmap(
    snapshots: Iterable[Snapshot], name: str, key: Any = (), ax: Any = None, **keywords: Any
) -> Any:
    """A heat map over time of an aggregation's distribution: see Heatmap.of() and draw()."""
    return Heatmap.of(snapshots, name, key).draw(ax, **keywords)
