# SPDX-License-Identifier: Apache-2.0
"""Block devices of the tests' own: nobody else reads or writes them."""

from __future__ import annotations

import ctypes
import fcntl
import lzma
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LOOP_CTL_GET_FREE, LOOP_SET_FD, LOOP_CLR_FD = 0x4C82, 0x4C00, 0x4C01
SIZE = 1 << 20


def load_module(name: str, params: str = "") -> bool:
    """In a guest, whose kernel is a package that was unpacked: load one of its modules."""
    if not os.environ.get("PYDTRACE_GUEST"):
        return False
    cache = Path(os.environ.get("KLAB_DIR", "/root/.cache/kernel-lab"))
    modules = f"lib/modules/{os.uname().release}/kernel/drivers/block/{name}.ko*"
    for path in [*cache.glob(f"k/*/{modules}"), *cache.glob(f"k/*/usr/{modules}")]:
        image = path.read_bytes()
        if path.suffix == ".xz":
            image = lzma.decompress(image)
        libc = ctypes.CDLL(None, use_errno=True)
        init_module = 175
        rc = libc.syscall(init_module, image, ctypes.c_ulong(len(image)), params.encode())
        return rc == 0 or ctypes.get_errno() == 17
    return False


@contextmanager
def loop_device(backing: Path) -> Iterator[str]:
    """The name of a loop device (it has a queue of requests)."""
    if not os.path.exists("/dev/loop-control") and not load_module("loop"):
        pytest.skip("there are no loop devices")
    backing.write_bytes(bytes(SIZE))
    try:
        control = os.open("/dev/loop-control", os.O_RDWR)
        number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        os.close(control)
        loop = os.open(f"/dev/loop{number}", os.O_RDWR)
    except OSError as e:
        pytest.skip(f"no loop device can be had: {e}")
    try:
        fd = os.open(backing, os.O_RDWR)
        fcntl.ioctl(loop, LOOP_SET_FD, fd)
        os.close(fd)
        yield f"loop{number}"
    finally:
        fcntl.ioctl(loop, LOOP_CLR_FD)
        os.close(loop)


@contextmanager
def ram_disk() -> Iterator[str]:
    """The name of a RAM disk (it has no queue)."""
    if not load_module("brd", "rd_nr=1 rd_size=1024"):
        pytest.skip("only guests have RAM disks")
    yield "ram0"
