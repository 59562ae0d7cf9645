# SPDX-License-Identifier: Apache-2.0
"""The libdtrace that is built into this package: D programs as eBPF on Linux.

Use dtrace.DTraceConsumer; this module is its C half.
"""

# The signatures and docstrings of the C extension: at build time they are copied into it from here.

from collections.abc import Callable, Sequence
from typing import IO, Any, final

from ._errors import Drop, Fault

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
