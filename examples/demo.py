#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A short tour: three D programs on the running kernel, driven from Python.

Needs root.  Starts one child of its own to have something to look at, and ends by itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import dtrace

TTY = sys.stdout.isatty()
COLOUR = TTY and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

# What the child does: reads of many sizes, and work both in the kernel and in a library.
CHILD = """
import os, zlib
fd = os.open("/dev/urandom", os.O_RDONLY)
while True:
    for power in range(2, 15):
        data = os.read(fd, 3 << power)
        zlib.compress(data)
"""


def style(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def bold(text: str) -> str:
    return style("1", text)


def dim(text: str) -> str:
    return style("2", text)


def printable(text: object) -> str:
    """Names are what processes say of themselves: no control characters reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def bar(share: float, width: int) -> str:
    """A bar of `width` cells at most, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return style("36", "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip())


def heading(number: int, title: str, program: str) -> None:
    print(f"\n{bold(f'{number}. {title}')}\n")
    for line in program.strip().splitlines():
        print("   " + dim(line))
    print(flush=True)


class Screen:
    """Draws a block of lines again and again in one place; when it is no terminal, only once."""

    def __init__(self) -> None:
        self.height = 0

    def draw(self, lines: list[str], last: bool = False) -> None:
        if not TTY and not last:
            return
        if self.height:
            sys.stdout.write(f"\x1b[{self.height}A\x1b[J")
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self.height = len(lines)


def tracing(program: str, **options: str) -> dtrace.DTraceConsumer:
    consumer = dtrace.DTraceConsumer()
    consumer.setopt("quiet")
    for name, value in options.items():
        consumer.setopt(name, value)
    consumer.strcompile(program)
    consumer.go()
    return consumer


def rows_of(consumer: dtrace.DTraceConsumer) -> list[tuple[list[Any], Any]]:
    """The aggregation's rows since the last look."""
    rows: list[tuple[list[Any], Any]] = []
    consumer.aggwalk(lambda varid, key, value: rows.append((key, value)))
    return rows


def system_calls(seconds: float) -> None:
    program = "syscall:::entry { @[execname] = count(); }"
    heading(1, f"System calls by process, {seconds:.0f} seconds", program)
    started = time.monotonic()
    consumer = tracing(program)
    armed = time.monotonic()
    totals: Counter[str] = Counter()
    screen, columns = Screen(), shutil.get_terminal_size().columns
    now, end = armed, armed + seconds
    while now < end:
        before = now
        time.sleep(min(0.5, end - now))
        recent: Counter[str] = Counter()
        for key, count in rows_of(consumer):
            recent[printable(key[0])] += count
        totals += recent
        now = time.monotonic()
        lines = [bold(f"   {'process':<18}{'calls':>12}{'now/s':>12}")]
        most = max(totals.values(), default=1)
        for name, count in totals.most_common(8):
            rate = recent[name] / (now - before)
            chart = bar(count / most, min(60, columns - 50))
            lines.append(f"   {name:<18}{count:>12,}{rate:>12,.0f}  {chart}")
        screen.draw(lines, last=now >= end)
    stopping = time.monotonic()
    consumer.stop()
    print(
        f"\n   {sum(totals.values()):,} calls counted; "
        f"started in {(armed - started) * 1e3:.1f} ms, "
        f"stopped in {(time.monotonic() - stopping) * 1e3:.1f} ms"
    )


def size(n: int) -> str:
    """A power of two, as people say it."""
    if n < 1024:
        return str(n)
    return f"{n >> 20}M" if n >= 1 << 20 else f"{n >> 10}K"


def read_sizes(seconds: float) -> None:
    program = "syscall::read:return /errno == 0 && (int)arg0 > 0/ { @ = quantize(arg0); }"
    heading(2, f"How much a read() returns, {seconds:.0f} seconds", program)
    consumer = tracing(program)
    time.sleep(seconds)
    consumer.stop()
    buckets: Counter[tuple[int, int]] = Counter()
    for _, value in rows_of(consumer):
        for (low, high), count in value:
            buckets[low, high] += count
    total = sum(buckets.values())
    if not total:
        print("   nobody read anything")
        return
    most = max(buckets.values())
    print(bold(f"   {'from - below':>15}  {'reads':>10}"))
    for (low, high), count in sorted(buckets.items()):
        label = f"{size(low)} - {size(high + 1)}" if high > low else size(low)
        print(f"   {label:>15}  {count:>10,}  {bar(count / most, 40)}")
    print(f"\n   {total:,} reads")


def frames_of(stack: Any) -> list[str]:
    frames = stack if isinstance(stack, (list, tuple)) else str(stack).split("\n")
    return [printable(frame).strip() for frame in frames if str(frame).strip()]


def on_cpu(pid: int, seconds: float) -> None:
    program = f"profile-97 /pid == {pid}/ {{ @[stack(), ustack()] = count(); }}"
    heading(3, f"Where process {pid} is when it is on a CPU, {seconds:.0f} seconds", program)
    consumer = tracing(program, stackframes="5", ustackframes="5")
    time.sleep(seconds)
    consumer.stop()
    stacks: Counter[tuple[tuple[str, ...], tuple[str, ...]]] = Counter()
    for (kernel, user), count in rows_of(consumer):
        stacks[tuple(frames_of(kernel)), tuple(frames_of(user))] += count
    total = sum(stacks.values())
    if not total:
        print("   not once, this time")
        return
    for (kernel_frames, user_frames), count in stacks.most_common(3):
        print(f"   {bold(f'{count:>5} samples')} {count / total:>5.0%}  {bar(count / total, 30)}")
        for frame in kernel_frames:
            print("         " + style("33", frame))
        for frame in user_frames:
            print("         " + style("32", frame))
        print()
    print(
        f"   {total} samples, {len(stacks)} different stacks; "
        f"{style('33', 'kernel')} above {style('32', 'program')}"
    )


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--seconds", type=float, default=3.0, help="for each of the three programs")
    seconds = args.parse_args().seconds
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.DEVNULL)
    try:
        system_calls(seconds)
        read_sizes(seconds)
        on_cpu(child.pid, seconds)
    except dtrace.DTraceError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130
    finally:
        child.kill()
        child.wait()
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
