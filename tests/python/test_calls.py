# SPDX-License-Identifier: Apache-2.0
"""How calls, callbacks, threads and signals get along, with a libdtrace that does as told."""

from __future__ import annotations

import ctypes
import errno
import gc
import operator
import os
import select
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import started

import dtrace

ONE = "probe 5 a:b:c:d\nint 4 1\n"
MANY = "probe 5 a:b:c:d 100000\nint 4 1\n"
ROW = "agg 1 1\nwords 3\n"


def ignore(*args: Any) -> None:
    pass


def handles(module: ModuleType) -> int:
    """How many handles are open in the fake."""
    return int(ctypes.CDLL(module.__file__).fake_handles())


# ---- arguments ----------------------------------------------------------------------------------


def test_wrong_arguments(fake: ModuleType) -> None:
    c = fake.Consumer()
    for method in (c.strcompile, c.setopt, c.consume, c.aggwalk):
        with pytest.raises(TypeError):
            method()
    for nonsense in (None, 1, 1.5, [], {}, object(), b"BEGIN"):
        with pytest.raises(TypeError):
            c.strcompile(nonsense)
        with pytest.raises(TypeError):
            c.setopt(nonsense)
    for nonsense in (None, 1, "callback", []):
        with pytest.raises(TypeError, match="callable"):
            c.consume(nonsense)
        with pytest.raises(TypeError, match="callable"):
            c.aggwalk(nonsense)
    with pytest.raises(TypeError):
        fake.Consumer("positional")
    with pytest.raises(TypeError, match="on_drop must be callable"):
        fake.Consumer(on_drop=3)
    with pytest.raises(ValueError, match="null"):
        c.strcompile("BEGIN\0")
    for nonsense in (-1, float("nan")):
        with pytest.raises(ValueError, match="negative"):
            c.sleep(nonsense)
    with pytest.raises(TypeError):
        c.sleep("1")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "(null)"),
        (True, "(null)"),
        (False, "false"),
        ("", ""),
        ("4m", "4m"),
        (1024, "1024"),
        (-1, "-1"),
        (2**70, str(2**70)),
        (4.0, "4"),
        (1.23, "1.23"),
        (float("inf"), "inf"),
    ],
)
def test_option_values(fake: ModuleType, given: Any, text: str) -> None:
    with pytest.raises(dtrace.DTraceError) as e:
        fake.Consumer().setopt("echo", given)
    assert e.value.message == text


@pytest.mark.parametrize("value", [[], {}, (), b"4m", object(), 1j])
def test_option_values_of_wrong_types(fake: ModuleType, value: Any) -> None:
    with pytest.raises(TypeError, match="an option's value"):
        fake.Consumer().setopt("echo", value)


def test_macro_arguments(fake: ModuleType) -> None:
    with pytest.raises(dtrace.DTraceError, match=r"^one,2,$"):
        fake.Consumer().strcompile("", ["one", "2"])
    for nonsense in ("text", [1], [None], 5):
        with pytest.raises(TypeError):
            fake.Consumer().strcompile("", nonsense)


# ---- failures -----------------------------------------------------------------------------------


def test_open_fails(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_OPEN_ERROR", "1")
    with pytest.raises(dtrace.DTraceError) as e:
        fake.Consumer()
    assert e.value.message == str(e.value) == "DTrace requires additional privileges"
    assert e.value.errno == 1


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("setopt", lambda c: c.setopt("quiet")),
        ("exec", lambda c: c.strcompile("")),
        ("stop", lambda c: c.stop()),
        ("work", lambda c: c.consume(ignore)),
        ("snap", lambda c: c.aggwalk(ignore)),
        ("snap", lambda c: c.aggclear()),
        ("walk", lambda c: c.aggwalk(ignore)),
        ("status", lambda c: c.status()),
    ],
)
def test_a_call_fails(fake: ModuleType, call: str, use: Any) -> None:
    c = fake.Consumer()
    script = f"{ONE}{ROW}fail {call} 1234 no {call} today"
    if call == "exec":
        with pytest.raises(dtrace.DTraceError) as e:
            c.strcompile(script)
    else:
        c.strcompile(script)
        c.go()
        with pytest.raises(dtrace.DTraceError) as e:
            use(c)
    assert type(e.value) is dtrace.DTraceError
    assert (e.value.errno, e.value.message) == (1234, f"no {call} today")
    c.close()


def test_go_fails(fake: ModuleType) -> None:
    c = fake.Consumer()
    c.strcompile("fail go 5 not now")
    with pytest.raises(dtrace.DTraceError, match=r"^not now$") as e:
        c.go()
    assert type(e.value) is dtrace.DTraceError


def test_the_verifier_refuses(fake: ModuleType) -> None:
    c = fake.Consumer()
    c.strcompile("verifier R1 invalid mem access")
    with pytest.raises(dtrace.LoadError, match="cannot be loaded") as e:
        c.go()
    assert e.value.verifier_log == "R1 invalid mem access"
    assert e.value.errno == 10


def test_compile_errors(fake: ModuleType) -> None:
    with pytest.raises(dtrace.CompileError) as e:
        fake.Consumer().strcompile("diag 3 7 no such thing\ndiag 4 1 nor this")
    error = e.value
    assert error.message == str(error) == "no such thing"
    assert (error.tag, error.line, error.column) == ("D_FAKE", 3, 7)
    assert error.text.count("^~~") == 2
    assert [d.message for d in error.diagnostics] == ["no such thing", "nor this"]
    assert error.diagnostics[1].line == 4
    if sys.version_info >= (3, 11):
        assert error.__notes__ == [error.text.rstrip("\n")]


def test_compile_errors_without_diagnostics(classic: ModuleType) -> None:
    with pytest.raises(dtrace.CompileError) as e:
        classic.Consumer().strcompile("what is this")
    assert e.value.line == 1
    assert (e.value.tag, e.value.column, e.value.diagnostics) == (None, None, [])


def test_not_while_active(fake: ModuleType) -> None:
    c = started(fake, ONE)
    with pytest.raises(dtrace.DTraceError, match="active") as e:
        c.strcompile(ONE)
    assert not isinstance(e.value, dtrace.CompileError)
    with pytest.raises(dtrace.DTraceError, match="active"):
        c.go()


def test_errors_can_be_pickled() -> None:
    import pickle

    diagnostics = [dtrace.Diagnostic("D_X", "wrong", 1, 2, 3, "text", None)]
    error = pickle.loads(pickle.dumps(dtrace.CompileError("wrong", 7, diagnostics)))
    assert (error.message, error.errno, error.line, error.tag) == ("wrong", 7, 1, "D_X")


# ---- callbacks ----------------------------------------------------------------------------------


class Unusual(BaseException):
    pass


@pytest.mark.parametrize("record", ["int 4 1", "printf x", "printa x|y", ""])
@pytest.mark.parametrize("flavour", ["fake", "classic"])
def test_a_callbacks_exception_comes_out_untouched(
    record: str, flavour: str, request: pytest.FixtureRequest
) -> None:
    module = request.getfixturevalue(flavour)
    error = Unusual("mine")
    seen = []

    def callback(probe: dict[str, str], rec: Any) -> None:
        seen.append(rec)
        raise error

    c = started(module, f"probe 5 a:b:c:d\n{record}\nprobe 6 e:f:g:h\nint 4 2")
    with pytest.raises(Unusual) as e:
        c.consume(callback)
    assert e.value is error
    assert error.__context__ is None and error.__cause__ is None
    assert len(seen) == 1
    c.close()


def test_an_exception_at_the_end_of_a_firing_ends_the_walk(fake: ModuleType) -> None:
    seen = []

    def callback(probe: dict[str, str], rec: Any) -> None:
        seen.append(rec)
        if rec is None:
            raise KeyError("end")

    c = started(fake, MANY)
    with pytest.raises(KeyError):
        c.consume(callback)
    assert seen == [1, None]


def test_an_exception_in_aggwalk_ends_the_walk(fake: ModuleType) -> None:
    seen = []

    def callback(*row: Any) -> None:
        seen.append(row)
        raise KeyError("no")

    c = started(fake, ROW + "rows 10\n")
    with pytest.raises(KeyError):
        c.aggwalk(callback)
    assert len(seen) == 1
    c.aggwalk(lambda *row: seen.append(row))
    assert len(seen) == 11  # what failed was not removed


def test_stop_inside_a_callback(fake: ModuleType) -> None:
    c = started(fake, MANY)
    seen = []

    def callback(probe: dict[str, str], rec: Any) -> None:
        seen.append(rec)
        if len(seen) == 1:
            c.stop()

    assert c.consume(callback) is False
    assert len(seen) == 200000
    assert c.status() == dtrace.Status.STOPPED
    assert c.consume(ignore) is True


def test_a_stop_inside_a_callback_that_fails(fake: ModuleType) -> None:
    c = started(fake, ONE + "fail stop 5 not stopping")
    with pytest.raises(dtrace.DTraceError, match="not stopping"):
        c.consume(lambda probe, rec: c.stop())
    c.consume(ignore)


def test_an_exception_wins_over_a_failing_stop(fake: ModuleType) -> None:
    c = started(fake, ONE + "fail stop 5 not stopping")

    def callback(probe: dict[str, str], rec: Any) -> None:
        c.stop()
        raise KeyError("mine")

    with pytest.raises(KeyError):
        c.consume(callback)


@pytest.mark.parametrize("walk", ["consume", "aggwalk"])
def test_close_inside_a_callback(fake: ModuleType, walk: str) -> None:
    before = handles(fake)
    c = started(fake, ONE + ROW)

    def callback(*args: Any) -> None:
        c.close()
        c.close()
        assert c.closed
        with pytest.raises(dtrace.DTraceError, match="closed"):
            c.setopt("quiet")

    getattr(c, walk)(callback)
    assert c.closed
    assert handles(fake) == before
    with pytest.raises(dtrace.DTraceError, match="closed"):
        c.consume(ignore)


def test_calls_inside_callbacks(fake: ModuleType) -> None:
    c = started(fake, ONE + ROW)
    done = []

    def refused(call: Any) -> None:
        with pytest.raises(dtrace.DTraceError, match="from inside a callback"):
            call()
        done.append(call)

    def on_row(*row: Any) -> None:
        done.append(row)
        for call in (
            c.aggclear,
            c.go,
            c.sleep,
            lambda: c.consume(ignore),
            lambda: c.aggwalk(ignore),
        ):
            refused(call)

    def on_record(probe: dict[str, str], rec: Any) -> None:
        for call in (c.go, c.sleep, c.status, lambda: c.strcompile(ONE), lambda: c.consume(ignore)):
            refused(call)
        c.setopt("quiet", "1")
        assert c.aggmin() < 0 < c.aggmax()
        assert c.fileno() >= 0
        c.wakeup()
        if rec is not None:
            c.aggwalk(on_row)
        c.aggclear()

    c.consume(on_record)
    assert len(done) == 16
    c.aggwalk(ignore)


def test_drops_and_faults_warn(fake: ModuleType) -> None:
    c = started(fake, "drop 0 12\nfault 1\ndrop 77 1\n" + ONE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        c.consume(ignore)
    assert [(w.category, str(w.message)) for w in caught] == [
        (dtrace.DropWarning, "12 drops on CPU 1"),
        (
            dtrace.FaultWarning,
            "error on enabled probe ID 1: invalid address (0x10) in action #1",
        ),
        (dtrace.DropWarning, "1 drops on CPU 1"),
    ]
    assert (c.drops, c.faults) == (13, 1)


def test_drops_and_faults_to_handlers(fake: ModuleType) -> None:
    drops: list[dtrace.Drop] = []
    faults: list[dtrace.Fault] = []
    c = started(fake, "drop 1 12\nfault 4", on_drop=drops.append, on_error=faults.append)
    c.consume(ignore)
    assert drops == [("12 drops on CPU 1", 1, dtrace.DropKind.AGGREGATION, 12, 24)]
    assert isinstance(drops[0].kind, dtrace.DropKind)
    assert faults[0].fault == 4 and faults[0].address == 0x10
    assert faults[0].probe["name"] == "ERROR"


def test_a_handlers_exception(fake: ModuleType) -> None:
    def no(event: Any) -> None:
        raise KeyError(event)

    for script in ("drop 1 12", "fault 4"):
        c = started(fake, script + "\n" + ONE, on_drop=no, on_error=no)
        with pytest.raises(KeyError):
            c.consume(pytest.fail)
    c = started(fake, "drop 1 12\n" + ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(dtrace.DropWarning):
            c.consume(pytest.fail)


def test_exit_status(fake: ModuleType) -> None:
    c = started(fake, "probe 1 a:b:c:d\nexit -7")
    assert c.exit_status is None
    assert c.consume(ignore) is True
    assert c.exit_status == -7


# ---- life ---------------------------------------------------------------------------------------


def test_closing(fake: ModuleType) -> None:
    before = handles(fake)
    c = fake.Consumer()
    assert handles(fake) == before + 1
    assert not c.closed
    c.close()
    c.close()
    assert c.closed
    assert handles(fake) == before
    calls = [c.go, c.stop, c.aggclear, c.sleep, c.fileno, c.status, c.wakeup]
    calls += [lambda: c.consume(ignore), lambda: c.aggwalk(ignore), lambda: c.strcompile("")]
    for call in calls:
        with pytest.raises(dtrace.DTraceError, match="closed"):
            call()
    assert c.version() == "Sun D 1.99"


def test_dropping(fake: ModuleType) -> None:
    before = handles(fake)
    for _ in range(100):
        started(fake, ONE)
    assert handles(fake) == before


def test_cycles_are_collected(fake_engine: ModuleType) -> None:
    class Owner:
        def __init__(self) -> None:
            self.consumer = dtrace.DTraceConsumer("fake", on_drop=self.drop)  # type: ignore[arg-type]

        def drop(self, drop: dtrace.Drop) -> None:
            pass

    gc.collect()
    before = handles(fake_engine)
    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None
    assert handles(fake_engine) == before


def test_with(fake_engine: ModuleType) -> None:
    before = handles(fake_engine)
    with pytest.raises(KeyError), dtrace.DTraceConsumer("fake") as c:  # type: ignore[arg-type]
        assert handles(fake_engine) == before + 1
        raise KeyError("inside")
    assert c.closed
    assert "closed" in repr(c)
    assert handles(fake_engine) == before


def test_a_forked_child_leaves_the_consumer_alone(fake: ModuleType) -> None:
    c = started(fake, ONE)
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            c.consume(ignore)
            message = "worked"
        except dtrace.DTraceError as e:
            message = str(e)
        c.close()
        os.write(write_end, message.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert "belongs to another process" in os.read(read_end, 1000).decode()
    os.close(read_end)
    os.close(write_end)
    assert c.consume(ignore) is False


def in_child(body: Callable[[], str]) -> str:
    """What body gives, run in a forked child."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            said = body()
        except BaseException as e:
            said = f"{type(e).__name__}: {e}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as out:
        said = out.read()
    os.waitpid(pid, 0)
    return said


def test_a_forked_child_lets_go_of_every_consumer(fake: ModuleType) -> None:
    library = ctypes.CDLL(fake.__file__)
    before = library.fake_forked_handles()
    kept = [started(fake, ONE) for _ in range(3)]
    closed = started(fake, ONE)
    closed.close()

    def child() -> str:
        fake.Consumer()  # one of its own
        inner = in_child(lambda: str(library.fake_forked_handles() - before))
        return f"{library.fake_forked_handles() - before} {inner}"

    assert in_child(child) == "3 3"
    assert library.fake_forked_handles() == before
    assert all(c.consume(ignore) is False for c in kept)


def test_a_fork_inside_a_callback(fake: ModuleType) -> None:
    c = started(fake, MANY.replace("100000", "3"))
    seen = []
    children = []

    def callback(probe: dict[str, str], rec: Any) -> None:
        seen.append(rec)
        if len(seen) == 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                children.append(os.fork())
            if children == [0]:
                c.close()

    read_end, write_end = os.pipe()
    try:
        c.consume(callback)
        message = "worked"
    except dtrace.DTraceError as e:
        message = str(e)
    if children == [0]:
        os.write(write_end, f"{message} {seen}".encode())
        os._exit(0)
    os.waitpid(children[0], 0)
    os.close(write_end)
    with open(read_end) as out:
        assert "another process" in (said := out.read()) and said.endswith(" [1]")
    assert message == "worked" and seen == [1, None] * 3


def test_no_reference_is_kept_for_forks(fake: ModuleType) -> None:
    code = f"""
import gc, importlib.util, os, sys, weakref
spec = importlib.util.spec_from_file_location("dtrace._fake", {fake.__file__!r})
m = importlib.util.module_from_spec(spec)
spec.loader.exec_module(m)
gone = weakref.ref(m)
del m
gc.collect()
assert gone() is None
if os.fork() == 0:
    os._exit(0)
assert os.wait()[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- text to a file -----------------------------------------------------------------------------

PRINTF = "probe 5 a:b:c:d 3\nprintf hello \nint 4 1\n"


def test_write(fake: ModuleType, classic: ModuleType, tmp_path: Path) -> None:
    for module in (fake, classic):
        path = tmp_path / module.__name__
        with open(path, "w") as out:
            out.write("before\n")
            assert started(module, PRINTF).write(out) is False
            out.write("after\n")
            out.flush()
            c = module.Consumer()
            c.setopt("quiet")
            c.strcompile(PRINTF + "exit 3")
            c.go()
            assert c.write(out.fileno()) is True
            assert c.exit_status == 3
            with pytest.raises(dtrace.DTraceError, match="closed"):
                c.close()
                c.write(out)
        assert path.read_text() == "before\n" + "hello \n" * 3 + "after\n" + "hello " * 3


def test_write_to_what_is_no_file(fake: ModuleType, tmp_path: Path) -> None:
    c = started(fake, PRINTF)
    for nonsense in (None, "path", object(), 1.5):
        with pytest.raises((TypeError, AttributeError)):
            c.write(nonsense)
    with open(tmp_path / "f", "w") as out:
        out.close()
        with pytest.raises(ValueError, match="closed"):
            c.write(out)
    with pytest.raises(OSError):
        c.write(987654)
    assert c.write(os.open(tmp_path / "f", os.O_WRONLY)) is False
    assert (tmp_path / "f").read_text() == "hello \n" * 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_write_to_what_is_full(fake: ModuleType) -> None:
    for script in (PRINTF, PRINTF.replace(" 3", " 100000")):
        with open("/dev/full", "w") as out, pytest.raises(OSError) as e:
            started(fake, script).write(out)
        assert e.value.errno == errno.ENOSPC


def test_write_to_a_slow_reader(fake: ModuleType) -> None:
    """A pipe that does not block is waited for; signals are handled meanwhile."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a stream of the C library's own")
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    got = bytearray()

    def reader() -> None:
        while not signals:
            time.sleep(0.01)
        while data := os.read(read_end, 1 << 16):
            got.extend(data)

    signals: list[int] = []
    thread = threading.Thread(target=reader)
    thread.start()
    before = signal.signal(signal.SIGALRM, lambda number, frame: signals.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started(fake, PRINTF.replace(" 3", " 100000")).write(write_end)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)
        os.close(write_end)
    thread.join()
    os.close(read_end)
    assert got == b"hello \n" * 100000
    assert signals == [signal.SIGALRM]


def test_a_signal_ends_a_blocked_write(fake: ModuleType) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("a stream of the C library's own")
    read_end, write_end = os.pipe()

    def interrupt(number: int, frame: Any) -> None:
        raise KeyError("interrupted")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyError, match="interrupted"):
            started(fake, PRINTF.replace(" 3", " 100000")).write(write_end)
    finally:
        signal.signal(signal.SIGALRM, before)
        os.close(write_end)
        os.close(read_end)


def test_drops_and_exceptions_while_writing(fake: ModuleType, tmp_path: Path) -> None:
    drops: list[Any] = []
    script = "probe 5 a:b:c:d\nprintf one\ndrop 0 7\nprobe 5 a:b:c:d\nprintf two\n"
    with open(tmp_path / "f", "w") as out:
        started(fake, script, on_drop=drops.append).write(out)
        assert [d.drops for d in drops] == [7]

        def fail(drop: Any) -> None:
            raise KeyError("in on_drop")

        with pytest.raises(KeyError, match="in on_drop"):
            started(fake, script, on_drop=fail).write(out)
        with pytest.raises(dtrace.DTraceError, match="odd"):
            started(fake, "fail work 5 odd").write(out)
    assert (tmp_path / "f").read_text() == "one\ntwo\none\n"


def test_a_fork_while_writing(fake: ModuleType, tmp_path: Path) -> None:
    """What the child has a copy of is written once."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a stream of the C library's own")
    script = "probe 5 a:b:c:d\nprintf one\ndrop 0 7\nprobe 5 a:b:c:d\nprintf two\n"
    me = os.getpid()

    def fork(drop: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            os.waitpid(pid, 0)

    with open(tmp_path / "f", "w") as out:
        try:
            started(fake, script, on_drop=fork).write(out)
        finally:
            if os.getpid() != me:
                os._exit(0)
    assert (tmp_path / "f").read_text() == "one\ntwo\n"


def test_shutdown_with_open_consumers(fake: ModuleType) -> None:
    code = f"""
import importlib.util, sys, threading
spec = importlib.util.spec_from_file_location("dtrace._fake", {fake.__file__!r})
m = importlib.util.module_from_spec(spec)
spec.loader.exec_module(m)
c = m.Consumer()
c.strcompile("due 10000")
c.go()
d = m.Consumer()
sys.kept = [d, c.consume]
threading.Thread(target=c.sleep, daemon=True).start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# ---- threads ------------------------------------------------------------------------------------


def test_the_gil_is_released(fake: ModuleType) -> None:
    c = started(fake, "block 300\n" + ONE)
    ticks = 0
    thread = threading.Thread(target=c.consume, args=(ignore,))
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0.001)
    assert ticks > 3  # not one before and one after; some 200 on a machine with time for us


def test_two_threads_take_turns(fake: ModuleType) -> None:
    c = started(fake, "block 100\n" + ONE)
    start = time.monotonic()
    threads = [threading.Thread(target=c.consume, args=(ignore,)) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert time.monotonic() - start >= 0.3


def test_others_run_while_builtins_are_called(fake: ModuleType) -> None:
    """A callback without bytecode gives the interpreter no occasion to switch threads."""
    c = started(fake, "probe 5 a:b:c:d 5000000\nint 4 1\n")
    thread = threading.Thread(target=c.consume, args=(operator.is_,))
    thread.start()
    ticks = 0
    while thread.is_alive():
        ticks += 1
        time.sleep(0.001)
    assert ticks > 10


def test_many_threads(fake: ModuleType) -> None:
    c = started(fake, MANY + ROW)
    failures: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for _ in range(50):
                if n % 4 == 0:
                    c.consume(ignore)
                elif n % 4 == 1:
                    c.aggwalk(ignore)
                elif n % 4 == 2:
                    c.setopt("quiet", "1")
                else:
                    c.status()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_close_while_others_work(fake: ModuleType) -> None:
    before = handles(fake)
    c = started(fake, "block 5\n" + ONE)
    surprises: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                c.consume(ignore)
        except dtrace.DTraceError as e:
            if "closed" not in str(e):
                surprises.append(e)
        except BaseException as e:
            surprises.append(e)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(0.05)
    c.close()
    for t in threads:
        t.join(20)
    assert not any(t.is_alive() for t in threads)
    assert surprises == []
    assert handles(fake) == before


# ---- sleep --------------------------------------------------------------------------------------


def timed(call: Any, *args: Any) -> tuple[Any, float]:
    start = time.monotonic()
    result = call(*args)
    return result, time.monotonic() - start


def test_sleep_until_due(fake: ModuleType) -> None:
    c = started(fake, "due 100")
    result, took = timed(c.sleep)
    assert result is True and 0.09 < took < 2
    result, took = timed(c.sleep, 10)
    assert result is True and 0.09 < took < 2


def test_sleep_until_timeout(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    result, took = timed(c.sleep, 0.05)
    assert result is False and 0.04 < took < 2
    result, took = timed(c.sleep, 0)
    assert result is False and took < 0.5
    assert timed(c.sleep, 0.3)[0] is False


def test_sleep_before_go(fake: ModuleType) -> None:
    with pytest.raises(dtrace.DTraceError, match="before go"):
        fake.Consumer().sleep(1)
    with pytest.raises(dtrace.DTraceError, match="before go"):
        fake.Consumer().fileno()


def test_sleep_wakes_up(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    timer = threading.Timer(0.1, c.wakeup)
    timer.start()
    result, took = timed(c.sleep)
    assert result is True and took < 5
    timer.join()
    c.consume(ignore)
    assert select.select([c.fileno()], [], [], 0)[0] == []
    c.wakeup()
    assert select.select([c.fileno()], [], [], 0)[0] == [c.fileno()]


def test_others_use_the_consumer_while_one_sleeps(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    sleeper = threading.Thread(target=c.sleep, args=(30,))
    sleeper.start()
    time.sleep(0.05)
    _, took = timed(c.setopt, "quiet", "1")
    assert took < 5
    c.stop()
    c.wakeup()
    sleeper.join(10)
    assert not sleeper.is_alive()


def test_close_ends_a_sleep(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    outcome: list[Any] = []

    def nap() -> None:
        try:
            outcome.append(c.sleep())
        except dtrace.DTraceError as e:
            outcome.append(str(e))

    sleeper = threading.Thread(target=nap)
    sleeper.start()
    time.sleep(0.05)
    c.close()
    sleeper.join(10)
    assert outcome in ([True], ["the consumer is closed"])


def test_sleep_leaves_no_descriptor(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        c.sleep(0.001)
    assert len(os.listdir("/proc/self/fd")) == before


class Alarm(Exception):
    pass


@pytest.mark.parametrize("flavour", ["fake", "classic"])
def test_signals_end_a_sleep(flavour: str, request: pytest.FixtureRequest) -> None:
    def ring(*args: Any) -> None:
        raise Alarm

    c = started(request.getfixturevalue(flavour), "due 1000")
    old = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.monotonic()
        with pytest.raises(Alarm):
            c.sleep(30)
        assert time.monotonic() - start < 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    c.stop()


def test_keyboard_interrupt_in_sleep(fake: ModuleType) -> None:
    c = started(fake, "due 60000")
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        c.sleep()
    timer.join()
    assert c.consume(ignore) is False


def test_signals_end_a_wait_for_the_lock(fake: ModuleType) -> None:
    c = started(fake, "block 1500")
    worker = threading.Thread(target=c.consume, args=(ignore,))
    worker.start()
    time.sleep(0.05)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        c.consume(ignore)
    assert worker.is_alive()
    worker.join()
    timer.join()
