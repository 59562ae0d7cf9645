# SPDX-License-Identifier: Apache-2.0
"""Sessions: a D program from start to end, the way Python programs want it."""

from __future__ import annotations

import enum
import os
import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from . import _engine
from ._aggregations import Aggregation, Snapshot
from ._errors import CompileError, Drop, DTraceError, Fault, Status
from ._events import Event
from ._tables import Events, Table, Tables

# What only some sessions need is imported then: asyncio takes ten times as long as starting to trace.
if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

Option: TypeAlias = str | int | float | bool | None


class _Current(enum.Enum):
    CURRENT = "the current process"


CURRENT: Final = _Current.CURRENT
"""As a target: the process that traces."""

Target: TypeAlias = int | str | Sequence[str] | _Current
Path_: TypeAlias = "str | PathLike[str]"


class Session:
    """A D program being traced.

    >>> with dtrace.trace("syscall::openat:entry { trace(copyinstr(arg1)) }", timeout=5) as session:
    ...     for event in session:
    ...         print(event.probe.function, event.copyinstr_arg1)

    The program is compiled at once: a mistake in it raises CompileError.  Tracing begins with
    ``start()``, or with the ``with`` statement, and ends when the program calls exit(), when all
    processes it was started for have ended, with ``stop()``, or after ``timeout`` seconds; what
    was recorded by then can still be read.  Leaving the ``with`` statement closes the session.

    args: the macro arguments ``$1``, ``$2`` and so on.
    target: what ``$target`` is: a process id; CURRENT for this process; or a command, as a str
        that is split like a shell does or a sequence.  A command's process waits until tracing
        has begun.
    libs, libdirs: D libraries, and folders of them: files with declarations, translators and
        inlines that the program may use.
    timeout: after how many seconds tracing ends.
    engine: as for DTraceConsumer.
    on_drop, on_fault: called with a Drop when data was lost, with a Fault when a clause was left
        early; without them a warning is issued.
    options: as ``#pragma D option`` has them: ``bufsize="16m"``, ``quiet=True``.

    A session may be used from several threads.  Reading takes what there is: each event is given
    out once.  In a forked child it cannot be used.
    """

    def __init__(
        self,
        program: str,
        *,
        args: Iterable[object] = (),
        target: Target | None = None,
        libs: Iterable[Path_] = (),
        libdirs: Iterable[Path_] = (),
        timeout: float | None = None,
        engine: Literal["auto", "embedded", "system"] = "auto",
        on_drop: Callable[[Drop], object] | None = None,
        on_fault: Callable[[Fault], object] | None = None,
        **options: Option,
    ) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must not be negative")
        module = _engine.load(engine)
        self.program = program
        self._engine = module.ENGINE
        self._consumer = module.Consumer(on_drop=on_drop, on_error=on_fault)
        self._timeout = timeout
        self._deadline: float | None = None
        self._target: int | None = None
        self._command = False
        self._started = self._done = self._stopped = False
        self._ready: deque[Event] = deque()
        try:
            self._prepare([str(a) for a in args], target, libs, libdirs, options)
        except BaseException:
            self._consumer.close()
            raise

    def _prepare(
        self,
        args: Sequence[str],
        target: Target | None,
        libs: Iterable[Path_],
        libdirs: Iterable[Path_],
        options: dict[str, Option],
    ) -> None:
        c = self._consumer
        # Events are read as they come, not once a second; the program may say otherwise.
        c.setopt("switchrate", "100ms")
        for name, value in options.items():
            c.setopt(name, value)
        if target is not None:
            self._aim(target)
        for lib in libraries(libs, libdirs):
            load_library(c, lib)
        c.strcompile(self.program, args)

    def _aim(self, target: Target) -> None:
        if isinstance(target, _Current):
            self._target = self._consumer.grab(os.getpid(), ignore)
        elif isinstance(target, int) and not isinstance(target, bool):
            if target < 1:
                raise ValueError("a process id is a positive number")
            self._target = self._consumer.grab(target, ignore)
        elif isinstance(target, (str, Sequence)):
            from shlex import split

            command = split(target) if isinstance(target, str) else [*map(os.fspath, target)]
            self._target = self._consumer.create(command, ignore)
            self._command = True
        else:
            raise TypeError(f"a target is a process id, a command or CURRENT, not {target!r}")

    # ---- life ---------------------------------------------------------------------------------

    def start(self) -> Session:
        """Start tracing; BEGIN fires, and a command's process runs on.  Gives the session."""
        self._consumer.go()
        self._started = True
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        if self._command:
            self._consumer.resume()
        return self

    def stop(self) -> None:
        """End tracing; END fires.  What was recorded can still be read; readers come to an end."""
        self._consumer.stop()
        self._stopped = True
        self._consumer.wakeup()

    def close(self) -> None:
        """Leave nothing behind in the kernel.  A command's process that still runs is ended."""
        self._consumer.close()

    def __enter__(self) -> Session:
        if not self._started:
            self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    # ---- events -------------------------------------------------------------------------------

    def poll(self) -> Events:
        """The events there are now, in order of time; does not wait."""
        self._check_started()
        self._pass()
        return self._take()

    def _take(self) -> Events:
        events = Events()
        while self._ready:
            try:
                events.append(self._ready.popleft())
            except IndexError:  # another thread was quicker
                break
        return events

    def _check_started(self) -> None:
        if not self._started:
            raise DTraceError("the session has not been started")

    def _pass(self) -> None:
        """Have what was recorded made into events."""
        if self._done:
            return
        self._end_in_time()
        events, done = self._consumer.events()
        self._ready.extend(events)
        self._done = self._done or done

    def _end_in_time(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline and not self._stopped:
            self.stop()

    def _wait(self, deadline: float | None) -> bool:
        """Until there is work; false when the deadline has passed before."""
        if self._stopped:  # what is left is there already
            return True
        now = time.monotonic()
        end = min((d for d in (deadline, self._deadline) if d is not None), default=None)
        if end is None:
            self._consumer.sleep()
        elif end > now:
            self._consumer.sleep(end - now)
        return deadline is None or time.monotonic() < deadline

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Events as they come, until tracing is over or timeout seconds have passed."""
        self._check_started()
        return self._events(None if timeout is None else time.monotonic() + timeout)

    def _events(self, deadline: float | None) -> Iterator[Event]:
        while True:
            self._pass()
            while self._ready:
                try:
                    event = self._ready.popleft()
                except IndexError:
                    break
                yield event
            if self._done or not self._wait(deadline):
                return

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    def aevents(self, timeout: float | None = None) -> AsyncIterator[Event]:
        """The same for asyncio: other tasks run while there is nothing."""
        self._check_started()
        return self._aevents(None if timeout is None else time.monotonic() + timeout)

    async def _aevents(self, deadline: float | None) -> AsyncIterator[Event]:
        while True:
            self._pass()
            while self._ready:
                yield self._ready.popleft()
            if self._done or not await self._await(deadline):
                return

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.aevents()

    async def _await(self, deadline: float | None) -> bool:
        import asyncio

        if self._stopped:
            await asyncio.sleep(0)
            return True
        ends = [d for d in (deadline, self._deadline) if d is not None]
        due = self._consumer.due()
        left = min([due, *(end - time.monotonic() for end in ends)])
        try:
            fd = self._consumer.fileno()
        except DTraceError:  # an engine that only knows how to sleep
            await asyncio.to_thread(self._consumer.sleep, max(min(left, 0.2), 0))
        else:
            await readable(fd, left)
        return deadline is None or time.monotonic() < deadline

    def fileno(self) -> int:
        """A descriptor that polls readable when a buffer is filling or tracing has ended.

        For event loops: call poll() when it does, and every 100 ms (option switchrate) anyway.
        """
        return self._consumer.fileno()

    def wait(self, timeout: float | None = None) -> bool:
        """Until tracing is over; False if timeout seconds pass before that.

        Events are kept and can be had from poll() or by iterating afterwards.
        """
        self._check_started()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._pass()
            if self._done:
                return True
            if not self._wait(deadline):
                return False

    # ---- in bulk ------------------------------------------------------------------------------

    def read(self, timeout: float | None = None) -> Tables:
        """Events as tables, until tracing is over or timeout seconds have passed.

        No Python object is made of an event.  Text of printf() is not kept, its arguments are.
        """
        self._check_started()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._done:
            self._end_in_time()
            self._done = self._consumer.collect()
            if not self._done and not self._wait(deadline):
                break
        return self._collected()

    def poll_tables(self) -> Tables:
        """The events there are now, as tables; does not wait."""
        self._check_started()
        if not self._done:
            self._end_in_time()
            self._done = self._consumer.collect()
        return self._collected()

    def _collected(self) -> Tables:
        return Tables(Table(tuple(facts), frame) for *facts, frame in self._consumer.collected())  # type: ignore[arg-type]

    # ---- aggregations -------------------------------------------------------------------------

    def snapshot(self, *, clear: bool = False) -> Snapshot:
        """The aggregations as they are now.

        clear: count from nothing again; nothing is lost in between.
        """
        return Snapshot.of(self._consumer.aggregations(clear))

    @property
    def aggregations(self) -> Snapshot:
        """The aggregations as they are now: the same as snapshot()."""
        return self.snapshot()

    def __getitem__(self, name: str) -> Aggregation:
        """An aggregation as it is now."""
        return self.snapshot()[name]

    def snapshots(self, interval: float = 1.0, *, clear: bool = False) -> Iterator[Snapshot]:
        """Snapshots, one every interval seconds and one at the end.  Events are kept."""
        while not self.wait(interval):
            yield self.snapshot(clear=clear)
        yield self.snapshot(clear=clear)

    # ---- about it -----------------------------------------------------------------------------

    @property
    def target(self) -> int | None:
        """The process id that ``$target`` is, if any."""
        return self._target

    @property
    def returncode(self) -> int | None:
        """The exit status of a command's process as subprocess has it; None: it has not ended."""
        if not self._command or self._target is None:
            return None
        status = self._consumer.ended(self._target)
        return None if status is None else os.waitstatus_to_exitcode(status)

    @property
    def exit_status(self) -> int | None:
        """What the program gave to exit(), once that was read."""
        return self._consumer.exit_status

    @property
    def done(self) -> bool:
        """Is tracing over, and all that was recorded read from the kernel?"""
        return self._done

    @property
    def closed(self) -> bool:
        """Has close() been called?"""
        return self._consumer.closed

    @property
    def status(self) -> Status:
        """Where tracing stands.  Looks for drops, too."""
        return Status(self._consumer.status())

    @property
    def drops(self) -> int:
        """How many drops were reported so far."""
        return self._consumer.drops

    @property
    def faults(self) -> int:
        """How many faults were reported so far."""
        return self._consumer.faults

    @property
    def engine(self) -> str:
        """The engine in use."""
        return self._engine

    def __repr__(self) -> str:
        state = (
            "closed"
            if self.closed
            else "done"
            if self._done
            else "tracing"
            if self._started
            else "not started"
        )
        first = self.program.strip().split("\n", 1)[0]
        return f"<Session {state} {first[:60]!r}>"

    def __del__(self) -> None:
        if getattr(self, "_started", False) and not self.closed:
            warnings.warn(
                f"a session was not closed: {self!r}", ResourceWarning, stacklevel=2, source=self
            )


def trace(
    program: str,
    *,
    args: Iterable[object] = (),
    target: Target | None = None,
    libs: Iterable[Path_] = (),
    libdirs: Iterable[Path_] = (),
    timeout: float | None = None,
    engine: Literal["auto", "embedded", "system"] = "auto",
    on_drop: Callable[[Drop], object] | None = None,
    on_fault: Callable[[Fault], object] | None = None,
    **options: Option,
) -> Session:
    """Start tracing a D program: a Session that has been started, for a ``with`` statement."""
    session = Session(
        program,
        args=args,
        target=target,
        libs=libs,
        libdirs=libdirs,
        timeout=timeout,
        engine=engine,
        on_drop=on_drop,
        on_fault=on_fault,
        **options,
    )
    try:
        return session.start()
    except BaseException:
        session.close()
        raise


def run(program: str, **keywords: Any) -> tuple[Events, Snapshot]:
    """Trace a D program to its end: all events, and the aggregations.

    The arguments are those of Session.
    """
    with trace(program, **keywords) as session:
        session.wait()
        return session.poll(), session.snapshot()


def ignore(pid: int, message: str) -> None:
    """What is said of processes under control: their end is seen anyway."""


# ---- D libraries --------------------------------------------------------------------------------


def libraries(libs: Iterable[Path_], libdirs: Iterable[Path_]) -> list[Path]:
    """Folders' libraries by name, then those named."""
    from pathlib import Path

    found: list[Path] = []
    for folder in libdirs:
        path = Path(folder)
        if not path.is_dir():
            raise FileNotFoundError(f"no such folder of D libraries: {str(path)!r}")
        found += sorted(path.glob("*.d"))
    return found + [Path(lib) for lib in libs]


def load_library(consumer: Any, path: Path) -> None:
    """Its names can be used by what is compiled afterwards."""
    text = path.read_text(encoding="utf-8")
    consumer.setopt("empty", True)
    try:
        consumer.strcompile(text)
    except CompileError as e:
        raise CompileError(f"D library {str(path)!r}: {e.message}", e.errno, e.diagnostics) from e
    finally:
        consumer.setopt("empty", False)


# ---- asyncio --------------------------------------------------------------------------------------


async def readable(fd: int, seconds: float) -> None:
    """Until a descriptor is readable, or seconds have passed."""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    copy = os.dup(fd)  # the session may be closed meanwhile
    try:
        loop.add_reader(copy, ready)
        timer = loop.call_later(max(seconds, 0), ready)
        try:
            await future
        finally:
            timer.cancel()
            loop.remove_reader(copy)
    finally:
        os.close(copy)


for _public in (Session, trace, run):
    _public.__module__ = "dtrace"  # tracebacks and help() show the public name
