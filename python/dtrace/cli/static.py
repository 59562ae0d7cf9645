# SPDX-License-Identifier: Apache-2.0
"""``-h`` and ``-G``: the header and the object file for static probes that D programs declare."""

from __future__ import annotations

import os

from .options import HEADER
from .run import Fatal, Tool, reason


def make(tool: Tool) -> None:
    header = tool.o.mode == HEADER
    flag = "-h" if header else "-G"
    if not tool.o.clauses:
        raise Fatal(f"{flag} requires one or more scripts or enabling options")
    # What follows the options are object files, no arguments of the programs.
    programs = [tool.compile(clause, arguments=False) for clause in tool.o.clauses]
    if header:
        write_header(tool, tool.o.output or derived(tool, flag, ".h"))
        return
    if tool.o.output is not None and len(programs) > 1:
        raise Fatal("-G makes one object file of one script: -o does not go with several")
    for program, clause in zip(programs, tool.o.clauses, strict=True):
        file = tool.o.output or instead(flag, clause.text, ".o")
        try:
            tool.c.link(program.number, file, tool.o.args)
        except Exception as e:
            raise Fatal(f"failed to link {program.kind} {program.name}: {reason(e)}") from None


def derived(tool: Tool, flag: str, suffix: str) -> str:
    if len(tool.o.clauses) > 1:
        raise Fatal(f"{flag} requires an output file if multiple scripts are specified")
    return instead(flag, tool.o.clauses[0].text, suffix)


def instead(flag: str, script: str, suffix: str) -> str:
    """The name of a script with another suffix, in the current folder."""
    stem, dot, end = os.path.basename(script).rpartition(".")
    if not dot or end != "d":
        raise Fatal(f"{flag} requires an output file if the script's name does not end in .d")
    return stem + suffix


def write_header(tool: Tool, file: str) -> None:
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as e:
        raise Fatal(f"failed to open header file '{file}': {reason(e)}") from None
    try:
        tool.c.header(fd, os.path.basename(file))
    except Exception as e:
        os.unlink(file)
        raise Fatal(f"failed to create header file '{file}': {reason(e)}") from None
    finally:
        os.close(fd)
