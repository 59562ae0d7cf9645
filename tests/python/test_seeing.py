# SPDX-License-Identifier: Apache-2.0
"""Notebooks and plots, without a kernel to trace."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from dtrace import Aggregation, Distribution, Snapshot
from dtrace._events import event_class
from dtrace._tables import Events
from dtrace.jupyter import Result, Usage, keywords_of, parser, target_of

HOSTILE = "<img src=x onerror=alert(1)>$x^2$\x1b[0m\udc80"


@pytest.fixture
def axes() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def render(ax: Any) -> None:
    import io

    ax.figure.savefig(io.BytesIO(), format="png")


# ---- plots ------------------------------------------------------------------------------------


def test_plot_of_a_distribution(axes: Any) -> None:
    from dtrace import plot

    d = Distribution("quantize", (), {(1, 1): 3, (4, 7): 9})
    ax = plot.distribution(d, title=HOSTILE)
    assert [p.get_height() for p in ax.patches] == [0, 3, 0, 9, 0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "2", "4", "8"]
    render(ax)
    render(plot.distribution(Distribution()))


def test_plot_of_an_aggregation(axes: Any) -> None:
    from dtrace import plot

    rows = {(f"p{i}", i): i for i in range(30)} | {(HOSTILE, 0): 100}
    ax = plot.aggregation(Aggregation("calls", "count", rows), n=5)
    assert [p.get_width() for p in ax.patches] == [26, 27, 28, 29, 100]
    assert ax.get_title() == "@calls"
    render(ax)
    render(plot.aggregation(Aggregation("none", "count")))


def test_heat_map(axes: Any) -> None:
    from dtrace import plot

    def at(seconds: int, **counts: int) -> Snapshot:
        ranges = {"a": (1, 1), "b": (2, 3), "c": (4, 7), "d": (8, 15)}
        d = Distribution("quantize", (), {ranges[k]: n for k, n in counts.items()})
        return Snapshot([Aggregation("q", "quantize", {("x",): d})], seconds * 10**9)

    snapshots = [
        Snapshot([Aggregation("q", "quantize")], 0),
        at(1, a=1),
        at(2, a=3, d=5),
        at(3, a=3, d=5),
    ]
    m = plot.Heatmap.of(snapshots, "q", "x")
    assert m.times == [0, 1, 2, 3]
    assert list(m.rows()) == [(1, 1), (2, 3), (4, 7), (8, 15)]
    assert m.matrix() == [[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0]]
    ax = m.draw(title="read sizes")
    (image,) = ax.images
    assert image.get_array().shape == (4, 4)
    render(ax)
    render(plot.heatmap([], "q"))
    with pytest.raises(ValueError, match="differ"):
        m.add(4, Distribution("lquantize", (0, 1, 10)))


# ---- notebooks --------------------------------------------------------------------------------


def event(fake: ModuleType, *values: Any, names: tuple[str, ...], text: str | None = None) -> Any:
    from dtrace import Probe

    cls: Any = event_class(fake.Record, (1, "BEGIN", 1, names))
    return cls(Probe("dtrace", "", "", "BEGIN"), 0, 5, values, text)


def test_events_as_a_table(fake: ModuleType) -> None:
    same = [event(fake, HOSTILE, i, names=("execname", "arg0")) for i in range(3)]
    page = Events(same)._repr_html_()
    assert page.count("<tr>") == 4 and "<th>execname</th><th>arg0</th>" in page
    assert "<img" not in page and "\x1b" not in page
    page.encode()
    mixed = Events([*same, event(fake, 7, names=("pid",), text="hello")])._repr_html_()
    assert "<th>data</th><th>text</th>" in mixed and "pid=7" in mixed and "hello" in mixed
    assert Events()._repr_html_().count("<tr>") == 1
    assert "and 30 more" in Events(same[:1] * 50)._repr_html_()


def test_a_result(fake: ModuleType) -> None:
    r = Result()
    assert "nothing was recorded" in r._repr_html_()
    r.events = [event(fake, i, names=("n",)) for i in range(50)]
    r.total = 50
    r.aggregations = Snapshot([Aggregation("calls", "count", {("bash",): 3})])
    r.note = HOSTILE
    page = r._repr_html_()
    assert "the last 30 of 50 events" in page and "@calls" in page and "<img" not in page
    assert repr(r) == "<Result events=50 aggregations=['calls']>"


def test_options_of_the_magic() -> None:
    p = parser()
    o = p.parse_args("-t 2.5 -o out 1 two".split())
    assert o.args == ["1", "two"]
    assert o.timeout == 2.5 and o.output == "out"
    assert keywords_of(p.parse_args(["-x", "bufsize=1m", "-x", "quiet"])) == {
        "bufsize": "1m",
        "quiet": None,
    }
    assert target_of(p.parse_args(["-c", "ls -l"])) == "ls -l"
    assert target_of(p.parse_args(["-p", "12"])) == 12
    assert target_of(p.parse_args([])) is None
    with pytest.raises(Usage, match="only one of"):
        target_of(p.parse_args(["-s", "-p", "1"]))
    with pytest.raises(Usage, match="usage"):
        p.parse_args(["--nonsense"])
