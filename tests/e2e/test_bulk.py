# SPDX-License-Identifier: Apache-2.0
"""Tables of the running system in the hands of other libraries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dtrace


def test_tables_for_others() -> None:
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    np = pytest.importorskip("numpy")
    own_name = Path("/proc/thread-self/comm").read_text().rstrip("\n")
    zeros = os.open("/dev/zero", os.O_RDONLY)
    s = dtrace.trace(
        """
        syscall::read:entry /pid == $target && arg0 == $1/
        {
            trace(execname); trace(arg2); ustack(4); @size = quantize(arg2); @[execname] = avg(arg2);
        }
        """,
        args=[str(zeros)],
        target=dtrace.CURRENT,
        engine="embedded",
    )
    with s:
        for size in range(1, 501):
            os.read(zeros, size)
        snapshot, tables = s.snapshot(), s.poll_tables()  # reading symbols is reading, too
    os.close(zeros)
    table = pa.table(tables)
    table.validate(full=True)
    assert table.num_rows == 500
    assert table["arg2"].to_pylist() == list(range(1, 501))
    assert set(table["function"].to_pylist()) == {"read"}
    assert all(isinstance(f, str) for frames in table["ustack"].to_pylist() for f in frames)
    assert int(np.asarray(tables.only["arg2"]).sum()) == 500 * 501 // 2
    stamps = np.asarray(tables.only["timestamp"])
    assert (np.diff(stamps) >= 0).all()
    frame = pl.DataFrame(snapshot["size"])
    assert frame["count"].sum() == 500 and frame.columns == ["low", "high", "count"]
    assert pl.DataFrame(snapshot[""]).row(0, named=True) == {
        "execname": own_name,
        "count": 500,
        "sum": 125250,
        "value": 250.5,
    }
    assert tables.only.to_pandas()["arg2"].sum() == 125250
