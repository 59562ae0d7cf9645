# SPDX-License-Identifier: Apache-2.0
"""A line that says what takes so long, on terminals only."""

from __future__ import annotations

import _thread
import os
from time import monotonic

PATIENCE = 1.0  # seconds before anything is said
PACE = 0.25


class Progress:
    """While the block runs longer than a second, a line with the time it has taken; then it is gone.

    The library works without the GIL, so a thread can tell.
    """

    def __init__(self, what: str, fd: int = 2) -> None:
        self.what = what
        self.fd = fd
        self.over = _thread.allocate_lock()
        self.gone = _thread.allocate_lock()

    def __enter__(self) -> Progress:
        self.over.acquire()
        self.gone.acquire()
        _thread.start_new_thread(self.watch, ())
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.release()
        self.gone.acquire()

    def watch(self) -> None:
        start = monotonic()
        try:
            if not self.over.acquire(timeout=PATIENCE):
                self.tell(start)
        except OSError:
            return  # there is nobody to tell
        finally:
            self.gone.release()

    def tell(self, start: float) -> None:
        while True:
            text = f"\r{self.what} ... {monotonic() - start:.0f} s\x1b[K"
            os.write(self.fd, text.encode())
            if self.over.acquire(timeout=PACE):
                break
        os.write(self.fd, b"\r\x1b[K")
