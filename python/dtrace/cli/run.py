# SPDX-License-Identifier: Apache-2.0
"""From the options to the exit status: compile, list or trace, as dtrace(1) does it."""

from __future__ import annotations

# The module signal makes enumerations of its numbers, which takes its time.
import _signal  # type: ignore[import-not-found]
import os
import sys
from time import monotonic

from .. import _engine
from . import options
from .options import ERROR, FEATURES, HEADER, LIST, OBJECT, OK, VERSION, complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .._embedded import Consumer, _ProbeDescription
    from .._errors import Drop, Fault
    from .options import Clause, Options

LISTING = f"{'ID':>5} {'PROVIDER':>10} {'MODULE':>17} {'FUNCTION':>33} NAME\n"
FOREVER = float("inf")
ANY = (0, "", "", "", "")


class Fatal(Exception):
    """What ends the run, as dtrace(1) says it."""


def reason(e: BaseException) -> str:
    """An exception in one line."""
    return str(getattr(e, "message", None) or getattr(e, "strerror", None) or e)


def placed(e: BaseException, clause: Clause) -> str:
    """The same without the number of the line, where there is but one."""
    text = reason(e)
    tag, found, rest = text.partition("line 1: ")
    plain = not tag or (tag.startswith("[D_") and tag.endswith("] "))
    return tag + rest if found and plain and "\n" not in clause.text else text


class Output:
    """What becomes of the data: this one does nothing with it."""

    interval: float | None = None
    """Seconds between two ticks; None: there are none."""

    def __init__(self, c: Consumer) -> None:
        self.c = c

    def work(self) -> bool:
        """Take what has been recorded; True at the end."""
        return self.c.show()

    def tick(self) -> None:
        """An interval has passed."""

    def interrupted(self) -> None:
        """A signal has come, after which the tracing ends."""

    def end(self) -> None:
        """All has been taken."""

    def close(self) -> None:
        """Whatever happened: put things back."""

    def drop(self, drop: Drop) -> None:
        complain(drop.message)

    def fault(self, fault: Fault) -> None:
        complain(fault.message)

    def process(self, pid: int, message: str) -> None:
        complain(message)


class Text(Output):
    """dtrace(1)'s own."""

    def interrupted(self) -> None:
        self.c.put("\n")

    def end(self) -> None:
        self.c.put("\n")
        self.c.show_aggregations()


class Program:
    """A compiled clause of the command line."""

    def __init__(self, number: int, kind: str, name: str) -> None:
        self.number = number
        self.kind = kind  # "description" or "script"
        self.name = name


class Tool:
    """One run of the command line."""

    def __init__(self, o: Options) -> None:
        self.o = o
        self.quiet = False
        self.status = OK
        try:
            engine = _engine.load()
            self.c: Consumer = engine.Consumer(on_drop=self.on_drop, on_error=self.on_error)
        except Exception as e:
            raise Fatal(f"failed to initialize dtrace: {reason(e)}") from None
        self.programs: list[Program] = []
        self.out = Output(self.c)

    # ---- what happens meanwhile -----------------------------------------------------------------

    def on_drop(self, drop: Drop) -> None:
        self.out.drop(drop)

    def on_error(self, fault: Fault) -> None:
        self.out.fault(fault)

    def on_process(self, pid: int, message: str) -> None:
        if not self.quiet or self.o.format == "json":
            self.out.process(pid, message)

    def notice(self, message: str) -> None:
        """What is of interest, but not to those who want it quiet."""
        if not self.quiet:
            complain(message)

    # ---- setting up -----------------------------------------------------------------------------

    def open_output(self) -> None:
        narrow = "_DTRACE_TESTING" in os.environ
        if self.o.output is None:
            self.c.open_output(1, narrow)
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            fd = os.open(self.o.output, flags, 0o666)
        except OSError as e:
            raise Fatal(f"failed to open output file '{self.o.output}': {reason(e)}") from None
        self.c.open_output(fd, narrow)
        os.close(fd)

    def protect_terminal(self) -> None:
        """What comes from traced processes must not steer the terminal; -x printable=no has it raw."""
        if self.o.output is None and options.is_terminal(1):
            try:
                self.c.setopt("printable")
            except Exception as e:
                if not is_expected(e):  # an engine that does not know this option
                    raise

    def set_options(self) -> None:
        for flag, name, value in options.environment() + self.o.settings:
            try:
                self.c.setopt(name, value)
            except Exception as e:
                raise Fatal(f"failed to set {flag}: {reason(e)}") from None

    def take_processes(self) -> None:
        for kind, text in self.o.commands:
            if kind == "c":
                self.c.create(words(text), self.on_process)
                continue
            try:
                pid = int(text)
            except ValueError:
                raise Fatal(f"invalid pid: {text}") from None
            self.c.grab(pid, self.on_process)

    def compile(self, clause: Clause, arguments: bool = True) -> Program:
        args = [sys.argv[0], *(self.o.args if arguments else ())]
        if clause.spec >= 0:
            try:
                number = self.c.compile(clause.text, clause.spec, self.o.cflags, args)
            except Exception as e:
                raise Fatal(f"invalid probe specifier {clause.text}: {placed(e, clause)}") from None
            end = min(i for i in (*map(clause.text.find, "{/;"), len(clause.text)) if i >= 0)
            return Program(number, "description", clause.text[:end])
        args[0] = clause.text
        try:
            fd = 0 if clause.text == "-" else os.open(clause.text, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise Fatal(f"failed to open {clause.text}: {reason(e)}") from None
        try:
            number = self.c.compile(fd, -1, self.o.cflags, args)
        except Exception as e:
            raise Fatal(f"failed to compile script {clause.text}: {reason(e)}") from None
        finally:
            if fd:
                os.close(fd)
        return Program(number, "script", clause.text)

    def enable(self) -> int:
        """Enable what was compiled; how many probes it matches."""
        total = 0
        for p in self.programs:
            matches, description, statement = self.c.info(p.number)
            if not self.o.compile_only or self.o.show_code:
                try:
                    matches = self.c.enable(p.number)
                except Exception as e:
                    raise Fatal(f"failed to enable '{p.name}': {reason(e)}") from None
            if not self.o.compile_only:
                plural = "" if matches == 1 else "s"
                self.notice(f"{p.kind} '{p.name}' matched {matches} probe{plural}")
            if self.o.verbose:
                self.c.put(f"\nStability attributes for {p.kind} {p.name}:\n")
                self.c.put(stability("Minimum Probe Description Attributes", description))
                self.c.put(stability("Minimum Statement Attributes", statement) + "\n")
            total += matches
        return total

    # ---- modes ----------------------------------------------------------------------------------

    def list_probes(self) -> None:
        if self.o.format != "json":
            self.c.put(LISTING)
        if not self.o.clauses:
            self.list_pattern(ANY)
        for clause in self.o.clauses:
            self.list_clause(clause)

    def list_clause(self, clause: Clause) -> None:
        for pattern in self.c.statements(self.compile(clause).number):
            try:
                self.list_pattern(pattern)
            except Exception as e:
                complain(f"failed to match {':'.join(pattern[1:])}: {reason(e)}")
                self.status = ERROR

    def list_pattern(self, pattern: _ProbeDescription) -> None:
        if self.o.format == "json":
            from . import jsonlines

            jsonlines.list_probes(self.c, pattern)
        else:
            self.c.list_probes(pattern, self.o.verbose)

    def show_features(self) -> None:
        rows = self.c.features()
        if self.o.format == "json":
            from . import jsonlines

            jsonlines.show_features(self.c, rows)
            return
        width = max(len(row[0]) for row in rows)
        for name, available, use, instead, refusal in rows:
            line = f"{name:{width}}  {'yes' if available else 'no':3}  {use or ''}"
            if not available and instead:
                line += f"; instead: {instead}"
            if not available and refusal:
                line += f" ({refusal})"
            self.c.put(line.rstrip() + "\n")

    def go(self) -> None:
        sizes = {
            "bufsize": "buffer size",
            "aggsize": "aggregation size",
            "specsize": "speculation size",
            "dynvarsize": "dynamic variable size",
        }
        before = {name: self.c.getopt(name) for name in sizes}
        if self.c.getopt("destructive") is not None:
            self.notice("allowing destructive actions")
        try:
            self.c.go()
        except Exception as e:
            log = getattr(e, "verifier_log", None)
            if log and self.c.getopt("bpflog") is not None:
                sys.stderr.write(options.printable(log))
            raise Fatal(f"could not enable tracing: {reason(e)}") from None
        if self.c.getopt("quietresize") is not None:
            return
        for name, what in sizes.items():
            wanted, got = before[name], self.c.getopt(name)
            if wanted is not None and got is not None and got < wanted:
                self.notice(f"{what} lowered to {size(got)}")

    def output(self) -> Output:
        """What is made of the records and the aggregations."""
        if self.o.format == "text":
            return Text(self.c)
        if self.o.format == "json":
            from . import jsonlines

            return jsonlines.Lines(self.c)
        from . import views

        return views.VIEWS[self.o.format](self.c, self.o)

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Around what may take long."""
        if not options.is_terminal(2):
            return self
        from .progress import Progress

        return Progress(what)

    def __enter__(self) -> Tool:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to do: this is for busy()."""

    def trace(self) -> None:
        c = self.c
        self.out = self.output()
        c.catch_signals(_signal.SIGINT, _signal.SIGTERM)
        with self.busy("starting"):
            self.go()
        c.resume()
        try:
            self.follow(self.out)
            self.out.end()
        except OSError as e:
            raise Fatal(f"failed to write output: {reason(e)}") from None
        except Exception as e:
            if not is_expected(e):
                raise
            raise Fatal(f"processing aborted: {reason(e)}") from None
        finally:
            self.out.close()
        if c.exit_status is not None:
            self.status = c.exit_status

    def follow(self, out: Output) -> None:
        """Until exit(), a signal, the end of the processes, or the end of the time."""
        c = self.c
        end = FOREVER if self.o.timeout is None else monotonic() + self.o.timeout
        tick = FOREVER if out.interval is None else monotonic() + out.interval
        done = False
        while not done:
            at = min(end, tick)
            if not c.caught:
                c.sleep(None if at == FOREVER else max(at - monotonic(), 0))
            if c.caught:
                out.interrupted()
            if c.caught or monotonic() >= end:
                c.stop()
                done = True
            done = out.work() or done
            if out.interval is not None and monotonic() >= tick:
                out.tick()
                tick = max(tick + out.interval, monotonic())

    def run(self) -> int:
        if self.o.mode not in (HEADER, OBJECT):
            self.open_output()
        if self.o.mode == VERSION:
            self.c.put(f"dtrace: {self.c.version()}\n")
            return OK
        self.protect_terminal()
        if self.o.mode == FEATURES:
            self.show_features()
            return OK
        self.set_options()
        self.take_processes()
        if self.o.mode == LIST:
            self.list_probes()
            return self.status
        if self.o.mode in (HEADER, OBJECT):
            from . import static

            static.make(self)
            return self.status
        with self.busy("compiling"):
            self.programs = [self.compile(clause) for clause in self.o.clauses]
        self.quiet = self.c.getopt("quiet") is not None
        matches = self.enable()
        # With -Z, what there is to match may still come.
        expected = self.programs and self.o.cflags & options.ZDEFS
        if matches == 0 and not (expected or self.o.compile_only):
            raise Fatal(f"no probes {'matched' if self.programs else 'specified'}")
        if self.o.show_code:
            self.c.show_code(2)
        if not self.o.compile_only:
            self.trace()
        return self.status


def words(command: str) -> list[str]:
    """A command as its words; quotes work as in a shell."""
    if not any(c in command for c in "'\"\\"):
        return command.split()
    import shlex

    try:
        return shlex.split(command)
    except ValueError as e:
        raise Fatal(f"invalid command: {command}: {reason(e)}") from None


def stability(what: str, attributes: str) -> str:
    name, data, dependency = attributes.split("/")
    return (
        f"\n\t{what}\n\t\tIdentifier Names: {name}\n"
        f"\t\tData Semantics:   {data}\n\t\tDependency Class: {dependency}\n"
    )


def size(n: int) -> str:
    """4m for 4194304."""
    for shift, suffix in ((30, "g"), (20, "m"), (10, "k")):
        if n and n % (1 << shift) == 0:
            return f"{n >> shift}{suffix}"
    return str(n)


def run(o: Options) -> int:
    """Do it; the exit status."""
    # A reader that goes away ends us as it ends other programs; Python ignores that.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    tool = None
    try:
        tool = Tool(o)
        return tool.run()
    except KeyboardInterrupt:
        return 128 + int(_signal.SIGINT)
    except Exception as e:
        if not is_expected(e):
            raise
        complain(reason(e))
        return ERROR
    finally:
        if tool is not None:
            tool.c.close()


def is_expected(e: Exception) -> bool:
    """Failures that the user can do something about, as opposed to mistakes in here."""
    if isinstance(e, (Fatal, OSError)):
        return True
    from .._errors import DTraceError

    return isinstance(e, DTraceError)
