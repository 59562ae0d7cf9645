# SPDX-License-Identifier: Apache-2.0
"""The libdtrace that is built into this package: D programs as eBPF on Linux.

Use dtrace.DTraceConsumer; this module is its C half.
"""

# The signatures and docstrings of the C extension: at build time they are copied into it from here.

import sys
from collections.abc import Callable, Sequence
from typing import IO, Any, SupportsIndex, TypeAlias, final

from typing_extensions import disjoint_base

from ._errors import Drop, Fault
from ._events import Event, Probe

_ProbeDescription: TypeAlias = tuple[int, str, str, str, str]

ENGINE: str
ENGINE_VERSION: str

@final
class Consumer:
    """A handle of libdtrace, with one lock and the GIL released while the library works."""

    def __new__(
        cls,
        *,
        on_drop: Callable[[Drop], object] | None = None,
        on_error: Callable[[Fault], object] | None = None,
    ) -> Consumer: ...
    def strcompile(self, program: str, args: Sequence[str] = ()) -> None:
        """Compile a D program and enable it: dtrace_program_strcompile() and _exec()."""

    def setopt(self, option: str, value: str | int | float | bool | None = None) -> None:
        """Set an option: dtrace_setopt()."""

    def go(self) -> None:
        """Start tracing: dtrace_go()."""

    def consume(self, callback: Callable[[dict[str, str], Any], object], /) -> bool:
        """Hand records to callback(probe, rec): a pass of dtrace_work().  True at the end."""

    def write(self, file: int | IO[Any], /) -> bool:
        """Have records written to file as text: a pass of dtrace_work().  True at the end."""

    def events(self) -> tuple[list[Event], bool]:
        """The firings recorded since the last time, and whether tracing is over: dtrace_work()."""

    def collect(self) -> bool:
        """Gather records in columns: a pass of dtrace_work() without the GIL.  True at the end."""

    def collected(self) -> list[tuple[int, str, int, tuple[str | None, ...], Frame]]:
        """What collect() has gathered, by enabling: number, probes, line, expressions, columns."""

    def aggregations(
        self, remove: bool = False
    ) -> list[tuple[str, int, int, int, tuple[str | None, ...], Frame]]:
        """All aggregations: name, varid, function, parameters, expressions of keys, columns."""

    def due(self) -> float:
        """Seconds until there is work by one of the rates."""

    def ended(self, pid: int, /) -> int | None:
        """How a created process has ended, as wait(2) tells it; None: it has not."""

    def aggwalk(self, callback: Callable[[int, list[Any], Any], object], /) -> None:
        """Hand aggregations to callback(varid, key, value) and remove them."""

    def aggclear(self) -> None:
        """Set all aggregations to zero: dtrace_aggregate_snap() and _clear()."""

    def aggmin(self) -> int:
        """The lowest value of an aggregation."""

    def aggmax(self) -> int:
        """The highest value of an aggregation."""

    def stop(self) -> None:
        """Stop tracing: dtrace_stop().  In a callback: after it."""

    def version(self) -> str:
        """The version of D that libdtrace speaks."""

    def close(self) -> None:
        """Close the handle: dtrace_close().  In a callback: after it."""

    def sleep(self, timeout: float | None = None) -> bool:
        """Wait until there is work, at most timeout seconds: False when they have passed."""

    def wakeup(self) -> None:
        """End a sleep() in another thread."""

    def fileno(self) -> int:
        """The descriptor that polls readable when there is work."""

    def status(self) -> int:
        """dtrace_status(): a DTRACE_STATUS number."""

    # ---- for the command line: see binding/command.c and show.c

    def compile(self, program: str | int, spec: int, flags: int, args: Sequence[str]) -> int:
        """Compile a text, or what a descriptor reads, without enabling it: the number of the program."""

    def info(self, program: int, /) -> tuple[int, str, str]:
        """How many probes a program matches, and the stabilities of its descriptions and statements."""

    def enable(self, program: int, /) -> int:
        """Enable a program: dtrace_program_exec().  How many probes it matches."""

    def header(self, fd: int, name: str, /) -> None:
        """Write the C header for the providers that programs declare: dtrace_program_header()."""

    def link(self, program: int, file: str, objects: Sequence[str], /) -> None:
        """Make the object file that programs with static probes are linked with: dtrace_program_link()."""

    def statements(self, program: int, /) -> list[_ProbeDescription]:
        """The probe descriptions of a program's statements: dtrace_stmt_iter()."""

    def probes(self, pattern: _ProbeDescription, /) -> list[_ProbeDescription]:
        """The probes that a description matches: dtrace_probe_iter()."""

    def probe_info(self, probe: _ProbeDescription, /) -> tuple[str, str, list[str]]:
        """The stabilities of a probe and of its arguments, and the types of these."""

    def getopt(self, option: str, /) -> int | None:
        """The value of an option, None where it is not set: dtrace_getopt()."""

    def features(self) -> list[tuple[str, bool, str | None, str | None, str | None]]:
        """What the kernel can do: name, whether it can, use, what is done instead, what it said."""

    def create(self, command: Sequence[str], callback: Callable[[int, str], object], /) -> int:
        """Start a process, stopped: its id.  callback(pid, message) hears of its end."""

    def grab(self, pid: int, callback: Callable[[int, str], object], /) -> int:
        """Take a process under control: its id."""

    def resume(self) -> None:
        """Let the processes run."""

    def open_output(self, fd: int, narrow: bool, /) -> None:
        """Print to a copy of a descriptor from now on; narrow leaves out the columns CPU and ID."""

    def put(self, text: str, /) -> None:
        """Print text."""

    def list_probes(self, pattern: _ProbeDescription, verbose: bool, /) -> int:
        """Print the probes that a description matches as a table: how many."""

    def show_code(self, fd: int, /) -> None:
        """Write the code that go() would load: dtrace_disassemble()."""

    def show(self) -> bool:
        """Print what was recorded, as dtrace(1) does: a pass of dtrace_work().  True at the end."""

    def show_aggregations(self) -> None:
        """Print the aggregations that the program has not printed."""

    def show_json(self) -> bool:
        """Print what was recorded as JSON, a line per firing: a pass of dtrace_work().  True at the end."""

    def rows(self) -> list[tuple[int, str, str, str, list[Any], Any]]:
        """All aggregations, sorted and left as they are: number, name, function, kinds of the keys, keys, value."""

    def catch_signals(self, *signals: int) -> None:
        """Note the first one of these signals, end a sleep(), and let a second one end the process."""

    @property
    def caught(self) -> int:
        """The signal that was noted, or 0."""

    @property
    def closed(self) -> bool:
        """Has close() been called?"""

    @property
    def drops(self) -> int:
        """How many drops were reported."""

    @property
    def faults(self) -> int:
        """How many faults were reported."""

    @property
    def exit_status(self) -> int | None:
        """The argument of exit(), once consumed."""

@disjoint_base
class Record:
    """What all events have: where and when a probe fired, and the data."""

    def __new__(
        cls,
        probe: Probe,
        cpu: int,
        timestamp: int,
        values: tuple[Any, ...],
        text: str | None = None,
    ) -> Record: ...
    @property
    def probe(self) -> Probe:
        """The probe that fired."""

    @property
    def cpu(self) -> int:
        """The CPU it fired on."""

    @property
    def timestamp(self) -> int:
        """When, in nanoseconds of the monotonic clock (time.monotonic_ns())."""

    @property
    def values(self) -> tuple[Any, ...]:
        """The data, in the order of the program."""

    @property
    def text(self) -> str | None:
        """What printf() and the like made; None where the clause has nothing such."""

@final
class Frame:
    """Columns of equal length."""

    def __new__(cls, columns: Sequence[tuple[str, str, Sequence[Any]]]) -> Frame: ...
    def __len__(self) -> int: ...
    def column(self, name: str, /) -> Column:
        """A column by its name."""

    def __arrow_c_schema__(self) -> object:
        """An Arrow schema in a capsule."""

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """An Arrow schema and a struct array in capsules."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """An Arrow stream in a capsule."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""

    @property
    def nbytes(self) -> int:
        """How much memory the columns take."""

@final
class Column:
    """Values of one kind; numbers offer their memory as a buffer."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

    def tolist(self) -> list[Any]:
        """All values as Python objects."""

    def __arrow_c_schema__(self) -> object:
        """An Arrow schema in a capsule."""

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """An Arrow schema and array in capsules."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def format(self) -> str:
        """Its type, as in the Arrow C data interface."""
