# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as exceptions, warnings with the facts.  The C extensions raise these."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import NamedTuple


class Diagnostic(NamedTuple):
    """One finding of the D compiler."""

    tag: str | None
    """The kind of error, such as ``D_SYNTAX``."""
    message: str
    """The finding in one line."""
    line: int
    """Line in the program, from 1; 0 if not known."""
    column: int
    """Column in bytes, from 1; 0 if not known."""
    length: int
    """How many bytes of the program are meant."""
    text: str
    """The finding with the line of the program and carets under what is meant."""
    file: str | None
    """The file the program came from, or None."""


class DTraceError(Exception):
    """The tracing library refused or failed."""

    message: str
    """The library's own wording, in one line."""
    errno: int
    """The library's error code; 0 for a failure it knows nothing of."""

    def __init__(self, message: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno

    def _note(self, text: str) -> None:
        """Show text below the message in a traceback, where Python can do that (3.11)."""
        add_note = getattr(self, "add_note", None)
        if add_note is not None and text:
            add_note(text.rstrip("\n"))


class CompileError(DTraceError):
    """A D program does not compile."""

    tag: str | None
    """The kind of error, such as ``D_SYNTAX``."""
    line: int | None
    """The line in the program, from 1, where known."""
    column: int | None
    """The column in bytes, from 1, where known."""
    text: str
    """All findings with their source lines and carets."""
    diagnostics: list[Diagnostic]
    """All findings; the other attributes tell the first one."""

    def __init__(
        self, message: str = "", errno: int = 0, diagnostics: Sequence[Diagnostic] = ()
    ) -> None:
        super().__init__(message, errno)
        self.diagnostics = list(diagnostics)
        self.text = "".join(d.text for d in self.diagnostics)
        if self.diagnostics:
            first = self.diagnostics[0]
            self.tag = first.tag
            self.line = first.line or None
            self.column = first.column or None
        else:
            tag = re.search(r"\[(D_\w+)\]", message)
            line = re.search(r"\bline (\d+):", message)
            self.tag = tag[1] if tag else None
            self.line = int(line[1]) if line else None
            self.column = None
        self._note(self.text)


class LoadError(DTraceError):
    """The kernel's verifier refused a program that was made from D."""

    verifier_log: str
    """What the verifier said."""

    def __init__(self, message: str = "", errno: int = 0, verifier_log: str = "") -> None:
        super().__init__(message, errno)
        self.verifier_log = verifier_log


class DTraceWarning(RuntimeWarning):
    """Tracing goes on, but something was lost."""


class DropWarning(DTraceWarning):
    """Data was dropped."""


class FaultWarning(DTraceWarning):
    """A clause was left early, for a bad address or a division by zero, say."""


class DropKind(enum.IntEnum):
    """What was dropped, or why."""

    PRINCIPAL = 0
    AGGREGATION = 1
    DYNAMIC = 2
    DYNAMIC_RINSING = 3
    DYNAMIC_DIRTY = 4
    SPECULATION = 5
    SPECULATION_BUSY = 6
    SPECULATION_UNAVAILABLE = 7
    STACK_STRINGS = 8
    ERROR_IN_ERROR = 9


class Drop(NamedTuple):
    """A report that data was dropped."""

    message: str
    cpu: int
    kind: DropKind | int
    drops: int
    """How many, since the last report."""
    total: int


class Fault(NamedTuple):
    """A report that a clause was left early."""

    message: str
    probe: dict[str, str]
    """The probe that fired: provider, module, function, name."""
    cpu: int
    action: int
    """Which action of the clause, from 1; 0 for the predicate."""
    offset: int
    """The instruction in the clause."""
    fault: int
    """The kind of fault: a DTRACEFLT_* number."""
    address: int


class Status(enum.IntEnum):
    """Where a consumer stands."""

    NONE = 0
    """Nothing to report yet."""
    OKAY = 1
    """Tracing."""
    EXITED = 2
    """The program called exit()."""
    FILLED = 3
    """A buffer with the policy fill is full."""
    STOPPED = 4
    """Stopped by stop()."""


def make_drop(message: str, cpu: int, kind: int, drops: int, total: int) -> Drop:
    """A Drop from the numbers of the C API."""
    known = kind in DropKind._value2member_map_
    return Drop(message, cpu, DropKind(kind) if known else kind, drops, total)


# Tracebacks and help() show the public names.
for _class in [c for c in globals().values() if isinstance(c, type) and c.__module__ == __name__]:
    _class.__module__ = "dtrace"
