# SPDX-License-Identifier: Apache-2.0
"""The command line, ``pydtrace``: dtrace(1)'s flags and output, and what came after it.

Starting is quick, so a module is imported when it is needed: for a D program that is traced and
printed as text these are options.py, run.py and the C extension.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    from . import options

    words = sys.argv[1:] if argv is None else argv
    if not words:
        sys.stderr.write(options.SUMMARY)
        return options.USAGE
    try:
        o = options.parse(words)
    except options.Usage as e:
        options.complain(str(e))
        sys.stderr.write(options.SUMMARY)
        return options.USAGE
    if o.mode == options.HELP:
        sys.stdout.write(options.SUMMARY + options.DETAILS)
        return options.OK
    from . import run

    return run.run(o)


def script() -> None:
    """The program: main(), and then an end without tidying up what the kernel tidies up quicker."""
    import os

    status = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1
    os._exit(status)
