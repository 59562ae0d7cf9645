# SPDX-License-Identifier: Apache-2.0
"""Folded stacks and flame graphs: what is drawn, and that nothing in a name gets out of its place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dtrace._flamegraph import flamegraph, folded

STACKS = [
    (["main", "a", "b"], 3),
    (["main", "a"], 1),
    (["main", "c"], 4),
    (["main", "a", "b"], 2),
]
SVG = "{http://www.w3.org/2000/svg}"


def frames(svg: str) -> dict[str, tuple[float, float, float]]:
    """The drawn frames: title to x, y and width."""
    root = ElementTree.fromstring(svg)
    found = {}
    for g in root.iter(f"{SVG}g"):
        if g.get("class") == "f":
            rect = g.find(f"{SVG}rect")
            place = (float(rect.get(k)) for k in ("x", "y", "width"))
            found[g.find(f"{SVG}title").text] = tuple(place)
    return found


def test_folded_stacks_are_summed_and_sorted() -> None:
    assert folded(STACKS) == "main;a 1\nmain;a;b 5\nmain;c 4\n"


def test_separators_in_names_are_replaced() -> None:
    assert folded([(["a;b", "c\nd", "\x1b[0m", ""], 1)]) == "a:b;c?d;?[0m;- 1\n"


def test_frames_have_their_shares() -> None:
    drawn = frames(flamegraph(STACKS))
    assert drawn.keys() == {
        "all (10 samples, 100.00%)",
        "main (10 samples, 100.00%)",
        "a (6 samples, 60.00%)",
        "b (5 samples, 50.00%)",
        "c (4 samples, 40.00%)",
    }
    x, y, width = drawn["a (6 samples, 60.00%)"]
    assert (x, width) == (10, 708)
    below = drawn["main (10 samples, 100.00%)"]
    assert below[1] == y + 17
    assert drawn["c (4 samples, 40.00%)"] == (718, y, 472)
    assert drawn["b (5 samples, 50.00%)"][1] == y - 17


def test_hostile_names_stay_text() -> None:
    names = ['</title><script>alert(1)</script>"&', "]]>", "\x00\x1b\ud800", "\u202e"]
    root = ElementTree.fromstring(flamegraph([(names, 1)], title="<b>&", unit="<i>"))
    assert len(list(root.iter(f"{SVG}script"))) == 1
    titles = [t.text for t in root.iter(f"{SVG}title")]
    assert f"{names[0]} (1 <i>, 100.00%)" in titles
    assert "\ufffd\ufffd\ufffd (1 <i>, 100.00%)" in titles


def test_nothing_to_draw() -> None:
    assert frames(flamegraph([])).keys() == {"all (0 samples, 0.00%)"}
    assert folded([]) == ""


def test_deep_and_narrow_stacks() -> None:
    deep = [f"f{i}" for i in range(5000)]
    assert len(frames(flamegraph([(deep, 1)]))) == 5001
    many = [([f"g{i}"], 1) for i in range(20000)]
    assert len(frames(flamegraph(many))) == 1  # all too narrow


def test_the_script_is_a_program(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no JavaScript interpreter")
    script = re.search(r"<!\[CDATA\[(.*)\]\]>", flamegraph(STACKS), re.S)[1]
    (tmp_path / "x.js").write_text(script)
    subprocess.run([node, "--check", tmp_path / "x.js"], check=True)
