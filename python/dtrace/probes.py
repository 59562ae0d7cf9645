# SPDX-License-Identifier: Apache-2.0
"""Probes for what a Python program does: ``import dtrace.probes``, or ``python -m dtrace.probes PROGRAM``.

============================================ ===============================================================
``function-entry``, ``function-return``      file, function, line; of generators whenever they go on and yield
``line``                                     file, function, line
``exception``                                type, message, file, function, line: where one is raised first
``gc-start``; ``gc-done``                    generation; how many objects were collected
``import``                                   name of a module that is looked for
``audit``                                    name of an event of sys.audit()
============================================ ===============================================================

They are called ``python$target:::NAME``, as CPython's own are; where the interpreter has working ones of a name, those
are left alone.  With the environment variable ``DTRACE_PROBES=NAME`` all are defined, under that name.

The interpreter is asked for events (sys.monitoring, or the tracing functions of Python 3.11) only while somebody traces
the probe in question.  A thread looks at the probes' counters ten times a second; nothing else is done meanwhile.
This module needs neither the engine nor any privilege.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import functools
import gc
import os
import sys
import sysconfig
import threading
import warnings
from collections.abc import Callable, Mapping
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from dtrace._provider import Provider, StaticProbe

__all__ = ["probes", "start", "stop"]

PLACE: Final = (str, str, int)
PROBES: Final[dict[str, tuple[type, ...]]] = {
    "function__entry": PLACE,
    "function__return": PLACE,
    "line": PLACE,
    "exception": (str, str, *PLACE),
    "gc__start": (int,),
    "gc__done": (int,),
    "import": (str,),
    "audit": (str,),
}
# What works in interpreters that are built with their own probes: those of functions and lines do up to 3.11.
NATIVE: Final = frozenset({"gc__start", "gc__done", "audit"})
NATIVE_OLD: Final = NATIVE | {"function__entry", "function__return", "line"}

PERIOD: Final = 0.1

FILE: Final = (lambda: 0).__code__.co_filename

Emit = Callable[..., None]


def missing() -> list[str]:
    """The probes that the interpreter does not have itself."""
    native: frozenset[str] = frozenset()
    if sys.platform == "linux" and sysconfig.get_config_var("WITH_DTRACE"):
        native = NATIVE if sys.version_info >= (3, 12) else NATIVE_OLD
    return [name for name in PROBES if name not in native]


# ---- firing -------------------------------------------------------------------------------------


def ours(e: BaseException) -> bool:
    """Did this code fail, and not a signal handler of the program that came while it ran?"""
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    return tb is None or tb.tb_frame.f_code.co_filename == FILE


@functools.lru_cache(maxsize=8192)
def text(s: str) -> bytes:
    return s.encode("utf-8", "replace")


def message(e: BaseException) -> str:
    """What an exception says, as far as it can be told without running code of the program."""
    args = BaseException.__dict__["args"].__get__(e)
    if isinstance(e, OSError) and len(args) > 1 and type(args[1]) is str:
        return str(args[1])
    if not args:
        return ""
    first = args[0]
    return str(first) if type(first) in (str, int, float, bool) else ""


def type_name(kind: type) -> str:
    return str(type.__dict__["__name__"].__get__(kind))


def place_of(probe: StaticProbe) -> Emit:
    """Fires a probe with a place in a function."""
    function, counter = probe._function, probe._counter
    assert function is not None

    def emit(code: CodeType, line: int | None) -> None:
        if counter.value and code.co_filename != FILE:
            function(text(code.co_filename), text(code.co_name), line or 0)

    return emit


def exception_of(probe: StaticProbe) -> Emit:
    function, counter = probe._function, probe._counter
    assert function is not None

    def emit(frame: FrameType, e: BaseException, tb: TracebackType | None) -> None:
        code = frame.f_code
        # It comes again in every function that it leaves, with an ever longer traceback.
        if tb is not None and (tb.tb_next is not None or tb.tb_frame is not frame):
            return
        # Python leaves the frames of importing out of tracebacks as well: there it starts at the statement.
        if counter.value and not code.co_filename.startswith((FILE, "<frozen importlib")):
            said = message(e).encode("utf-8", "replace")
            where = (text(code.co_filename), text(code.co_name), frame.f_lineno or 0)
            function(text(type_name(type(e))), said, *where)

    return emit


def value_of(probe: StaticProbe) -> Emit:
    function, counter = probe._function, probe._counter
    assert function is not None

    def emit(value: Any) -> None:
        if counter.value:
            function(text(value) if isinstance(value, str) else value)

    return emit


def emitters(defined: Mapping[str, StaticProbe]) -> dict[str, Emit]:
    makers = {3: place_of, 5: exception_of, 1: value_of}
    return {name: makers[len(probe.types)](probe) for name, probe in defined.items()}


# ---- events of the interpreter, Python 3.12 and later -------------------------------------------


class Monitoring:
    """Functions, lines and exceptions by sys.monitoring."""

    # Tool ids: those that have no meaning first.
    IDS = (4, 3, 5, 2, 1, 0)

    def __init__(self, monitoring: Any, emit: Mapping[str, Emit]) -> None:
        self.monitoring = monitoring
        self.emit = emit
        self.tool: int | None = None
        self.registered: dict[int, Callable[..., object]] = {}
        events = monitoring.events
        # By probe: the events and whether they can be switched off place by place.
        self.events: dict[str, tuple[tuple[int, bool], ...]] = {
            "function__entry": (
                (events.PY_START, True),
                (events.PY_RESUME, True),
                (events.PY_THROW, False),
            ),
            "function__return": (
                (events.PY_RETURN, True),
                (events.PY_YIELD, True),
                (events.PY_UNWIND, False),
            ),
            "line": ((events.LINE, True),),
            "exception": ((events.RAISE, False),),
        }

    def callback(self, name: str, event: int, local: bool) -> Callable[..., object]:
        emit = self.emit[name]
        disable = self.monitoring.DISABLE if local else None
        frame_of = sys._getframe

        def start(code: CodeType, _at: int) -> object:
            if code.co_filename == FILE:
                return disable
            try:
                emit(code, code.co_firstlineno)
            except Exception as e:
                if not ours(e):
                    raise
            return None

        def line(code: CodeType, at: int) -> object:
            if code.co_filename == FILE:
                return disable
            try:
                emit(code, at)
            except Exception as e:
                if not ours(e):
                    raise
            return None

        def place(code: CodeType, *_: object) -> object:
            if code.co_filename == FILE:
                return disable
            try:
                emit(code, frame_of(1).f_lineno)
            except Exception as e:
                if not ours(e):
                    raise
            return None

        def exception(_code: CodeType, _at: int, e: BaseException) -> object:
            try:
                emit(frame_of(1), e, e.__traceback__)
            except Exception as error:
                if not ours(error):
                    raise
            return None

        events = self.monitoring.events
        own: dict[int, Callable[..., object]] = {
            events.PY_START: start,
            events.LINE: line,
            events.RAISE: exception,
        }
        return own.get(event, place)

    def claim(self) -> int | None:
        for tool in self.IDS:
            if self.monitoring.get_tool(tool) is None:
                try:
                    self.monitoring.use_tool_id(tool, "dtrace")
                except ValueError:
                    continue  # somebody was quicker
                return tool
        return None

    def apply(self, wanted: set[str]) -> bool:
        callbacks: dict[int, Callable[..., object]] = {}
        for name, events in self.events.items():
            if name in wanted:
                for event, local in events:
                    callbacks[event] = self.registered.get(event) or self.callback(
                        name, event, local
                    )
        if callbacks.keys() == self.registered.keys():
            return True
        if self.tool is None:
            self.tool = self.claim()
            if self.tool is None:
                return False  # all are taken
        for event, function in callbacks.items():
            if event not in self.registered:
                self.monitoring.register_callback(self.tool, event, function)
        self.monitoring.set_events(self.tool, sum(callbacks))
        for event in self.registered.keys() - callbacks.keys():
            self.monitoring.register_callback(self.tool, event, None)
        self.registered = callbacks
        if not callbacks:
            self.monitoring.free_tool_id(self.tool)
            self.tool = None
        return True


# ---- events of the interpreter, Python 3.11 -----------------------------------------------------


class Hooks:
    """The same by sys.setprofile() and sys.settrace(): of the main thread, and of threads that start later.

    A program's own profiler or debugger is left alone.
    """

    def __init__(self, emit: Mapping[str, Emit]) -> None:
        self.emit = emit
        self.wanted: set[str] = set()
        # Called by the interpreter in the main thread, between two of its instructions.
        self.pending = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self.in_main_thread)
        self.add_pending = ctypes.pythonapi.Py_AddPendingCall
        self.profile_hook = self.profile
        self.trace_hook = self.trace
        self.asked = True  # has the main thread been told?

    @property
    def profiling(self) -> bool:
        return bool(self.wanted & {"function__entry", "function__return"})

    @property
    def tracing(self) -> bool:
        return bool(self.wanted & {"line", "exception"})

    def apply(self, wanted: set[str]) -> bool:
        wanted = wanted & {"function__entry", "function__return", "line", "exception"}
        if wanted == self.wanted:
            if not self.asked:
                self.tell()
            return self.asked
        self.wanted = wanted
        for on, hook, get, put in (
            (self.profiling, self.profile_hook, threading.getprofile, threading.setprofile),
            (self.tracing, self.trace_hook, threading.gettrace, threading.settrace),
        ):
            now = get()
            if on and now is None:
                put(hook)
            elif not on and now is hook:
                put(None)  # type: ignore[arg-type]
        self.tell()
        return self.asked

    def tell(self) -> None:
        if threading.get_ident() == threading.main_thread().ident:
            self.here(sys._getframe())
            self.asked = True
        else:
            self.asked = self.add_pending(self.pending, None) == 0  # it can be full

    def in_main_thread(self, _: object) -> int:
        self.here(sys._getframe())
        return 0

    def here(self, frame: FrameType | None) -> None:
        """Do for this thread what is wanted now."""
        for on, hook, get, put in (
            (self.profiling, self.profile_hook, sys.getprofile, sys.setprofile),
            (self.tracing, self.trace_hook, sys.gettrace, sys.settrace),
        ):
            now: Any = get()
            if on and now is None:
                put(hook)
            elif not on and now is hook:
                put(None)
        # Functions that run already: profilers see their end, tracers have to be told.
        mine = sys.gettrace() is self.trace_hook
        while frame is not None:
            if frame.f_code.co_filename != FILE and (frame.f_trace is None) == mine:
                if mine:
                    frame.f_trace = self.trace_hook
                    frame.f_trace_lines = "line" in self.wanted
                elif frame.f_trace is self.trace_hook:
                    frame.f_trace = None
                    frame.f_trace_lines = True
            frame = frame.f_back

    def profile(self, frame: FrameType, event: str, _arg: object) -> None:
        try:
            if not self.profiling:
                sys.setprofile(None)
            elif event == "call":
                if "function__entry" in self.wanted:
                    self.emit["function__entry"](frame.f_code, frame.f_lineno)
            elif event == "return" and "function__return" in self.wanted:
                self.emit["function__return"](frame.f_code, frame.f_lineno)
        except Exception as e:
            if not ours(e):
                raise

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        try:
            if not self.tracing:
                sys.settrace(None)
                return None
            if frame.f_code.co_filename == FILE:
                return None
            if event == "call":
                frame.f_trace_lines = "line" in self.wanted
            elif event == "line":
                if "line" in self.wanted:
                    self.emit["line"](frame.f_code, frame.f_lineno)
            elif event == "exception" and "exception" in self.wanted:
                self.emit["exception"](frame, arg[1], arg[2])  # the exception has not got it yet
        except Exception as e:
            if not ours(e):
                raise
        return self.trace_hook


# ---- events of the library ----------------------------------------------------------------------


class Finder:
    """Finds no module, but is asked for each."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        try:
            self.emit(name)
        except Exception as e:
            if not ours(e):
                raise

    def invalidate_caches(self) -> None:
        pass


class Library:
    """Collections, imports and audit events."""

    def __init__(self, emit: Mapping[str, Emit]) -> None:
        self.emit = emit
        self.wanted: set[str] = set()
        self.audited = False
        self.auditing: set[int] = set()  # threads
        self.finder = Finder(emit["import"]) if "import" in emit else None
        self.collect = self.collection  # one object, to be found again

    def apply(self, wanted: set[str]) -> bool:
        self.wanted = wanted
        collecting = bool(wanted & {"gc__start", "gc__done"})
        if collecting != (self.collect in gc.callbacks):
            (gc.callbacks.append if collecting else gc.callbacks.remove)(self.collect)
        finder: Any = self.finder
        if finder is not None and ("import" in wanted) != (any(x is finder for x in sys.meta_path)):
            if "import" in wanted:
                sys.meta_path.insert(0, finder)
            else:
                sys.meta_path.remove(finder)
        if "audit" in wanted and not self.audited:
            self.audited = True
            sys.addaudithook(self.audit)  # for ever: there is no way to remove one
        return True

    def collection(self, phase: str, info: Mapping[str, int]) -> None:
        name = "gc__start" if phase == "start" else "gc__done"
        if name in self.wanted:
            self.emit[name](info["generation" if phase == "start" else "collected"])

    def audit(self, event: str, _args: object) -> None:
        if "audit" in self.wanted:
            thread = _thread.get_ident()
            if thread in self.auditing:
                return  # newer versions of ctypes tell of the call that fires the probe
            self.auditing.add(thread)
            try:
                self.emit["audit"](event)
            except Exception as e:
                if not ours(e):
                    raise
            finally:
                self.auditing.discard(thread)


# ---- who looks ----------------------------------------------------------------------------------


class Watcher:
    """A thread that switches events on and off as tracers come and go."""

    def __init__(
        self, defined: Mapping[str, StaticProbe], apply: tuple[Callable[[set[str]], bool], ...]
    ) -> None:
        self.defined = dict(defined)
        self.apply = apply
        self.wanted: set[str] = set()
        self.settled = True  # could all that was wanted be done?
        self.quit = _thread.allocate_lock()
        self.ended = _thread.allocate_lock()

    def look(self) -> None:
        try:
            self.set({name for name, probe in self.defined.items() if probe.enabled})
        except Exception as e:  # an audit hook of the program's refuses something, say
            warnings.warn(f"the probes of this program do not all work: {e}", stacklevel=1)

    def set(self, wanted: set[str]) -> None:
        if wanted != self.wanted or not self.settled:
            self.wanted = wanted
            done = [apply(wanted) for apply in self.apply]
            self.settled = all(done)

    def run(self, quit: Any, ended: Any) -> None:
        try:
            while not quit.acquire(timeout=PERIOD):
                self.look()
        finally:
            ended.release()

    def start(self) -> None:
        """Look now, then again and again.  The thread is none that the program sees in `threading`."""
        self.look()
        self.quit, self.ended = _thread.allocate_lock(), _thread.allocate_lock()
        self.quit.acquire()
        self.ended.acquire()
        try:
            _thread.start_new_thread(self.run, (self.quit, self.ended))
        except RuntimeError:
            self.ended.release()  # the interpreter ends, or is one that has no threads

    def pause(self) -> None:
        """End the thread: a process with threads should not fork."""
        if self.quit.locked():
            self.quit.release()
        if self.ended.acquire(timeout=1):
            self.ended.release()

    def stop(self) -> None:
        self.pause()
        self.set(set())


watcher: Watcher | None = None


def fork_before() -> None:
    if watcher is not None:
        watcher.pause()


def fork_after() -> None:
    if watcher is not None:
        watcher.start()


def start() -> None:
    """Define the probes; importing the module does it."""
    global watcher
    if watcher is not None:
        return
    other = os.environ.get("DTRACE_PROBES", "")
    provider = Provider(other or "python")
    try:
        for name in PROBES if other else missing():
            provider.probe(name, *PROBES[name])
    except OSError as e:  # a system that lets nothing be loaded; the program shall run all the same
        warnings.warn(f"there will be no probes of this program: {e}", stacklevel=2)
        return
    defined = {n: p for n, p in provider.probes.items() if p._function is not None}
    if not defined:
        return  # a system without
    emit = emitters(defined)
    monitoring = getattr(sys, "monitoring", None)
    emit_hooks = emit if emit.keys() & {"line", "exception"} else {}
    hooks: Monitoring | Hooks = Monitoring(monitoring, emit) if monitoring else Hooks(emit_hooks)
    watcher = Watcher(defined, (Library(emit).apply, hooks.apply))
    watcher.start()


def stop() -> None:
    """Ask the interpreter for no more events; start() begins anew."""
    global watcher
    if watcher is not None:
        watcher.stop()
        watcher = None


def probes() -> Mapping[str, StaticProbe]:
    """The probes that are defined here, by name."""
    return watcher.defined if watcher is not None else {}


# ---- python -m dtrace.probes --------------------------------------------------------------------

USAGE = """usage: python -m dtrace.probes [--wait] PROGRAM [ARGUMENT...]
       python -m dtrace.probes [--wait] -m MODULE [ARGUMENT...]
       python -m dtrace.probes --list

Runs a Python program with the probes of python<PID>. --wait: when somebody traces one of them.
--list: the probes and the files that they are in, for usdt:FILE:python:NAME.
"""


def main(argv: list[str]) -> int:
    import runpy

    from dtrace import probes as bridge

    args = argv[1:]
    if args == ["--list"]:
        for name, probe in bridge.probes().items():
            print(f"{name.replace('__', '-'):<16} {probe.path or '-'}")
        return 0
    wait = args[:1] == ["--wait"]
    if wait:
        del args[0]
    module = args[:1] == ["-m"]
    if module:
        del args[0]
    if not args or args[0].startswith("-"):
        sys.stdout.write(USAGE)
        return 0 if args[:1] in (["-h"], ["--help"]) else 2
    watching = bridge.watcher
    if wait and watching is not None:
        import time

        while not watching.wanted:
            time.sleep(PERIOD)
    sys.argv[:] = args
    if module:
        sys.path[0] = os.getcwd()
        runpy.run_module(args[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(args[0]))
        runpy.run_path(args[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
else:
    os.register_at_fork(before=fork_before, after_in_parent=fork_after, after_in_child=fork_after)
    atexit.register(stop)
    start()
