# SPDX-License-Identifier: Apache-2.0
"""The classic consumer: libdtrace's way of working, as pydtrace and node-libdtrace have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any, Literal, TypeAlias

from . import _engine
from ._errors import Drop, Fault, Status

ProbeDict: TypeAlias = dict[str, str]
"""The probe that fired: ``provider``, ``module``, ``function`` and ``name``."""

Datum: TypeAlias = int | float | str | bytes | list[str]
"""What a record or a key holds; a list is a stack, innermost frame first."""

Row: TypeAlias = tuple[tuple[int, int], int]
"""A bucket of a distribution, ``((low, high), count)``, both ends included."""

Value: TypeAlias = int | float | list[Row]
"""The value of an aggregation."""


class DTraceConsumer:
    """A D program being traced, from compiling it to reading what it recorded.

    >>> with dtrace.DTraceConsumer() as c:
    ...     c.strcompile('BEGIN { trace("hello"); exit(0); }')
    ...     c.go()
    ...     while not c.consume(lambda probe, rec: print(probe["name"], rec)):
    ...         c.sleep()
    BEGIN hello
    BEGIN None

    A consumer may be used from several threads; their calls take turns.  From inside a callback
    ``setopt``, ``stop`` and ``close`` may be called (the latter two take effect when the
    callbacks are done), in ``consume``'s also ``aggwalk`` and ``aggclear``; others raise
    DTraceError.  In a forked child the consumer cannot be used.

    engine: ``"embedded"`` (eBPF on Linux), ``"system"`` (the platform's libdtrace), or
    ``"auto"``, which is what the environment variable PYDTRACE_ENGINE says, or else the best
    there is.

    on_drop, on_error: called with a Drop when data was lost, with a Fault when a clause was left
    early.  Without them a DropWarning or FaultWarning is issued.  Tracing goes on, unless they
    raise.
    """

    __slots__ = ("__weakref__", "_consumer", "_engine")

    def __init__(
        self,
        engine: Literal["auto", "embedded", "system"] = "auto",
        *,
        on_drop: Callable[[Drop], object] | None = None,
        on_error: Callable[[Fault], object] | None = None,
    ) -> None:
        module = _engine.load(engine)
        self._engine = module.ENGINE
        self._consumer = module.Consumer(on_drop=on_drop, on_error=on_error)

    def __repr__(self) -> str:
        closed = " closed" if self.closed else ""
        return f"<{type(self).__qualname__} engine={self._engine!r}{closed}>"

    def __enter__(self) -> DTraceConsumer:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- setting up ---------------------------------------------------------------------------

    def strcompile(self, program: str, args: Sequence[str] = ()) -> None:
        """Compile a D program and enable it; not possible after go().

        args are the macro arguments ``$1``, ``$2`` and so on.  May be called several times: all
        programs run. Raises CompileError if the program is wrong.
        """
        self._consumer.strcompile(program, args)

    def setopt(self, option: str, value: str | int | float | bool | None = None) -> None:
        """Set an option, as ``#pragma D option`` does.

        Without a value, or with True, an option that takes none is switched on; False switches it
        off.  Numbers are taken as if written out.
        """
        self._consumer.setopt(option, value)

    def go(self) -> None:
        """Start tracing; BEGIN fires."""
        self._consumer.go()

    # ---- reading ------------------------------------------------------------------------------

    def consume(self, callback: Callable[[ProbeDict, Any], object]) -> bool:
        """Hand over what has been recorded, without waiting; True once tracing is over.

        ``callback(probe, rec)`` is called for each datum that was traced, in order: an int,
        float, str or bytes, a list of frames for a stack, or the text of a printf() or printa().
        When all data of an enabling's firing was handed over, rec is None.  An exception in the
        callback ends the call and comes out of it.
        """
        return self._consumer.consume(callback)

    def write(self, file: int | IO[Any]) -> bool:
        """Write what has been recorded as text, without waiting; True once tracing is over.

        The text is that of ``dtrace -q``: printf(), printa(), trace(), stacks.  Unless the option
        quiet is set, a line ends with each firing of an enabling.  It goes straight to the
        descriptor of ``file``, which is flushed before; no Python object is made of a record, so
        this is the quickest way to keep many.  Raises OSError if it cannot be written; what was
        not written by then is lost.
        """
        return self._consumer.write(file)

    def aggwalk(self, callback: Callable[[int, list[Any], Any], object]) -> None:
        """Read all aggregations; what was handed over is removed.

        ``callback(varid, key, value)``: the number of the aggregation in the order of the
        program, from 1; the list of its keys; and an int for count, sum, min and max, a float for
        avg and stddev, or a list of ``((low, high), count)`` for quantize, lquantize and
        llquantize, empty buckets left out.
        """
        self._consumer.aggwalk(callback)

    def aggclear(self) -> None:
        """Set all aggregations to zero."""
        self._consumer.aggclear()

    def aggmin(self) -> int:
        """The lowest value an aggregation can have."""
        return self._consumer.aggmin()

    def aggmax(self) -> int:
        """The highest value an aggregation can have."""
        return self._consumer.aggmax()

    # ---- waiting and ending -------------------------------------------------------------------

    def sleep(self, timeout: float | None = None) -> bool:
        """Wait until consume() has something to do; False if timeout seconds pass before that.

        Other threads run meanwhile and may use the consumer; signals are handled.
        """
        return self._consumer.sleep(timeout)

    def fileno(self) -> int:
        """A file descriptor that polls readable when consume() has something to do."""
        return self._consumer.fileno()

    def stop(self) -> None:
        """Stop tracing; END fires.  What was recorded can still be consumed."""
        self._consumer.stop()

    def close(self) -> None:
        """Leave nothing behind in the kernel.  May be called twice, but nothing else after it."""
        self._consumer.close()

    # ---- about it -----------------------------------------------------------------------------

    def version(self) -> str:
        """The version of D, as in ``Sun D 1.13``."""
        return self._consumer.version()

    @property
    def engine(self) -> str:
        """The engine in use: ``"embedded"`` or ``"system"``."""
        return self._engine

    @property
    def status(self) -> Status:
        """Where tracing stands.  Looks for drops, too."""
        return Status(self._consumer.status())

    @property
    def closed(self) -> bool:
        """Has close() been called?"""
        return self._consumer.closed

    @property
    def drops(self) -> int:
        """How many drops were reported so far."""
        return self._consumer.drops

    @property
    def faults(self) -> int:
        """How many faults were reported so far."""
        return self._consumer.faults

    @property
    def exit_status(self) -> int | None:
        """What the program gave to exit(), once that was consumed."""
        return self._consumer.exit_status


DTraceConsumer.__module__ = "dtrace"  # tracebacks and help() show the public name
