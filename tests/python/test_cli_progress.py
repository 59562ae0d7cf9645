# SPDX-License-Identifier: Apache-2.0
"""The line that says what takes so long."""

from __future__ import annotations

import contextlib
import os
import time

import pytest

from dtrace.cli import progress


@pytest.fixture
def pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    os.close(read)
    os.close(write)


def test_what_is_quick_says_nothing(pipe: tuple[int, int]) -> None:
    with progress.Progress("starting", pipe[1]):
        pass
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 100)


def test_what_takes_long_says_so_and_cleans_up(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setattr(progress, "PACE", 0.01)
    said = b""
    with progress.Progress("starting", pipe[1]):
        while said.count(b"\r") < 2:
            time.sleep(0.01)
            with contextlib.suppress(BlockingIOError):
                said += os.read(pipe[0], 65536)
    said += os.read(pipe[0], 65536)
    assert said.startswith(b"\rstarting ... 0 s\x1b[K\rstarting ... ")
    assert said.endswith(b"\x1b[K\r\x1b[K")


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.01)
    with progress.Progress("starting", -1):
        time.sleep(0.1)
