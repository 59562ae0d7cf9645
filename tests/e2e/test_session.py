# SPDX-License-Identifier: Apache-2.0
"""Sessions on the running kernel: events, tables, aggregations, targets, ways to wait and to end."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE

import dtrace
from dtrace import Session

pytestmark = pytest.mark.kernel

# Nothing else in this process reads so little at a time.
READ = "syscall::read:entry /pid == $target && arg2 < 1000/ { trace(execname); trace(arg2); }"


def own_name() -> str:
    return Path("/proc/thread-self/comm").read_text().rstrip("\n")


@pytest.fixture
def session() -> Iterator[Callable[..., Session]]:
    opened: list[Session] = []

    def start(program: str, **keywords: Any) -> Session:
        opened.append(dtrace.trace(program, engine="embedded", **keywords))
        return opened[-1]

    yield start
    for s in opened:
        s.close()


Start = Callable[..., Session]


def read_zeros(*sizes: int) -> None:
    with open("/dev/zero", "rb", buffering=0) as f:
        for size in sizes:
            os.read(f.fileno(), size)


# ---- events --------------------------------------------------------------------------------------


def test_events_have_names(session: Start) -> None:
    before = time.monotonic_ns()
    s = session(READ, target=dtrace.CURRENT)
    read_zeros(11, 22)
    events = s.poll()
    assert [e.arg2 for e in events] == [11, 22]
    first = events[0]
    assert first.execname == own_name() and first.values == (own_name(), 11)
    assert first.probe == ("syscall", "vmlinux", "read", "entry")
    assert first.fields == ("execname", "arg2") and first.clause == 1
    assert first.description == "syscall::read:entry" and first.line == 1
    assert before < first.timestamp < events[1].timestamp < time.monotonic_ns()
    assert 0 <= first.cpu < (os.cpu_count() or 1)
    assert s.poll() == []


def test_data_of_all_kinds(session: Start) -> None:
    s = session(
        """
        syscall::read:entry /pid == $target && arg2 == 77/
        {
            self->size = arg2;
            trace(self->size); trace((char)-1); trace(probefunc); trace((uint8_t)200);
            printf("%d bytes by %s\\n", arg2, execname);
            stack(2); ustack(3); usym(ucaller); tracemem(curthread, 8);
            trace(timestamp); trace(arg2 > 5 ? "large" : "small");
        }
        """,
        target=dtrace.CURRENT,
    )
    read_zeros(77)
    (e,) = s.poll()
    assert e.self_size == 77 and e.char_1 == -1 and e.probefunc == "read" and e.uint8_t_200 == 200
    assert e.text == f"77 bytes by {own_name()}\n"
    assert e.arg2 == 77 and e.execname == own_name()
    assert isinstance(e.stack, tuple) and isinstance(e.ustack[0], str)
    assert e["timestamp"] == e.timestamp_ > 0
    assert e.values[-1] == "large"


def test_iterating_ends_with_the_program(session: Start) -> None:
    s = session("BEGIN { trace(1) } tick-10ms { trace(++n) } tick-10ms /n == 3/ { exit(7) }")
    assert [e.values[0] for e in s if e.values] == [1, 1, 2, 3]
    assert s.done and s.exit_status == 7
    assert list(s) == []


def test_end_comes_last(session: Start) -> None:
    s = session("BEGIN { trace(1) } END { trace(2) }")
    s.stop()
    assert [e.probe.name for e in s] == ["BEGIN", "END"]


def test_timeout_of_the_session(session: Start) -> None:
    s = session("tick-5ms { trace(1) } END { trace(2) }", timeout=0.1)
    events = list(s)
    assert events and events[-1].probe.name == "END" and s.done


def test_timeout_of_the_iteration(session: Start) -> None:
    s = session("BEGIN { trace(1) }")
    start = time.monotonic()
    assert len(list(s.events(0.05))) == 1
    assert 0.04 < time.monotonic() - start < PATIENCE
    assert not s.done
    assert list(s.events(timeout=0)) == []


def test_stopped_by_another_thread(session: Start) -> None:
    s = session("BEGIN { trace(1) } END { trace(2) }", switchrate="1h")
    timer = threading.Timer(0.05, s.stop)
    timer.start()
    assert [e.probe.name for e in s] == ["BEGIN", "END"]
    timer.join()


def test_a_signal_while_waiting(session: Start) -> None:
    s = session("BEGIN { trace(1) }", switchrate="1h")
    s.poll()
    threading.Timer(
        0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)
    ).start()
    with pytest.raises(KeyboardInterrupt):
        for _ in s:
            pass
    s.stop()
    assert list(s) == []


def test_several_readers_share_the_events(session: Start) -> None:
    s = session("int n; tick-1ms /n < 200/ { trace(n++) } tick-1ms /n == 200/ { exit(0) }")
    found: list[int] = []

    def reader() -> None:
        found.extend(e.values[0] for e in s if e.values)

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert sorted(found) == list(range(200))


def test_wait_keeps_the_events(session: Start) -> None:
    s = session("BEGIN { trace(1); exit(0) }")
    assert s.wait(PATIENCE)
    assert [e.values for e in s.poll()] == [(1,)]
    t = session("BEGIN { trace(1) }")
    assert not t.wait(0.02)


def test_run() -> None:
    events, aggregations = dtrace.run("BEGIN { trace(5); @n = sum(3); exit(0) }", engine="embedded")
    assert [e.values for e in events] == [(5,)] and aggregations["n"].value == 3


# ---- asyncio ---------------------------------------------------------------------------------------


def test_async_for(session: Start) -> None:
    """Others run meanwhile: without them there would be nothing to see, and no end."""

    async def main() -> list[int]:
        async def other() -> None:
            while True:
                await asyncio.sleep(0.01)
                os.getppid()

        s = session(
            "syscall::getppid:entry /pid == $target/ { trace(++n) }"
            "syscall::getppid:entry /pid == $target && n == 3/ { exit(0) }",
            target=dtrace.CURRENT,
        )
        task = asyncio.create_task(other())
        async with s:
            found = [e.values[0] async for e in s if e.values]
        task.cancel()
        return found

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == [1, 2, 3]


def test_async_cancelled(session: Start) -> None:
    async def main() -> None:
        s = session("BEGIN { trace(1) }", switchrate="1h")

        async def read() -> None:
            async for _ in s:
                pass

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 0.05)
        s.stop()
        assert [e async for e in s] == []
        assert [e async for e in s.aevents(0.01)] == []

    asyncio.run(main())


def test_async_timeouts(session: Start) -> None:
    async def main() -> None:
        async with session("tick-5ms { trace(1) } END { trace(2) }", timeout=0.1) as s:
            assert [e async for e in s][-1].probe.name == "END"
        t = session("BEGIN { trace(1) }")
        assert len([e async for e in t.aevents(0.05)]) == 1

    asyncio.run(main())


def test_fileno(session: Start) -> None:
    s = session("BEGIN { trace(1) }", switchrate="1h")
    s.poll()
    assert select.select([s.fileno()], [], [], 0)[0] == []
    threading.Timer(0.05, s.stop).start()
    assert select.select([s], [], [], PATIENCE)[0] == [s]


# ---- tables ------------------------------------------------------------------------------------------


def test_read(session: Start) -> None:
    s = session(READ + "BEGIN { trace(3) }", target=dtrace.CURRENT)
    read_zeros(11, 22, 33)
    tables = s.poll_tables()
    table = tables.find("syscall::read:entry")
    assert table is tables[1] and table.fields == ("execname", "arg2")
    assert table["arg2"].tolist() == [11, 22, 33]
    assert table["function"].tolist() == ["read"] * 3
    assert memoryview(table["timestamp"])[0] > 0  # type: ignore[arg-type]
    assert tables[2]["_3"].tolist() == [3]
    read_zeros(44)
    s.stop()
    assert s.read().only["arg2"].tolist() == [44] and s.done
    assert len(s.read()) == 0


def test_read_until_the_end(session: Start) -> None:
    s = session("tick-2ms { trace(n++) } tick-2ms /n == 50/ { exit(0) }")
    table = s.read(PATIENCE).only
    assert table["n"].tolist() == list(range(50))


def test_reading_both_ways(session: Start) -> None:
    s = session(READ, target=dtrace.CURRENT)
    read_zeros(1, 2)
    assert [e.arg2 for e in s.poll()] == [1, 2]
    read_zeros(3)
    assert s.poll_tables().only["arg2"].tolist() == [3]
    read_zeros(4)
    assert [e.arg2 for e in s.poll()] == [4]


def test_library_actions_happen_anyway(session: Start) -> None:
    s = session(
        'BEGIN { @a["x"] = count(); @b = count(); trunc(@a); clear(@b); printa(@b); trace(1); exit(0) }'
    )
    table = s.read().only
    assert len(table) == 1
    assert len(s["a"]) == 0 and s["b"].value == 0


# ---- aggregations --------------------------------------------------------------------------------------


def test_aggregations(session: Start) -> None:
    s = session(
        """
        syscall::read:entry /pid == $target && arg2 < 1000/
        {
            @calls[execname, probefunc] = count(); @ = sum(arg2); @avg = avg(arg2);
            @dev = stddev(arg2); @least = min(arg2); @most[arg2 > 15] = max(arg2);
            @sizes = quantize(arg2); @linear[pid] = lquantize(arg2, 0, 100, 10);
        }
        """,
        target=dtrace.CURRENT,
    )
    assert s["calls"] == {} and s["sizes"].value.total == 0 and s[""].value == 0
    read_zeros(10, 20, 30)
    snap = s.aggregations
    assert list(snap) == ["calls", "", "avg", "dev", "least", "most", "sizes", "linear"]
    assert snap["calls"] == {(own_name(), "read"): 3}
    assert snap["calls"].fields == ("execname", "probefunc")
    assert snap[""].value == 60 and snap["avg"].value == 20.0
    assert snap["dev"].value == pytest.approx(8.16496580927726)
    assert snap["least"].value == 10 and snap["most"] == {(0,): 10, (1,): 30}
    assert list(snap["sizes"].value) == [((8, 15), 1), ((16, 31), 2)]
    linear = snap["linear"][os.getpid()]
    assert list(linear) == [((10, 19), 1), ((20, 29), 1), ((30, 39), 1)]
    read_zeros(40)
    later = s.snapshot()
    assert (later[""] - snap[""]).value == 40
    assert (later["calls"] - snap["calls"]) == {(own_name(), "read"): 1}
    assert snap["calls"] + snap["calls"] == {(own_name(), "read"): 6}


def test_the_same_picture_as_the_library_draws(session: Start) -> None:
    numbers = "".join(
        f"@q = quantize({n}); @l = lquantize({n}, 0, 50, 10); @g = llquantize({n}, 10, 0, 2, 10);"
        for n in (1, 2, 2, 30, 30, 30, 900, 5000)
    )
    s = session(f"BEGIN {{ {numbers} printa(@q); printa(@l); printa(@g); exit(0) }}")
    (event,) = s
    drawn = [line.rstrip() for line in event.text.split("\n") if line.strip()]
    mine = "\n".join(str(s[name].value) for name in "qlg")
    assert [line.rstrip() for line in mine.split("\n")] == drawn


def test_snapshots_that_clear(session: Start) -> None:
    s = session(
        READ.replace("trace(execname); trace(arg2);", "@[arg2] = count();"), target=dtrace.CURRENT
    )
    read_zeros(1, 2)
    assert s.snapshot(clear=True).only == {(1,): 1, (2,): 1}
    read_zeros(2)
    assert s.snapshot(clear=True).only == {(2,): 1}
    assert s.snapshot().only == {}


def test_snapshots_over_time(session: Start) -> None:
    s = session(
        "tick-5ms { @n = count() } syscall::getppid:entry /pid == $target/ { exit(0) }",
        target=dtrace.CURRENT,
    )
    totals = []
    for snap in s.snapshots(0.02):
        totals.append(snap["n"].value)
        if len(totals) > 2 and totals[-1] > 3:
            os.getppid()
    assert s.done and totals == sorted(totals) and totals[-1] > totals[0]


def test_normalized(session: Start) -> None:
    s = session("BEGIN { @a = sum(1001); @q = quantize(5); normalize(@a, 10); exit(0) }")
    s.wait()
    assert s["a"].value == 100 and s["a"].states == {(): 1001} and s["a"].normal(()) == 10


# ---- targets ---------------------------------------------------------------------------------------------


def test_a_command(session: Start) -> None:
    s = session(
        "syscall::exit_group:entry /pid == $target/ { trace(arg0) } BEGIN { @first = count() }",
        target=[sys.executable, "-c", "raise SystemExit(5)"],
    )
    assert s.target and s.target != os.getpid()
    assert [e.arg0 for e in s] == [5]
    assert s.returncode == 5 and s.done


def test_a_command_misses_nothing(session: Start, tmp_path: Path) -> None:
    mark = tmp_path / "a file"
    s = session(
        """
        syscall::openat:entry /pid == $target/ { self->name = arg1 }
        syscall::openat:return /self->name/ { trace(copyinstr(self->name)) }
        """,
        target=f"cat '{mark}'",
    )
    assert s.returncode is None
    names = [e.values[0] for e in s]
    assert str(mark) in names and any("ld.so" in n or "libc.so" in n for n in names)
    assert s.returncode == 1


def test_a_command_ends_with_the_session() -> None:
    s = dtrace.trace("BEGIN { trace($target) }", target=["sleep", "1000"], engine="embedded")
    assert s.poll()[0].values == (s.target,)
    pid = s.target
    assert pid is not None
    s.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process(session: Start) -> None:
    child = subprocess.Popen(["sleep", "0.1"])
    s = session("BEGIN { trace($target) }", target=child.pid)
    assert s.target == child.pid
    child.wait()
    assert [e.values for e in s] == [(child.pid,)]
    assert s.done


def test_targets_that_are_none() -> None:
    with pytest.raises(dtrace.DTraceError, match="no-such-command"):
        Session("BEGIN {}", target="/no-such-command --help")
    with pytest.raises(ValueError, match="empty"):
        Session("BEGIN {}", target="")
    with pytest.raises(ValueError, match="positive"):
        Session("BEGIN {}", target=-1)
    with pytest.raises(TypeError, match="a target is"):
        Session("BEGIN {}", target=1.5)  # type: ignore[arg-type]
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(dtrace.DTraceError, match="grab"):
        Session("BEGIN {}", target=child.pid)
    assert Session("BEGIN {}").target is None


# ---- set-up --------------------------------------------------------------------------------------------------


def test_options_and_arguments(session: Start) -> None:
    s = session("BEGIN { trace($1); trace($$2); trace($pid) } ", args=[42, "some text"], strsize=16)
    (e,) = s.poll()
    assert e.values == (42, "some text", os.getpid())
    with pytest.raises(dtrace.DTraceError, match="option"):
        Session("BEGIN {}", no_such_option=1)


def test_libraries(session: Start, tmp_path: Path) -> None:
    (tmp_path / "b.d").write_text("inline int twice_answer = answer * 2;\n")
    (tmp_path / "a.d").write_text("inline int answer = 42;\n")
    (tmp_path / "not a library").write_text("nonsense")
    s = session("BEGIN { trace(twice_answer) }", libdirs=[tmp_path])
    assert s.poll()[0].values == (84,)
    s = session("BEGIN { trace(answer) }", libs=[str(tmp_path / "a.d")])
    assert s.poll()[0].values == (42,)
    (tmp_path / "c.d").write_text("inline int wrong = ;\n")
    with pytest.raises(dtrace.CompileError, match=r"D library .*c\.d"):
        Session("BEGIN {}", libdirs=[tmp_path])
    with pytest.raises(FileNotFoundError):
        Session("BEGIN {}", libdirs=[tmp_path / "nowhere"])
    with pytest.raises(dtrace.CompileError, match="empty"):
        Session("", libs=[tmp_path / "a.d"])


def test_mistakes_in_the_program() -> None:
    with pytest.raises(dtrace.CompileError) as e:
        Session("BEGIN\n{ trace(nonsense); }")
    assert e.value.line == 2 and e.value.column and "^" in e.value.text


# ---- drops, faults, misuse --------------------------------------------------------------------------------------


def test_faults(session: Start) -> None:
    faults: list[dtrace.Fault] = []
    s = session("BEGIN { trace(*(int *)0) } BEGIN { trace(1); exit(0) }", on_fault=faults.append)
    assert [e.values for e in s] == [(1,)]
    assert len(faults) == s.faults == 1 and faults[0].probe["name"] == "BEGIN"
    t = session("BEGIN { trace(*(int *)0); exit(0) } BEGIN { exit(0) }")
    with pytest.warns(dtrace.FaultWarning):
        t.wait(PATIENCE)


def test_drops(session: Start) -> None:
    drops: list[dtrace.Drop] = []
    s = session(READ, target=dtrace.CURRENT, bufsize="4k", on_drop=drops.append, statusrate="1ms")
    read_zeros(*[1] * 3000)
    s.stop()
    taken = len(list(s))
    assert drops and s.drops == 3000 - taken


def test_order_of_use(session: Start) -> None:
    s = Session("BEGIN { exit(0) }")
    for use in (s.poll, s.events, s.read, s.poll_tables, s.wait):
        with pytest.raises(dtrace.DTraceError, match="not been started"):
            use()
    with s:
        assert s.wait(PATIENCE)
    assert s.closed and "closed" in repr(s)
    s.close()
    for use in (s.snapshot, s.stop):
        with pytest.raises(dtrace.DTraceError, match="closed"):
            use()
    with pytest.raises(ValueError, match="negative"):
        Session("BEGIN {}", timeout=-1)


def test_a_forgotten_session() -> None:
    with pytest.warns(ResourceWarning, match="not closed"):
        dtrace.trace("BEGIN {}", engine="embedded")
        gc.collect()


def test_in_a_forked_child(session: Start) -> None:
    s = session("BEGIN { trace(1) } END { trace(2) }")
    pid = os.fork()
    if pid == 0:
        try:
            s.poll()
        except dtrace.DTraceError as e:
            os._exit(3 if "another process" in str(e) else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    s.stop()
    assert [e.values for e in s] == [(1,), (2,)]
