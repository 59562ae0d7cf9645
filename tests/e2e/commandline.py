# SPDX-License-Identifier: Apache-2.0
"""Running the command line, for its tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Emulated kernels are slow.
PATIENCE = 120.0 if os.environ.get("PYDTRACE_GUEST") else 20.0
PYDTRACE = [sys.executable, "-m", "dtrace"]


def environment(**more: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DTRACE_OPT_", "_DTRACE"))}
    return {**env, **more}


class Done:
    """What a run of the command line left."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"<status {self.status}, output {self.out!r}, errors {self.err!r}>"


def pydtrace(*args: str, stdin: str = "", testing: bool = True, **env: str) -> Done:
    """Run it to its end.  testing: without the columns CPU and ID."""
    if testing:
        env["_DTRACE_TESTING"] = "1"
    done = subprocess.run(
        [*PYDTRACE, *args],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=PATIENCE * 3,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Running:
    """A run that goes on."""

    def __init__(self, *args: str, **popen: Any) -> None:
        popen.setdefault("stdout", subprocess.PIPE)
        self.child = subprocess.Popen(
            [*PYDTRACE, *args],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(_DTRACE_TESTING="1"),
            **popen,
        )
        self.out = self.err = ""

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self.child.kill()
        try:
            out, err = self.child.communicate(timeout=PATIENCE)
        finally:
            self.child.kill()
        self.out += out or ""
        self.err += err

    @property
    def status(self) -> int:
        return self.child.wait(PATIENCE)

    def started(self) -> None:
        """It has said how many probes it matched, and has attached them: it waits for what they record."""
        assert self.child.stderr is not None
        self.err += self.child.stderr.readline()
        wait_until(lambda: caught(self.child.pid))
        wait_until(lambda: waiting(self.child.pid) or writing(self.child.pid))


def caught(pid: int) -> bool:
    """Does the process handle signals by itself, as it does from before it attaches up to the first one?"""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGTERM - 1) & 1)


def system_call(pid: int) -> list[int]:
    """The system call that a process sleeps in, and its arguments; -1 when it runs."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return [int(word, 0) for word in words] if words[0] != "running" else [-1]


def waiting(pid: int) -> bool:
    """Does it sleep in poll() or ppoll(), which it does between attaching and the end only?"""
    return system_call(pid)[0] in (7, 271)


def writing(pid: int) -> bool:
    """Does it wait for the reader of what it writes?"""
    return system_call(pid)[0] == 1


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
