# SPDX-License-Identifier: Apache-2.0
"""What the exporters share: running aggregations as names, labels and numbers."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from ._aggregations import Aggregation, Key, Snapshot
from ._distribution import MOST, Distribution
from ._session import Session
from ._text import printable
from .stacks import harmless


def metric_name(prefix: str, agg: Aggregation) -> str:
    """A name of letters, digits and underscores."""
    name = re.sub(r"\W+", "_", agg.name or "aggregation", flags=re.ASCII)
    return f"{prefix}_{name}" if prefix else name


def label(part: Any) -> str:
    """A part of a key as a label: whatever it holds, a text in one line."""
    if isinstance(part, (tuple, list)):
        return ";".join(label(frame) for frame in part)
    if isinstance(part, bytes):
        return part.hex()
    return printable(harmless(str(part)))


def labels(key: Key) -> list[str]:
    return [label(part) for part in key]


def cumulative(d: Distribution) -> Iterator[tuple[int | None, int]]:
    """For each range the highest value in it, None for no limit, and how many values are not above
    that.  From one before the first range with something in it to the last."""
    total = 0
    for (_, high), n in d.rows():
        total += n
        if high != MOST:
            yield high, total
    yield None, d.total


class Source:
    """The session behind an exporter: a snapshot per round of questions."""

    def __init__(self, session: Session, fresh: float) -> None:
        self.session = session
        self._fresh = fresh
        self._lock = threading.Lock()
        self._last: Snapshot | None = None
        self._taken = 0.0

    def snapshot(self) -> Snapshot:
        """The aggregations; what was read a moment ago will do.  When the session has been closed,
        those that were read last."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._taken >= self._fresh:
                if self.session.closed:
                    return self._last or Snapshot()
                # drops are noticed, and an exit() is obeyed; events are kept for their reader
                self.session.wait(0)
                self._last = self.session.snapshot()
                self._taken = now
            return self._last
