# SPDX-License-Identifier: Apache-2.0
"""The consumers for programs written for python-dtrace."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dtrace import CompileError, DTraceError
from dtrace.compat import (
    AGGREGATION,
    DTraceConsumer,
    DTraceConsumerThread,
    DTraceContinuousConsumer,
)

pytestmark = pytest.mark.kernel

HELLO = 'BEGIN { trace("Hello World"); exit(0) }'


class Heard:
    """Callbacks that remember."""

    def __init__(self) -> None:
        self.cpus: list[int] = []
        self.records: list[int | None] = []
        self.texts: list[str] = []
        self.rows: list[tuple[int, int, list[Any], Any]] = []

    def walk(self, action: int, identifier: int, keys: list[Any], value: Any) -> None:
        self.rows.append((action, identifier, keys, value))

    @property
    def functions(self) -> dict[str, Any]:
        return {
            "walk_func": self.walk,
            "out_func": self.texts.append,
            "chew_func": self.cpus.append,
            "chewrec_func": self.records.append,
        }


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_run(heard: Heard) -> None:
    DTraceConsumer(**heard.functions).run(HELLO, runtime=10)
    assert heard.texts == ["Hello World"]
    assert len(heard.cpus) == 1 and heard.cpus[0] >= 0
    assert heard.records == [1, None]


def test_run_for_some_time(heard: Heard) -> None:
    start = time.monotonic()
    DTraceConsumer(**heard.functions).run("tick-5ms { @n = count() }", runtime=0.2)
    assert 0.2 <= time.monotonic() - start < 10
    ((action, identifier, keys, value),) = heard.rows
    assert (action, identifier, keys) == (AGGREGATION + 1, 1, []) and value > 1


def test_values(heard: Heard) -> None:
    DTraceConsumer(**heard.functions).run(
        """
        BEGIN
        {
            printf("%d and %s\\n", 5, "text"); trace(7); @a["x", 2] = sum(3); @q = quantize(4);
            exit(0);
        }
        """
    )
    assert heard.texts == ["5 and text\n"]
    assert heard.rows == [(0x705, 1, ["x", 2], 3), (0x707, 2, [], [((4, 7), 1)])]


def test_a_wrong_program() -> None:
    with pytest.raises(CompileError):
        DTraceConsumer().run("this is not D")
    with pytest.raises(CompileError):
        DTraceContinuousConsumer("this is not D")
    with pytest.raises(CompileError):
        DTraceConsumerThread("this is not D")


def test_printing_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    DTraceConsumer().run('BEGIN { trace("Hello World"); @n["k"] = count(); exit(0) }')
    assert capsys.readouterr().out.splitlines() == ["Output: Hello World", "1 > ['k'] 1"]


def test_without_callbacks() -> None:
    DTraceConsumer(None, None).run(HELLO)


def test_continuous(heard: Heard) -> None:
    with DTraceContinuousConsumer(
        "BEGIN { trace(1) } tick-5ms { @n = count() } END { trace(2) }", **heard.functions
    ) as consumer:
        with pytest.raises(DTraceError, match="not been started"):
            consumer.snapshot()
        consumer.go()
        while not heard.rows or heard.rows[-1][3] <= heard.rows[0][3]:
            time.sleep(0.01)
            assert not consumer.snapshot()
        assert heard.texts == ["1"] and heard.rows[-1][3] > 1
        consumer.stop()
        assert consumer.snapshot()
        assert heard.texts == ["1", "2"] and heard.rows[-1][3] >= heard.rows[-2][3]


def test_thread(heard: Heard) -> None:
    thread = DTraceConsumerThread("BEGIN { trace(1) } tick-5ms { @n = count() }", **heard.functions)
    thread.start()
    end = time.monotonic() + 10
    while not heard.texts and time.monotonic() < end:
        time.sleep(0.01)
    assert heard.texts == ["1"] and not thread.stopped
    thread.stop()
    thread.join()
    assert thread.stopped and not thread.is_alive()
    assert len(heard.rows) == 1


def test_thread_that_tells_at_the_end(heard: Heard) -> None:
    thread = DTraceConsumerThread(HELLO, consume=False, sleep=0.01, **heard.functions)
    thread.start()
    thread.join()
    assert heard.texts == ["Hello World"]


def test_an_exception_in_a_thread() -> None:
    def fail(text: str) -> None:
        raise LookupError("no text, please")

    thread = DTraceConsumerThread(HELLO, out_func=fail)
    thread.start()
    with pytest.raises(LookupError, match="no text"):
        thread.join()
    thread.join()
