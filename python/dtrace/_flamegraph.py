# SPDX-License-Identifier: Apache-2.0
"""Stacks as text and as pictures: folded stacks, and flame graphs that need no more than a browser.

Both take pairs of a stack and its weight.  A stack is its frames from the outermost to the
innermost: what D calls a stack is the other way round.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Stacks: TypeAlias = Iterable[tuple[Sequence[str], int]]

WIDTH, MARGIN, ROW, CHARACTER = 1200, 10, 17, 7.2
TOP, BOTTOM = 48, 34
LEAST = 0.1  # narrower ones are not drawn

# What XML 1.0 cannot hold; separators of folded stacks.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SEPARATORS = re.compile(r"[;\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def folded(stacks: Stacks) -> str:
    """A line per stack: its frames, joined by semicolons, and its weight."""
    sums: dict[str, int] = {}
    for frames, weight in stacks:
        line = ";".join(_SEPARATORS.sub(_stand_in, f) or "-" for f in frames)
        sums[line] = sums.get(line, 0) + weight
    return "".join(f"{line} {n}\n" for line, n in sorted(sums.items()))


def _stand_in(m: re.Match[str]) -> str:
    return ":" if m[0] == ";" else "?"


class _Node:
    __slots__ = ("children", "depth", "name", "weight", "x")

    def __init__(self, name: str, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.weight = 0
        self.x = 0
        self.children: dict[str, _Node] = {}


def _tree(stacks: Stacks) -> _Node:
    root = _Node("all", 0)
    for frames, weight in stacks:
        if weight <= 0:
            continue
        node = root
        node.weight += weight
        for frame in frames:
            child = node.children.get(frame)
            if child is None:
                child = node.children[frame] = _Node(frame, node.depth + 1)
            child.weight += weight
            node = child
    return root


def _placed(root: _Node, least: float) -> list[_Node]:
    """All nodes that weigh enough, with their places; those of one parent in the order of their names."""
    placed, left = [], [root]
    while left:
        node = left.pop()
        placed.append(node)
        x = node.x
        for _, child in sorted(node.children.items()):
            child.x = x
            x += child.weight
            if child.weight >= least:
                left.append(child)
    return placed


def _escape(text: str) -> str:
    text = _UNFIT.sub("\ufffd", text)
    for c, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(c, entity)
    return text


def _colour(name: str) -> str:
    """Frames of one module look alike; the kernel's are cooler."""
    module, _, function = name.rpartition("`")
    shade = zlib.crc32(function.encode("utf-8", "replace")) % 18
    if module.startswith("vmlinux"):
        hue = 205
    else:
        hue = zlib.crc32(module.encode("utf-8", "replace")) % 56
    return f"hsl({hue},{70 + shade % 3 * 8}%,{58 + shade}%)"


def _fitting(name: str, width: float) -> str:
    room = int((width - 6) / CHARACTER)
    if room < 3:
        return ""
    return name if len(name) <= room else name[: room - 1] + "\u2026"


def flamegraph(stacks: Stacks, title: str = "Flame graph", unit: str = "samples") -> str:
    """A standalone SVG: click on a frame to zoom, search with `/` or Ctrl-F, Escape goes back."""
    root = _tree(stacks)
    total = root.weight
    inner = WIDTH - 2 * MARGIN
    nodes = _placed(root, total * LEAST / inner)
    depth = max(n.depth for n in nodes)
    height = TOP + (depth + 1) * ROW + BOTTOM
    out = [_HEAD.format(width=WIDTH, height=height, middle=WIDTH // 2, title=_escape(title))]
    out.append(
        f'<text id="found" x="{WIDTH - MARGIN}" y="{height - 12}" text-anchor="end"></text>'
        f'<text id="detail" x="{MARGIN}" y="{height - 12}"></text>\n<g id="frames">\n'
    )
    for node in nodes:
        x = MARGIN + (node.x / total * inner if total else 0)
        width = node.weight / total * inner if total else inner
        y = TOP + (depth - node.depth) * ROW
        share = 100 * node.weight / total if total else 0
        name = _escape(node.name)
        out.append(
            f'<g class="f"><title>{name} ({node.weight:,} {_escape(unit)}, {share:.2f}%)</title>'
            f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}"'
            f' fill="{_colour(node.name)}"/>'
            f'<text x="{x + 3:.2f}" y="{y + 12}">{_escape(_fitting(node.name, width))}</text></g>\n'
        )
    out.append(_TAIL)
    return "".join(out)


_HEAD = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}">
<style>
text {{ font: 12px monospace; fill: #111 }}
#title {{ font-size: 16px; text-anchor: middle }}
.button {{ cursor: pointer; fill: #555 }}
.f {{ cursor: pointer }}
.f:hover rect {{ stroke: #000; stroke-width: 0.7 }}
.f text {{ pointer-events: none }}
.above {{ opacity: 0.5 }}
.found rect {{ fill: #e0e }}
</style>
<rect id="back" width="100%" height="100%" fill="#fbfaf7"/>
<text id="title" x="{middle}" y="24">{title}</text>
<text id="reset" class="button" x="10" y="24" visibility="hidden">whole picture</text>
<text id="search" class="button" x="{width}" y="24" dx="-10" text-anchor="end">search</text>
"""

_TAIL = """\
</g>
<script><![CDATA[
"use strict";
(function () {
	const svg = document.documentElement;
	const el = id => document.getElementById(id);
	const frames = Array.from(document.querySelectorAll(".f"), g => {
		const rect = g.querySelector("rect"), text = g.querySelector("text");
		const title = g.querySelector("title").textContent;
		return {
			g, rect, text, title,
			name: title.slice(0, title.lastIndexOf(" (")),
			x: parseFloat(rect.getAttribute("x")),
			w: parseFloat(rect.getAttribute("width")),
			y: parseFloat(rect.getAttribute("y")),
		};
	});
	const all = frames[0], slack = 0.02;

	function place(f, x, w) {
		f.rect.setAttribute("x", x);
		f.rect.setAttribute("width", w);
		f.text.setAttribute("x", x + 3);
		const room = Math.floor((w - 6) / 7.2);
		f.text.textContent = room < 3 ? "" :
			f.name.length <= room ? f.name : f.name.slice(0, room - 1) + "\\u2026";
	}

	function zoom(to) {
		const scale = all.w / to.w;
		for (const f of frames) {
			const around = f.x <= to.x + slack && f.x + f.w >= to.x + to.w - slack;
			const inside = f.x >= to.x - slack && f.x + f.w <= to.x + to.w + slack;
			const above = around && f.y > to.y;
			f.g.classList.toggle("above", above);
			f.g.style.display = above || (inside && f.y <= to.y) ? "" : "none";
			if (above)
				place(f, all.x, all.w);
			else if (inside)
				place(f, all.x + (f.x - to.x) * scale, f.w * scale);
		}
		el("reset").setAttribute("visibility", to === all ? "hidden" : "visible");
	}

	function search(what) {
		let pattern = null;
		try {
			pattern = what ? new RegExp(what) : null;
		} catch (e) {
			el("found").textContent = "not a regular expression";
			return;
		}
		const hits = [];
		for (const f of frames) {
			const hit = pattern !== null && f !== all && pattern.test(f.name);
			f.g.classList.toggle("found", hit);
			if (hit)
				hits.push(f);
		}
		/* what is found within something found counts once */
		hits.sort((a, b) => a.x - b.x || b.w - a.w);
		let sum = 0, end = -1;
		for (const f of hits) {
			if (f.x + f.w <= end + slack)
				continue;
			sum += f.w;
			end = f.x + f.w;
		}
		el("found").textContent = pattern === null ? "" :
			"matched: " + (100 * sum / all.w).toFixed(1) + "%";
	}

	function ask() {
		search(prompt("Search for (a regular expression):", ""));
	}

	for (const f of frames) {
		f.g.addEventListener("click", () => zoom(f));
		f.g.addEventListener("mouseover", () => { el("detail").textContent = f.title; });
		f.g.addEventListener("mouseout", () => { el("detail").textContent = ""; });
	}
	el("reset").addEventListener("click", () => zoom(all));
	el("search").addEventListener("click", ask);
	svg.addEventListener("keydown", e => {
		if (e.key === "/" || (e.key === "f" && (e.ctrlKey || e.metaKey))) {
			e.preventDefault();
			ask();
		} else if (e.key === "Escape") {
			search("");
			zoom(all);
		}
	});
}());
]]></script>
</svg>
"""
