# SPDX-License-Identifier: Apache-2.0
"""For notebooks: ``%load_ext dtrace``, then

    %%dtrace -t 5
    syscall:::entry { @[execname] = count() }

What comes in is shown while tracing; interrupting the cell ends the tracing, not the notebook.
"""

from __future__ import annotations

import html
import shlex
from collections import deque
from typing import TYPE_CHECKING, Any

from ._aggregations import Snapshot
from ._errors import DTraceError
from ._events import Event
from ._session import CURRENT, Session, Target
from ._tables import events_html

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EVENTS_SHOWN = 30


class Result:
    """What a program recorded: ``events`` and ``aggregations``; a notebook shows both."""

    def __init__(self, keep: int | None = None) -> None:
        self.events: list[Event] | deque[Event] = [] if keep is None else deque(maxlen=keep)
        self.aggregations = Snapshot()
        self.total = 0
        self.note = ""

    def add(self, session: Session) -> None:
        """Take what a session has now."""
        events = session.poll()
        self.events.extend(events)
        self.total += len(events)
        self.aggregations = session.snapshot()

    def _repr_html_(self) -> str:
        parts = []
        if self.note:
            parts.append(f"<p><i>{html.escape(self.note)}</i></p>")
        shown = [e for e in list(self.events)[-EVENTS_SHOWN:] if e.values or e.text]
        if shown:
            parts.append(events_html(shown, len(shown)))
            if self.total > len(shown):
                parts.append(f"<p>the last {len(shown)} of {self.total} events</p>")
        parts += [agg._repr_html_() for agg in self.aggregations.values()]
        return "".join(parts) or "<p>nothing was recorded</p>"

    def __repr__(self) -> str:
        return f"<Result events={self.total} aggregations={list(self.aggregations)}>"


def watch(session: Session, interval: float = 0.5, *, keep: int | None = None) -> Result:
    """Show what comes in, until tracing is over or the cell is interrupted.

    keep: how many events to keep, all without it.
    """
    from IPython.display import display

    result = Result(keep)
    result.note = "tracing"
    handle = display(result, display_id=True)
    try:
        while True:
            ended = session.wait(interval)
            result.add(session)
            if ended:
                break
            if handle is not None:
                handle.update(result)
    except KeyboardInterrupt:
        session.stop()
        session.wait()
        result.add(session)
    result.note = ""
    if handle is not None:
        handle.update(result)
    return result


# ---- the magic --------------------------------------------------------------------------------------


class Usage(Exception):
    """The line of a magic is wrong, or help was asked for."""


def parser() -> ArgumentParser:
    from argparse import ArgumentParser

    class Parser(ArgumentParser):
        def error(self, message: str) -> Any:
            raise Usage(f"{message}\n\n{self.format_usage()}")

    p = Parser(prog="%%dtrace", add_help=False, description="Trace a D program.")
    p.add_argument("-t", "--timeout", type=float, help="seconds until tracing ends")
    p.add_argument("-p", "--pid", type=int, help="$target is this process")
    p.add_argument("-c", "--command", help="$target is the process of this command")
    p.add_argument("-s", "--self", action="store_true", help="$target is the notebook's kernel")
    p.add_argument("-x", "--option", action="append", default=[], help="an option of D: name=value")
    p.add_argument("-i", "--interval", type=float, default=0.5, help="seconds between two updates")
    p.add_argument("-k", "--keep", type=int, help="how many events to keep")
    p.add_argument("-o", "--output", help="the variable that gets the result")
    p.add_argument("-h", "--help", action="store_true")
    p.add_argument("args", nargs="*", help="$1, $2 ...")
    return p


def target_of(options: Namespace) -> Target | None:
    given = [options.pid is not None, options.command is not None, options.self]
    if sum(given) > 1:
        raise Usage("only one of --pid, --command and --self")
    if options.self:
        return CURRENT
    return options.pid if options.pid is not None else options.command  # type: ignore[no-any-return]


def keywords_of(options: Namespace) -> dict[str, Any]:
    keywords: dict[str, Any] = {}
    for option in options.option:
        name, equals, value = option.partition("=")
        keywords[name] = value if equals else None
    return keywords


def run_cell(line: str, cell: str, namespace: dict[str, Any]) -> Result | None:
    """What ``%%dtrace`` does."""
    p = parser()
    options = p.parse_args(shlex.split(line))
    if options.help:
        print(p.format_help())
        return None
    session = Session(
        cell,
        args=options.args,
        target=target_of(options),
        timeout=options.timeout,
        **keywords_of(options),
    )
    with session:
        result = watch(session, options.interval, keep=options.keep)
    if options.output:
        namespace[options.output] = result
    return None


def load_ipython_extension(ipython: Any) -> None:
    """Called by ``%load_ext dtrace``."""
    import sys

    def dtrace(line: str, cell: str) -> None:
        """Trace a D program: %%dtrace --help tells more."""
        try:
            run_cell(line, cell, ipython.user_ns)
        except DTraceError as e:
            text = getattr(e, "text", "") or f"{e}\n"
            print(text, file=sys.stderr, end="")
        except Usage as e:
            print(e, file=sys.stderr)

    ipython.register_magic_function(dtrace, "cell", "dtrace")
