# SPDX-License-Identifier: Apache-2.0
"""What the kernel holds for BPF, by bpf(2), and which of it a process has."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path

SYS_BPF = 321  # x86-64
NEXT_ID = {"prog": 11, "map": 12, "link": 31}

libc = ctypes.CDLL(None, use_errno=True)

Ids = set[tuple[str, int]]


class NextId(ctypes.Structure):
    _fields_ = (
        ("start_id", ctypes.c_uint32),
        ("next_id", ctypes.c_uint32),
        ("open_flags", ctypes.c_uint32),
    )


def all_ids() -> Ids:
    """Every program, map and link in the kernel, whoever made it."""
    found: Ids = set()
    for kind, command in NEXT_ID.items():
        attr = NextId()
        while libc.syscall(SYS_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr)) == 0:
            found.add((kind, attr.next_id))
            attr.start_id = attr.next_id
    return found


def ids_of(pid: int) -> Ids:
    """Those that a process has a descriptor of."""
    found: Ids = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = info.read_text()
        except OSError:
            continue
        for kind, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)$", text, re.MULTILINE):
            found.add((kind, int(number)))
    return found


def wait_gone(ids: Ids, seconds: float = 10) -> Ids:
    """Wait until the kernel has none of these (it frees them a little later); what is left."""
    end = time.monotonic() + seconds
    while (left := ids & all_ids()) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))
