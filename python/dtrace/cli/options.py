# SPDX-License-Identifier: Apache-2.0
"""The command line as a description of what to do."""

from __future__ import annotations

import os
import sys

OK, ERROR, USAGE = 0, 1, 2

# What libdtrace's header says.
PROVIDER, MODULE, FUNCTION, NAME = range(4)
ZDEFS, CPP = 0x4, 0x10

TRACE, LIST, VERSION, FEATURES, HELP, HEADER, OBJECT = range(7)

SUMMARY = """\
Usage: pydtrace [-CeFGhHlqSvVwZ] [-b bufsz] [-c cmd] [-D name[=def]] [-I path]
                [-L path] [-o output] [-p pid] [-s script] [-U name]
                [-x opt[=val]] [-X a|c|s|t] [option ...]
                [-P provider [[ predicate ] action ]]
                [-m [ provider: ] module [[ predicate ] action ]]
                [-f [[ provider: ] module: ] func [[ predicate ] action ]]
                [-n [[[ provider: ] module: ] func: ] name [[ predicate ] action ]]
                [-i probe-id [[ predicate ] action ]] [ args ... ]
"""

DETAILS = """\

Run a D program, print what it traces.
        predicate   an expression between slashes: /pid == 1/
        action      statements in braces: { trace(timestamp); }
        args        what $1, $2 ... stand for in D programs

What to trace (any number of each, in order):
        -P, -m, -f, -n   a provider, module, function or name of probes, with its action
        -i  the probe with this number
        -s  a file with a D program; - is the standard input

About D programs:
        -C  run the C preprocessor first; -D, -U, -I, -H are for it: define,
            undefine, search a folder for headers, show the headers used
        -e  compile, and be done; with -v show stabilities, with -S the code
        -L  a folder with D libraries
        -S  show the code made for the kernel
        -X  how much of ISO C the preprocessor follows: a, c, s or t
        -Z  a description may match no probe

Tracing:
        -b  the size of the buffers (4m)
        -c  run a command; tracing ends with it, $target is its process
        -p  the same for a process that runs already
        -F  indent what functions call
        -o  append the output to a file
        -q  print only what the program prints
        -w  permit destructive actions
        -x  set an option (those of #pragma D option)
        --timeout N        end after N seconds (a suffix ms, s, m, h is possible)

Other things to do:
        -l  list probes instead; with -v their arguments
        -G, -h   an object file, or a header, for static probes
        -v  say more
        -V, --version      the version of D, and of this
        --features         what this kernel can do
        --help             this

Other output:
        --format json      an object per line
        --live             tables of aggregations that are drawn anew
        --folded           stacks of an aggregation, one per line, with their count
        --flamegraph FILE  the same as a picture (SVG)
        --heatmap          distributions over time

Options also come from the environment: DTRACE_OPT_BUFSIZE=16m and so on.
"""


class Usage(Exception):
    """The command line is wrong."""


class Clause:
    """One of -P -m -f -n -i -s with its argument."""

    __slots__ = ("spec", "text")

    def __init__(self, spec: int, text: str) -> None:
        self.spec = spec  # -1: a file
        self.text = text


class Options:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.mode = TRACE
        self.clauses: list[Clause] = []
        self.args: list[str] = []
        self.settings: list[tuple[str, str, str | None]] = []  # "-x bufsize", name, value
        self.commands: list[tuple[str, str]] = []  # ("c", command) or ("p", pid)
        self.cflags = 0
        self.output: str | None = None
        self.compile_only = False
        self.show_code = False
        self.verbose = False
        self.format = "text"
        self.flamegraph: str | None = None
        self.timeout: float | None = None

    # ---- single letters ---------------------------------------------------------------------

    def letter(self, c: str, arg: str) -> None:
        """An option of one letter; arg is empty for those without one."""
        if c in CLAUSES:
            self.clauses.append(Clause(CLAUSES[c], arg))
        elif c in MODES:
            self.mode = MODES[c]
            if self.mode != VERSION:
                self.cflags |= ZDEFS
        elif c in SETTINGS:
            self.settings.append((f"-{c}", SETTINGS[c], arg or None))
        elif c == "x":
            name, equals, value = arg.partition("=")
            self.settings.append((f"-x {name}", name, value if equals else None))
        elif c in "cp":
            self.commands.append((c, arg))
        elif c == "C":
            self.cflags |= CPP
        elif c == "S":
            self.show_code = True
        elif c == "Z":
            self.cflags |= ZDEFS
        elif c == "e":
            self.compile_only = True
        elif c == "v":
            self.verbose = True
        elif c == "o":
            self.output = arg
        elif c == "X":
            if arg not in ("a", "c", "s", "t"):
                raise Usage(f"invalid argument for -X: {arg}")
            self.settings.append(("-X", "stdc", arg))
        else:
            raise Usage(f"option -{c}: anonymous tracing is not possible here")

    # ---- words --------------------------------------------------------------------------------

    def word(self, name: str, value: str | None, following: list[str]) -> None:
        """An option of two dashes; its value may be the word that follows."""
        if name not in WORDS:
            raise Usage(f"unrecognized option '--{name}'")
        wants = WORDS[name]
        if value is not None and not wants:
            raise Usage(f"option '--{name}' doesn't allow an argument")
        if wants and value is None:
            if not following:
                raise Usage(f"option '--{name}' requires an argument")
            value = following.pop(0)
        if name == "help":
            self.mode = HELP
        elif name == "version":
            self.mode = VERSION
        elif name == "features":
            self.mode = FEATURES
        elif name == "format":
            if value not in ("text", "json"):
                raise Usage(f"unknown format '{value}' (text, json)")
            self.format = value
        elif name == "timeout":
            self.timeout = seconds(value or "")
        elif name == "flamegraph":
            self.format, self.flamegraph = "flamegraph", value
        else:
            self.format = name


CLAUSES = {"P": PROVIDER, "m": MODULE, "f": FUNCTION, "n": NAME, "i": NAME, "s": -1}
MODES = {"l": LIST, "V": VERSION, "G": OBJECT, "h": HEADER}
SETTINGS = {
    "b": "bufsize",
    "D": "define",
    "U": "undef",
    "I": "incdir",
    "H": "cpphdrs",
    "L": "libdir",
    "F": "flowindent",
    "q": "quiet",
    "w": "destructive",
}
ALONE = "aACeFGhHlqSvVwZ"
WITH_ARGUMENT = "bcDfiILmnopPsUxX"
WORDS = {
    "features": False,
    "flamegraph": True,
    "folded": False,
    "format": True,
    "heatmap": False,
    "help": False,
    "live": False,
    "timeout": True,
    "version": False,
}


def seconds(text: str) -> float:
    """The time that text names: 2, 1.5s, 100ms, 2m."""
    units = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    try:
        value = float(number) * units[text[len(number) :]]
    except (KeyError, ValueError):
        value = -1.0
    if not 0 <= value < 1e9:
        raise Usage(f"invalid timeout: {text}")
    return value


def cluster(o: Options, letters: str, following: list[str]) -> None:
    """Letters behind one dash; the argument of the last is the rest, or the word that follows."""
    while letters:
        c, letters = letters[0], letters[1:]
        if c in ALONE:
            o.letter(c, "")
            continue
        if c not in WITH_ARGUMENT:
            raise Usage(f"invalid option -- '{c}'")
        if not letters and not following:
            raise Usage(f"option requires an argument -- '{c}'")
        o.letter(c, letters or following.pop(0))
        return


def parse(argv: list[str]) -> Options:
    """What is no option is a macro argument, wherever it stands, like all that follows `--`."""
    o = Options()
    left = list(argv)
    while left:
        word = left.pop(0)
        if word == "--":
            o.args += left
            break
        if word in ("-32", "-64"):  # the data model is that of the kernel
            continue
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            o.word(name, value if equals else None, left)
        elif word.startswith("-") and word != "-":
            cluster(o, word[1:], left)
        else:
            o.args.append(word)
    return o


def environment() -> list[tuple[str, str, str | None]]:
    """Settings that the environment asks for: the variables DTRACE_OPT_NAME."""
    prefix = "DTRACE_OPT_"
    names = [n for n in os.environ if n.startswith(prefix) and n != prefix]
    return [(n, n[len(prefix) :].lower(), os.environ[n] or None) for n in names]


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def printable(text: str) -> str:
    """Text of whatever origin, fit for a terminal: lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else escaped(c) for c in text)


def escaped(c: str) -> str:
    n = ord(c)
    if 0xDC80 <= n <= 0xDCFF:  # a byte that is no text, as os.fsdecode() has it
        n -= 0xDC00
    return f"\\x{n:02x}" if n < 0x100 else f"\\u{n:04x}"


def complain(message: str) -> None:
    """A line on the standard error output, with dtrace(1)'s name in front as scripts expect it."""
    try:
        sys.stderr.write(f"dtrace: {printable(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # there is nobody to tell
