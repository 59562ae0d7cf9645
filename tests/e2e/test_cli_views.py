# SPDX-License-Identifier: Apache-2.0
"""The command line's other outputs: JSON, stacks, heat maps, live tables."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from commandline import PATIENCE, Running, pydtrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from conftest import Workload

pytestmark = pytest.mark.kernel


def lines(*args: str, **more: Any) -> list[dict[str, Any]]:
    done = pydtrace("--format", "json", *args, **more)
    return [json.loads(line) for line in done.out.splitlines()]


# ---- JSON -----------------------------------------------------------------------------------------


def test_a_record_in_json() -> None:
    program = r"""
    BEGIN
    {
        trace(-1); trace((char)-2); trace((unsigned int)4294967295); trace(18446744073709551615ull);
        trace("q\"\\\n\t"); printf("%d-%s", 3, "x"); tracemem(curthread, 4);
        exit(5);
    }
    """
    begin = time.monotonic_ns()
    record, end = lines("-n", program)
    assert begin < record.pop("timestamp") < time.monotonic_ns()
    assert isinstance(record.pop("cpu"), int)
    data = record.pop("data")
    assert data[:-1] == [-1, -2, 4294967295, 18446744073709551615, 'q"\\\n\t', "3-x"]
    assert re.fullmatch("[0-9a-f]{8}", data[-1]["bytes"])
    probe = {"provider": "dtrace", "module": "", "function": "", "name": "BEGIN"}
    assert record == {"type": "record", "id": 1, "probe": probe}
    assert end == {"type": "end", "status": 5, "signal": None}


def test_a_stack_in_json() -> None:
    data = lines("-n", "BEGIN { stack(2); exit(0); }")[0]["data"]
    assert len(data[0]) == 2 and all(isinstance(frame, str) for frame in data[0])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", '"\u00e9\u20ac\U0001f600"'),
        (b"\xff\xc3", r'"\ufffd\ufffd"'),
        (b"\xed\xa0\x80", r'"\ufffd\ufffd\ufffd"'),
        (b"\xc0\xaf\xe0\x80\x80", r'"\ufffd\ufffd\ufffd\ufffd\ufffd"'),
        (b"\xf4\x90\x80\x80", r'"\ufffd\ufffd\ufffd\ufffd"'),
        (b"\x1b[2J\x07\x7f\xc2\x9b", r'"\u001b[2J\u0007\u007f\u009b"'),
    ],
)
def test_strings_of_any_bytes_are_json(text: bytes, wanted: str) -> None:
    escaped = "".join(f"\\{byte:03o}" for byte in text)
    out = pydtrace("--format", "json", "-n", f'BEGIN{{trace("{escaped}"); exit(0)}}').out
    assert f'"data":[{wanted}]' in out
    assert json.loads(out.splitlines()[0])["data"] == [json.loads(wanted)]


def test_aggregations_in_json() -> None:
    program = (
        'BEGIN { @["k", 1] = sum(-2); @a = avg(3); @q = quantize(5); @l = lquantize(7, 0, 10, 5); '
        "@s = stddev(4); exit(0); }"
    )
    found = [x for x in lines("-n", program) if x["type"] == "aggregation"]
    for number, row in enumerate(found, 1):
        assert row.pop("type") == "aggregation" and row.pop("id") == number
    assert found == [
        {"name": "_", "function": "sum", "key": ["k", 1], "value": -2},
        {"name": "a", "function": "avg", "key": [], "value": 3.0},
        {
            "name": "q",
            "function": "quantize",
            "key": [],
            "value": [{"low": 4, "high": 7, "count": 1}],
        },
        {
            "name": "l",
            "function": "lquantize",
            "key": [],
            "value": [{"low": 5, "high": 9, "count": 1}],
        },
        {"name": "s", "function": "stddev", "key": [], "value": 0.0},
    ]


def test_printa_in_json_is_one_string() -> None:
    records = lines(
        "-n", 'BEGIN { @["a"] = count(); @["b"] = count(); printa("%s %@d;", @); exit(0); }'
    )
    assert records[0]["data"] == ["a 1;b 1;"]


def test_faults_and_drops_in_json() -> None:
    found = lines("-n", "BEGIN { trace(*(int *)8); } BEGIN { exit(0); }")
    fault = next(x for x in found if x["type"] == "error")
    assert (fault["fault"], fault["address"], fault["action"]) == (1, 8, 1)
    assert fault["probe"]["name"] == "BEGIN" and "invalid address" in fault["message"]
    assert next(x for x in found if x["type"] == "record")["data"] == []


def test_a_process_in_json() -> None:
    found = lines(
        "-c", "sh -c 'exit 3'", "-n", "syscall::exit_group:entry/pid == $target/{trace(pid)}"
    )
    pid = next(x for x in found if x["type"] == "record")["data"][0]
    process = next(x for x in found if x["type"] == "process")
    message = f"pid {pid} exited with status 3"
    assert process == {
        "type": "process",
        "pid": pid,
        "status": 3,
        "signal": None,
        "message": message,
    }


def test_a_signal_in_json() -> None:
    with Running("--format", "json", "-n", "BEGIN") as running:
        running.started()
        running.child.send_signal(signal.SIGTERM)
    assert json.loads(running.out.splitlines()[-1]) == {"type": "end", "status": None, "signal": 15}


def test_probes_in_json() -> None:
    (probe,) = lines("-l", "-n", "syscall::close:entry")
    assert probe.pop("id") > 0
    for key in ("stability", "argument_stability"):
        assert re.fullmatch(r"\w+/\w+/\w+", probe.pop(key))
    assert probe == {
        "type": "probe",
        "provider": "syscall",
        "module": "vmlinux",
        "function": "close",
        "name": "entry",
        "arguments": ["unsigned int"],
    }


def test_features_of_the_kernel() -> None:
    done = pydtrace("--features")
    assert re.search(r"^raw tracepoints +yes  \w", done.out, re.M)
    found = lines("--features")
    assert len(found) == len(done.out.splitlines())
    for row in found:
        assert row.keys() == {"type", "name", "available", "use", "instead", "refusal"}
        assert row["type"] == "feature" and isinstance(row["available"], bool) and row["use"]


# ---- stacks -----------------------------------------------------------------------------------------

NESTED = "syscall::getppid:entry/pid == $target/{@[execname, ustack(3)] = count()}"


def test_folded_stacks(workload: Workload) -> None:
    with Running("--folded", "-p", str(workload.pid), "-n", NESTED) as running:
        running.started()
        workload.do("nested", 3)
        running.child.send_signal(signal.SIGINT)
    stack, weight = running.out.rstrip("\n").rsplit(" ", 1)
    assert stack.startswith("workload;workload`") and stack.count(";") == 3
    assert int(weight) == 3
    assert "+0x" not in stack


def test_a_flame_graph(workload: Workload, tmp_path: Path) -> None:
    svg = tmp_path / "out.svg"
    with Running("--flamegraph", str(svg), "-p", str(workload.pid), "-n", NESTED) as running:
        running.started()
        workload.do("nested", 3)
        running.child.send_signal(signal.SIGINT)
    assert running.out == ""
    titles = [e.text for e in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert "workload (3 samples, 100.00%)" in titles


# ---- heat maps and live tables ----------------------------------------------------------------------


def test_a_heat_map() -> None:
    program = "tick-20hz{@ = quantize(1 << (n++ % 5))}"
    done = pydtrace("--heatmap", "-x", "aggrate=200ms", "--timeout", "1s", "-n", program)
    heading, *rest = done.out.splitlines()
    assert re.fullmatch(r"@        \|0? *1?[ 0-9]*", heading)
    total = 0
    for line in rest:
        if m := re.fullmatch(r"\d\d:\d\d:\d\d \|[ .:\-=+*#%@]*\| (\d+)", line):
            total += int(m[1])
        else:
            assert line.startswith("@        |")
    assert total > 0


def test_tables_without_a_terminal() -> None:
    program = (
        'BEGIN{@a["x\\033[2J", 2] = sum(2000); @a["y", 3] = sum(1000); @q = quantize(5); exit(0)}'
    )
    out = pydtrace("--live", "-n", program).out
    assert out == (
        "@a  sum\n"
        "  x\\x1b[2J  2  2,000  " + "█" * 20 + "\n"
        "  y  3         1,000  " + "█" * 10 + "\n"
        "\n"
        "@q  quantize\n"
        "    4 █ 4\n"
    )


def read_all(fd: int, seconds: float, until: bytes = b"\0") -> bytes:
    """What comes from a terminal in that time, or up to a text."""
    out, end = b"", time.monotonic() + seconds
    while until not in out and (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            try:
                out += os.read(fd, 65536)
            except OSError:  # the other end has gone
                break
    return out


def test_live_tables_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
    program = 'tick-100hz{@[n++ % 50] = count(); printf("said \\033[31m%d\\n", n)}'
    args = ("--live", "-q", "-x", "aggrate=100ms", "-x", "switchrate=50ms", "-n", program)
    with Running(*args, stdout=theirs) as running:
        os.close(theirs)
        drawn = read_all(ours, PATIENCE, b"rows more)")
        running.child.send_signal(signal.SIGINT)
        drawn += read_all(ours, PATIENCE)
    os.close(ours)
    text = drawn.decode()
    assert text.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
    assert "said \\x1b[31m" in text and "\x1b[31m" not in text
    assert "@  count" in text
    screens = text.split("\x1b[H")[1:]
    assert all(screen.count("\n") < 12 for screen in screens[:-1])
    # The terminal is as it was, and what was found last is on it.
    last = text.rpartition("\x1b[?25h\x1b[?1049l")[2]
    assert last.startswith("@  count\r\n")
    assert running.status == 0
