# SPDX-License-Identifier: Apache-2.0
"""The io provider: what we read from and write to block devices of our own."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from blockdev import loop_device, ram_disk

pytestmark = pytest.mark.kernel

BLOCK = 4096


@pytest.fixture(params=["loop", "ram"])
def disk(request, tmp_path):
    with loop_device(tmp_path / "backing") if request.param == "loop" else ram_disk() as name:
        yield name


def direct(disk: str, what: str, offsets: list[int], size: int = BLOCK) -> None:
    """Read or write past the page cache."""
    fd = os.open(f"/dev/{disk}", os.O_RDWR | os.O_DIRECT)
    buffer = mmap.mmap(-1, size)
    for offset in offsets:
        if what == "write":
            assert os.pwrite(fd, buffer, offset) == size
        else:
            assert os.preadv(fd, [buffer], offset) == size
    os.close(fd)


@pytest.mark.parametrize("what", ["read", "write"])
def test_start(trace, disk, what):
    t = trace(
        "io:::start /pid == $1 && args[1]->dev_statname == $$2/"
        "{ trace(args[0]->b_bcount); trace(args[0]->b_blkno); trace(args[0]->b_lblkno);"
        " trace(args[0]->b_flags & B_WRITE ? 1 : 0); trace(args[0]->b_flags & B_READ ? 1 : 0);"
        " trace(args[1]->dev_major); trace(args[1]->dev_minor); trace(args[1]->dev_pathname);"
        " trace(args[2]->fi_name); }",
        os.getpid(),
        disk,
    )
    offsets = [0, 40960, 8192]
    direct(disk, what, offsets)
    t.finish()
    number = os.stat(f"/dev/{disk}").st_rdev
    write = int(what == "write")
    tail = [write, 1 - write, os.major(number), os.minor(number), f"/dev/{disk}", "<none>"]
    assert [f.data for f in t.firings] == [
        [BLOCK, offset // 512, offset // 512, *tail] for offset in offsets
    ]


def test_every_start_is_done(trace, disk):
    t = trace(
        "io:::start /pid == $1 && args[1]->dev_statname == $$2/"
        "{ @s = count(); from[arg0] = timestamp; }"
        "io:::done /from[arg0]/ { @d = count(); @e[args[0]->b_error, args[1]->dev_statname] = count();"
        " @f[args[0]->b_flags & B_ERROR] = count(); @t = min(timestamp - from[arg0]);"
        " from[arg0] = 0; }",
        os.getpid(),
        disk,
    )
    direct(disk, "write", [BLOCK * n for n in range(20)])
    found = t.finish().aggregations()
    assert found[1] == found[2] == {(): 20}
    assert found[3] == {(0, disk): 20}
    assert found[4] == {0: 20}
    assert found[5][()] > 0


def test_larger_blocks(trace, disk):
    t = trace(
        "io:::start /pid == $1 && args[1]->dev_statname == $$2/ { @ = sum(args[0]->b_bcount); }",
        os.getpid(),
        disk,
    )
    direct(disk, "read", [0, 1 << 16], 1 << 16)
    assert t.finish().aggregations() == {1: {(): 1 << 17}}


def on_block_device(path: Path) -> bool:
    number = os.stat(path).st_dev
    return os.path.exists(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")


def test_names_of_files(trace, tmp_path):
    if not on_block_device(tmp_path):
        pytest.skip("the temporary folder is not on a block device")
    t = trace(
        "io:::start /pid == $1 && args[2]->fi_name == $$2/ { trace(args[2]->fi_pathname);"
        " trace(args[2]->fi_dirname); trace(args[2]->fi_offset); trace(args[0]->b_bcount); }",
        os.getpid(),
        "written",
    )
    path = tmp_path / "written"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * (2 * BLOCK))
    os.fsync(fd)
    os.close(fd)
    t.finish()
    assert [str(path), str(tmp_path), 0] == t.data[:3]
    assert sum(t.data[3::4]) == 2 * BLOCK


def test_waiting(trace, tmp_path):
    with loop_device(tmp_path / "backing") as disk:
        t = trace(
            "io:::wait-start /pid == $1/ { @s = count(); self->since = timestamp;"
            " @n[args[1]->dev_name, args[2]->fi_pathname, args[0]->b_bcount] = count(); }"
            "io:::wait-done /self->since/ { @d = count(); @p[pid] = count();"
            " @t = min(timestamp - self->since); self->since = 0; }",
            os.getpid(),
        )
        direct(disk, "read", [BLOCK * n for n in range(50)])
    found = t.finish().aggregations()
    assert found[1][()] >= 25
    assert found[1] == found[3]
    assert set(found[2]) == {("<none>", "<none>", 0)}
    assert set(found[4]) == {os.getpid()}
    assert found[5][()] > 0
