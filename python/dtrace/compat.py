# SPDX-License-Identifier: Apache-2.0
"""For programs written for python-dtrace: consumers that call back, with the names they know.

    from dtrace.compat import DTraceConsumer

    consumer = DTraceConsumer(out_func=print)
    consumer.run("syscall::open*:entry { trace(execname) }", runtime=3)

The callbacks, all optional:

``chew_func(cpu)``
    a probe has fired on a CPU
``chewrec_func(action)``
    one datum of that firing follows; None when all were told
``out_func(text)``
    what the program prints, as dtrace(1) does
``walk_func(action, identifier, keys, value)``
    a row of an aggregation: the function's number, that of the aggregation, its keys, its value

New programs are better off with dtrace.Session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

from ._aggregations import FUNCTIONS, Aggregation, Snapshot
from ._distribution import Distribution
from ._session import Session

ChewFunction: TypeAlias = Callable[[int], object]
RecordFunction: TypeAlias = Callable[[int | None], object]
OutFunction: TypeAlias = Callable[[str], object]
WalkFunction: TypeAlias = Callable[[int, int, list[Any], Any], object]

AGGREGATION = 0x700
"""What the numbers of aggregating functions begin with: count() is AGGREGATION + 1."""
DIFEXPR = 1
"""The number of trace()."""
PRINTF = 3
"""The number of printf()."""


def simple_chew(cpu: int) -> None:
    """Prints the CPU."""
    print("CPU :", cpu)


def simple_chewrec(action: int | None) -> None:
    """Prints nothing."""


def simple_out(text: str) -> None:
    """Prints what the program prints."""
    print("Output:", text.rstrip("\n"))


def simple_walk(action: int, identifier: int, keys: list[Any], value: Any) -> None:
    """Prints a row of an aggregation."""
    print(identifier, ">", keys, value)


class _Consumer:
    """What the consumers have in common: the callbacks."""

    def __init__(
        self,
        walk_func: WalkFunction | None = simple_walk,
        out_func: OutFunction | None = simple_out,
        chew_func: ChewFunction | None = None,
        chewrec_func: RecordFunction | None = None,
    ) -> None:
        self.walk_func = walk_func
        self.out_func = out_func
        self.chew_func = chew_func
        self.chewrec_func = chewrec_func

    def _tell_events(self, session: Session) -> None:
        for event in session.poll():
            if self.chew_func is not None:
                self.chew_func(event.cpu)
            if self.chewrec_func is not None:
                for _ in event.values:
                    self.chewrec_func(DIFEXPR if event.text is None else PRINTF)
                self.chewrec_func(None)
            if self.out_func is None:
                continue
            if event.text is not None:
                self.out_func(event.text)
            else:
                for value in event.values:
                    self.out_func(as_text(value))

    def _tell_aggregations(self, snapshot: Snapshot) -> None:
        if self.walk_func is None:
            return
        for agg in snapshot.values():
            for key, value in agg.items():
                self.walk_func(number_of(agg), agg.varid, list(key), plain(value))


def as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return "\n".join(value) + "\n"
    return repr(value) if isinstance(value, bytes) else str(value)


def number_of(agg: Aggregation) -> int:
    return AGGREGATION + 1 + FUNCTIONS.index(agg.function)


def plain(value: Any) -> Any:
    """Distributions as ``((low, high), count)``."""
    return list(value) if isinstance(value, Distribution) else value


class DTraceConsumer(_Consumer):
    """Runs a program for some time, and tells what it printed and counted."""

    def run(self, script: str, runtime: float = 1, **options: Any) -> None:
        """Trace for runtime seconds, or until the program calls exit().

        What is printed is told meanwhile, the aggregations at the end.
        """
        with Session(script, timeout=runtime, **options) as session:
            while not session.wait(0.1):
                self._tell_events(session)
            self._tell_events(session)
            self._tell_aggregations(session.snapshot())


class DTraceContinuousConsumer(_Consumer):
    """Runs a program until told otherwise; snapshot() tells what has come in.

    May be used in a ``with`` statement, which closes it.
    """

    def __init__(
        self,
        script: str,
        walk_func: WalkFunction | None = simple_walk,
        out_func: OutFunction | None = simple_out,
        chew_func: ChewFunction | None = None,
        chewrec_func: RecordFunction | None = None,
        **options: Any,
    ) -> None:
        super().__init__(walk_func, out_func, chew_func, chewrec_func)
        self._session = Session(script, **options)

    def go(self) -> None:
        """Start tracing."""
        self._session.start()

    def snapshot(self) -> bool:
        """Tell what was printed since the last time, and all aggregations.  True once tracing is
        over."""
        self._tell_events(self._session)
        self._tell_aggregations(self._session.snapshot())
        return self._session.done

    def stop(self) -> None:
        """End tracing.  snapshot() still tells what is left."""
        self._session.stop()

    def close(self) -> None:
        """Let go of everything."""
        self._session.close()

    def __enter__(self) -> DTraceContinuousConsumer:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class DTraceConsumerThread(threading.Thread):
    """Runs a program in a thread of its own, until stop() or exit().

    consume: tell what is printed while tracing; otherwise all of it at the end.
    sleep: seconds between two looks.
    An exception of a callback ends the tracing; join() raises it.
    """

    def __init__(
        self,
        script: str,
        consume: bool = True,
        chew_func: ChewFunction | None = None,
        chewrec_func: RecordFunction | None = None,
        out_func: OutFunction | None = simple_out,
        walk_func: WalkFunction | None = simple_walk,
        sleep: float = 0,
        **options: Any,
    ) -> None:
        super().__init__(name="DTraceConsumerThread", daemon=True)
        self._consumer = DTraceContinuousConsumer(
            script, walk_func, out_func, chew_func, chewrec_func, **options
        )
        self._consume = consume
        self._pause = max(sleep, 0.02)
        self._ending = threading.Event()
        self._failure: BaseException | None = None

    @property
    def stopped(self) -> bool:
        """Has the end been asked for?"""
        return self._ending.is_set()

    def stop(self) -> None:
        """End tracing soon; join() waits for it."""
        self._ending.set()

    def run(self) -> None:
        try:
            with self._consumer as c:
                c.go()
                self._work(c)
        except BaseException as e:
            self._failure = e

    def _work(self, c: DTraceContinuousConsumer) -> None:
        session = c._session
        while not self._ending.is_set() and not session.wait(self._pause):
            if self._consume:
                c._tell_events(session)
        if not session.done:
            session.stop()
            session.wait()
        c.snapshot()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end; an exception of a callback comes out here."""
        end = None if timeout is None else time.monotonic() + timeout
        super().join(timeout)
        failure, self._failure = self._failure, None
        if failure is not None and (end is None or not self.is_alive()):
            raise failure
