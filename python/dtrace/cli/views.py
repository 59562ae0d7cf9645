# SPDX-License-Identifier: Apache-2.0
"""Other ways to look at aggregations: folded stacks, flame graphs, heat maps, live tables."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .options import is_terminal, printable
from .run import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._embedded import Consumer
    from .options import Options


class Row(NamedTuple):
    """A row of an aggregation."""

    number: int
    name: str
    function: str
    kinds: str
    """For each key: k a stack of the kernel, u one of a process, - something else."""
    keys: list[Any]
    value: Any

    @property
    def weight(self) -> int:
        """The value as a number; of a distribution, how many it holds."""
        if isinstance(self.value, list):
            return sum(int(n) for _, n in self.value)
        weight: int = round(self.value)
        return weight


def rows(c: Consumer) -> list[Row]:
    return [Row(*row) for row in c.rows()]


def text(value: Any) -> str:
    """A key as one line that is fit for a terminal."""
    if isinstance(value, list):
        return " ".join(map(text, value))
    if isinstance(value, bytes):
        return value.hex()
    return printable(str(value)).replace("\n", "\\n").replace("\t", "\\t")


class View(Output):
    """One that shows no records: what they say goes to a file in memory."""

    def __init__(self, c: Consumer, o: Options) -> None:
        super().__init__(c)
        self.o = o
        self.records = os.memfd_create("pydtrace-records", os.MFD_CLOEXEC)
        c.open_output(self.records, False)

    def taken(self) -> bytes:
        """The end of what the records have said since the last time."""
        size = os.lseek(self.records, 0, os.SEEK_END)
        tail = os.pread(self.records, 1 << 16, max(size - (1 << 16), 0))
        os.ftruncate(self.records, 0)
        return tail

    def work(self) -> bool:
        done = self.c.show()
        self.taken()
        return done

    def print(self, text: str) -> None:
        """To where the command line says."""
        data = text.encode("utf-8", "surrogateescape")
        fd = 1
        if self.o.output is not None:
            fd = os.open(
                self.o.output, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
        try:
            while data:
                data = data[os.write(fd, data) :]
        finally:
            if fd != 1:
                os.close(fd)

    def close(self) -> None:
        os.close(self.records)


# ---- stacks -------------------------------------------------------------------------------------


def stack(row: Row) -> list[str]:
    """Outermost first: what the other keys say, then the process's frames, then the kernel's."""
    frames: list[str] = []
    order = {"-": 0, "u": 1, "k": 2}
    for _, key in sorted(zip(row.kinds, row.keys, strict=True), key=lambda k: order[k[0]]):
        if isinstance(key, list):
            frames += [frame.partition("+0x")[0] for frame in reversed(key)]
        else:
            frames.append(text(key))
    return frames


class Folded(View):
    """For every aggregation with stacks among its keys, or for all if there is none such."""

    def stacks(self) -> list[tuple[list[str], int]]:
        found = rows(self.c)
        with_stacks = [row for row in found if row.kinds.strip("-")]
        return [(stack(row), row.weight) for row in with_stacks or found]

    def end(self) -> None:
        from .._flamegraph import folded

        self.print(folded(self.stacks()))


class Flamegraph(Folded):
    def end(self) -> None:
        from .._flamegraph import flamegraph

        title = " ".join(clause.text.strip() for clause in self.o.clauses)
        title = " ".join(title.split())
        if len(title) > 100:
            title = title[:99] + "…"
        with open(self.o.flamegraph or "", "w", encoding="utf-8", errors="replace") as f:
            f.write(flamegraph(self.stacks(), title))


# ---- heat maps ----------------------------------------------------------------------------------

Bucket = tuple[int, int]

SHADES = " .:-=+*#%@"
COLOURS = (236, 17, 18, 19, 20, 56, 92, 128, 164, 200, 199, 203, 208, 220, 226, 231)


def short(n: int) -> str:
    """A bound in at most six characters."""
    for unit in ("", "K", "M", "G", "T", "P", "E"):
        if abs(n) < 1000 or unit == "E":
            return f"{n}{unit}"
        n = round(n / 1024) if n % 1000 else round(n / 1000)
    return str(n)


class Heatmap(View):
    """A line per interval for each distribution, a column per bucket: the darker, the more values."""

    interval = 1.0

    def __init__(self, c: Consumer, o: Options) -> None:
        super().__init__(c, o)
        self.before: dict[tuple[int, str], dict[Bucket, int]] = {}
        self.columns: dict[tuple[int, str], list[Bucket]] = {}
        self.colour = o.output is None and is_terminal(1) and "NO_COLOR" not in os.environ
        rate = c.getopt("aggrate")
        if rate is not None and rate > 0:
            self.interval = rate / 1e9

    def tick(self) -> None:
        sums: dict[tuple[int, str], dict[Bucket, int]] = {}
        for row in rows(self.c):
            if not isinstance(row.value, list):
                continue
            counts = sums.setdefault((row.number, row.name), {})
            for bucket, n in row.value:
                counts[bucket] = counts.get(bucket, 0) + n
        for which, counts in sums.items():
            before = self.before.get(which, {})
            # A clear() makes them smaller.
            new = {b: n - before.get(b, 0) for b, n in counts.items() if n > before.get(b, 0)}
            if any(counts.get(b, 0) < n for b, n in before.items()):
                new = counts
            self.before[which] = counts
            self.draw(which, new, sorted(counts))

    def draw(self, which: tuple[int, str], counts: dict[Bucket, int], seen: list[Bucket]) -> None:
        known = self.columns.get(which, [])
        if not set(seen) <= set(known):
            known = self.columns[which] = sorted({*known, *seen})
            self.heading(which, known)
        most = max(counts.values(), default=0)
        cells = "".join(self.cell(counts.get(b, 0), most) for b in known)
        now = time.strftime("%H:%M:%S")
        self.print(f"{now} |{cells}| {sum(counts.values())}\n")

    def heading(self, which: tuple[int, str], columns: list[Bucket]) -> None:
        """The lower bounds of the columns, as many as there is room for."""
        line, at = "", 0
        for i, (low, _) in enumerate(columns):
            if 2 * i >= at:
                label = short(low)
                line = line.ljust(2 * i) + label
                at = len(line) + 1
        name = printable(which[1])
        title = f"@{name}" if name != "_" else "@"
        self.print(f"{title[:8]:8} |{line}\n")

    def cell(self, n: int, most: int) -> str:
        if not self.colour:
            return SHADES[shade(n, most, len(SHADES))] * 2
        return f"\x1b[48;5;{COLOURS[shade(n, most, len(COLOURS))]}m  \x1b[0m"

    def end(self) -> None:
        self.tick()


def shade(n: int, most: int, shades: int) -> int:
    """0 for none, else 1 to shades - 1."""
    if n <= 0:
        return 0
    return min(1 + n * (shades - 1) // (most + 1), shades - 1)


# ---- live tables --------------------------------------------------------------------------------


class Live(View):
    """All aggregations as tables, drawn anew; below them, the last lines of what was printed."""

    interval = 1.0
    LINES = 5

    def __init__(self, c: Consumer, o: Options) -> None:
        super().__init__(c, o)
        self.terminal = o.output is None and is_terminal(1)
        self.last: list[str] = []
        self.started = time.monotonic()
        rate = c.getopt("aggrate")
        if rate is not None and rate > 0:
            self.interval = rate / 1e9
        if self.terminal:
            self.print("\x1b[?1049h\x1b[?25l")
        self.on_screen = self.terminal

    def work(self) -> bool:
        done = self.c.show()
        said = self.taken().decode("utf-8", "replace").splitlines()
        self.last = [*self.last, *(s for s in said if s.strip())][-self.LINES :]
        return done

    def tick(self) -> None:
        if not self.terminal:
            self.print("\n".join(self.tables(100, 1 << 30)) + "\n\n")
            return
        columns, lines = shutil.get_terminal_size()
        screen = [f"pydtrace  {time.monotonic() - self.started:.0f} s  (^C ends)", ""]
        tail = [printable(s) for s in self.last]
        screen += self.tables(columns, max(lines - 4 - len(tail), 1))
        if tail:
            screen += ["", *tail]
        drawn = "".join(f"{line[: columns - 1]}\x1b[K\r\n" for line in screen[: lines - 1])
        self.print(f"\x1b[H{drawn}\x1b[J")

    def tables(self, width: int, room: int) -> list[str]:
        grouped: dict[int, list[Row]] = {}
        for row in rows(self.c):
            grouped.setdefault(row.number, []).append(row)
        if not grouped:
            return ["(nothing yet)"]
        each = max(room // len(grouped) - 2, 1)
        out: list[str] = []
        for group in grouped.values():
            if out:
                out.append("")
            out += table(group, width, each)
        return out

    def drop(self, drop: Any) -> None:
        self.last.append(drop.message)

    def fault(self, fault: Any) -> None:
        self.last.append(fault.message)

    def end(self) -> None:
        """The last state stays, below what was there before."""
        self.leave()
        self.print("\n".join(self.tables(shutil.get_terminal_size().columns, 1 << 30)) + "\n")

    def leave(self) -> None:
        if self.on_screen:
            self.on_screen = False
            self.print("\x1b[?25h\x1b[?1049l")

    def close(self) -> None:
        self.leave()
        super().close()


BAR = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    eighths = round(max(min(share, 1.0), 0.0) * width * 8)
    return "█" * (eighths // 8) + (BAR[eighths % 8] if eighths % 8 else "")


def sparks(value: Any) -> str:
    """A distribution in one line."""
    marks = "▁▂▃▄▅▆▇█"
    most = max((n for _, n in value), default=1)
    drawn = "".join(marks[min(n * len(marks) // most, 7)] for _, n in value)
    low, high = (value[0][0][0], value[-1][0][0]) if value else (0, 0)
    return f"{low} {drawn} {high}"


def shown_value(value: Any) -> str:
    if isinstance(value, list):
        return sparks(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def table(group: list[Row], width: int, room: int) -> list[str]:
    """The largest rows of one aggregation."""
    group = sorted(group, key=lambda row: row.weight, reverse=True)
    left_out = max(len(group) - room, 0)
    first = group[0]
    most = max((row.weight for row in group), default=0)
    name = "" if first.name == "_" else printable(first.name)
    lines = [f"@{name}  {first.function}" + (f"  ({left_out} rows more)" if left_out else "")]
    shown = group[: len(group) - left_out]
    values = [shown_value(row.value) for row in shown]
    keys = ["  ".join(map(text, row.keys)) for row in shown]
    key_width = min(max(map(len, keys), default=0), max(width // 2, 10))
    value_width = max(map(len, values), default=0)
    for row, key, value in zip(shown, keys, values, strict=True):
        line = f"  {key[:key_width]:{key_width}}  {value:>{value_width}}"
        if not isinstance(row.value, list) and row.keys:
            line += "  " + bar(row.weight / most if most > 0 else 0, min(width // 4, 30))
        lines.append(line)
    return lines


VIEWS: dict[str, Callable[[Consumer, Options], View]] = {
    "folded": Folded,
    "flamegraph": Flamegraph,
    "heatmap": Heatmap,
    "live": Live,
}
