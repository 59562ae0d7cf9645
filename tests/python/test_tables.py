# SPDX-License-Identifier: Apache-2.0
"""Columns: what is in them, and what Arrow, NumPy, pandas and polars make of them."""

from __future__ import annotations

import gc
import struct
from types import ModuleType
from typing import Any

import pytest
from conftest import started

from dtrace import Aggregation, Distribution, Snapshot, Table, Tables

FIRINGS = """
    probe 7 syscall:vmlinux:read:entry 2
      int 1 -5
      uint 2 65535
      int 8 -9000000000
      uint 8 18446744073709551615
      float 8 1.5
      str 16 bash
      bytes 00ff
      stack 0x10 0x20
      usym 5 0x30
      ptr 255
    probe 9 syscall:vmlinux:write:entry
      str 16 x
"""

FORMATS = [*"liiiiicSlLgUZ", "+L", "U", "L"]


def tables(module: ModuleType, script: str) -> Tables:
    c = started(module, script)
    c.collect()
    return Tables(Table(tuple(facts), frame) for *facts, frame in c.collected())  # type: ignore[arg-type]


@pytest.fixture
def table(fake: ModuleType) -> Table:
    return tables(fake, FIRINGS)[1]


def test_columns(table: Table) -> None:
    assert len(table) == 2
    assert table.names[:6] == ("timestamp", "cpu", "provider", "module", "function", "name")
    assert table.fields == ("value", *(f"value_{n}" for n in range(2, 11)))
    assert [table[n].format for n in table.names] == FORMATS
    stack = ("mod`sym10+0x1", "mod`sym20+0x1")
    row = (0, 0, "syscall", "vmlinux", "read", "entry", -5, 65535, -9000000000, 2**64 - 1, 1.5)
    row += ("bash", b"\0\xff", stack, "exe5`f30", 255)
    assert list(table.rows()) == [row, row]
    assert [table[n][1] for n in table.names] == list(row)
    with pytest.raises(KeyError, match="nothing"):
        table["nothing"]
    with pytest.raises(IndexError):
        table["cpu"][2]


def test_buffers(table: Table) -> None:
    for name, code in (("value", "b"), ("value_2", "H"), ("value_3", "q"), ("value_5", "d")):
        view = memoryview(table[name])  # type: ignore[arg-type]
        assert view.format == code and view.readonly and view.shape == (2,)
        assert view.tolist() == table[name].tolist()
    with pytest.raises(BufferError, match="no numbers"):
        memoryview(table["value_6"])  # type: ignore[arg-type]


def test_buffers_outlive_everything(fake: ModuleType) -> None:
    view = memoryview(tables(fake, FIRINGS)[1]["value_3"])  # type: ignore[arg-type]
    gc.collect()
    assert view.tolist() == [-9000000000] * 2


def test_collected_once(fake: ModuleType) -> None:
    c = started(fake, FIRINGS)
    c.collect()
    assert len(c.collected()) == 2
    assert c.collected() == []


def test_texts_are_valid_utf8(fake: ModuleType) -> None:
    c = started(fake, "probe 1 a:b:c:d\n str 64 größe €")
    c.collect()
    ((*_, columns),) = c.collected()
    assert columns.column("value").tolist() == ["größe €"]
    frame = fake.Frame([("t", "U", ["a\udc80b", "\udcc3(", "ok€\U0001f600"])])
    assert frame.column("t").tolist() == ["a\ufffdb", "\ufffd(", "ok€\U0001f600"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xc0\x80", "\ufffd\ufffd"),
        (b"\xe0\x80\x80", "\ufffd" * 3),
        (b"\xed\xa0\x80", "\ufffd" * 3),
        (b"\xf4\x90\x80\x80", "\ufffd" * 4),
        (b"\xf0\x9f\x98", "\ufffd" * 3),
        (b"\xf0\x9f\x98\x80", "\U0001f600"),
        (b"plain and long enough\xff", "plain and long enough\ufffd"),
        (b"", ""),
    ],
)
def test_what_is_no_utf8(fake: ModuleType, raw: bytes, expected: str) -> None:
    frame = fake.Frame([("t", "U", [raw.decode("utf-8", "surrogateescape")])])
    assert frame.column("t").tolist() == [expected]


def test_frames_of_python_values(fake: ModuleType) -> None:
    columns = [
        ("i", "l", [1, -2]),
        ("u", "L", [2**64 - 1, 0]),
        ("f", "g", [1.5, 2]),
        ("s", "U", ["a", ""]),
        ("b", "Z", [b"\0", b""]),
        ("t", "+L", [("a", "b"), ()]),
    ]
    frame = fake.Frame(columns)
    assert len(frame) == 2 and frame.names == tuple("iufsbt") and frame.nbytes > 0
    for name, _, values in columns:
        assert frame.column(name).tolist() == list(values)


@pytest.mark.parametrize(
    "columns",
    [
        [("a", "l", [1]), ("b", "l", [1, 2])],
        [("a", "?", [1])],
        [("a", "", [1])],
        [("a", "ll", [1])],
        [("a", "l", ["x"])],
        [("a", "l", [2**63])],
        [("a", "L", [-1])],
        [("a", "U", [b"x"])],
        [("a", "Z", ["x"])],
        [("a", "+L", [(1,)])],
        [("a", "+L", [7])],
        [("a",)],
        7,
    ],
)
def test_frames_of_wrong_values(fake: ModuleType, columns: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        fake.Frame(columns)


def test_unused_capsules_leak_nothing(table: Table) -> None:
    for _ in range(100):
        table.__arrow_c_stream__()
        table.__arrow_c_array__()
        table.__arrow_c_schema__()
        table["value_8"].__arrow_c_array__(None)
        table["name"].__arrow_c_schema__()


def test_many_probes(fake: ModuleType) -> None:
    names = [f"f{i % 17}" for i in range(40)]
    c = fake.Consumer()
    c.strcompile(
        "\n".join(f"probe {i + 1} p:m:{n}:entry 3\n int 4 {i}" for i, n in enumerate(names))
    )
    c.go()
    c.collect()
    found = [f for *_, frame in c.collected() for f in frame.column("function").tolist()]
    assert found == [n for n in names for _ in range(3)]


def test_which_table(fake: ModuleType) -> None:
    both = tables(fake, FIRINGS)
    assert list(both) == [1, 2] and len(both) == 2
    with pytest.raises(ValueError, match="2 clauses"):
        _ = both.only
    one = tables(fake, "probe 1 a:b:c:d\n int 4 1\nprobe 2 a:b:c:e")
    assert one.only is one[1]
    with pytest.raises(KeyError):
        one.find("nothing")


def test_html(fake: ModuleType) -> None:
    t = tables(fake, "probe 1 a:b:c:d 30\n str 64 <script>alert(1)</script>")
    page = t._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "and 10 more" in page


# ---- aggregations ----------------------------------------------------------------------------

AGGREGATIONS = """
    agg 1 1
      str 16 bash
      int 4 3
      words 5
    agg 2 4 10
      words 4 100
    agg 3 6
      str 8 x
      words 2 3 5 0
    agg 4 5 10
      words 1001
"""


def snapshot(module: ModuleType, script: str, **keywords: Any) -> Snapshot:
    return Snapshot.of(started(module, script).aggregations(**keywords))


def test_aggregations(fake: ModuleType) -> None:
    raw = started(fake, AGGREGATIONS).aggregations()
    assert [(varid, function) for _, varid, function, *_ in raw] == [(1, 1), (2, 4), (3, 6), (4, 5)]
    one, avg, dev, total = (
        Aggregation("a", f, columns=r[-1], expressions=r[4])
        for f, r in zip(("count", "avg", "stddev", "sum"), raw, strict=True)
    )
    assert dict(one) == {("bash", 3): 5} and one["bash", 3] == 5
    assert avg.value == 2.5 and avg.states == {(): (4, 100)} and avg.normal(()) == 10
    assert dict(dev) == {("x",): 0.5}
    assert total.value == 100 and total.states == {(): 1001}
    assert one.columns.names == ("key", "key_2", "value")
    assert avg.columns.names == ("count", "sum", "value")
    assert avg.columns.column("value").tolist() == [2.5]
    assert total.columns.names == ("value",) and total.columns.column("value").tolist() == [100]


def test_distributions(fake: ModuleType) -> None:
    words = "0 1 2" + " 0" * 61 + " 7" + " 0" * 62
    s = snapshot(fake, f"agg 1 7\n str 8 k\n words {words}")
    d = s.only["k"]
    assert isinstance(d, Distribution) and d[0] == 0 and d[1] == 7 and d.total == 10
    frame = s.only.columns
    assert frame.names[-3:] == ("low", "high", "count")
    assert frame.column("count").tolist() == [1, 2, 7]
    word = 3 << 48 | 1 << 32 | 3
    linear = snapshot(fake, f"agg 1 8\n words {word} 1 2 3").only.value
    assert linear.parameters == (3, 3, 1)
    assert [n for _, n in linear] == [1, 2, 3]


def test_removing(fake: ModuleType) -> None:
    c = started(fake, AGGREGATIONS)
    assert len(c.aggregations()) == 4
    assert len(c.aggregations(True)) == 4
    assert c.aggregations() == []


def test_keys_that_repeat_names(fake: ModuleType) -> None:
    s = snapshot(fake, "agg 1 1\n int 4 1\n int 4 2\n words 9")
    assert s.only.fields == ("key", "key_2")
    assert dict(s.only) == {(1, 2): 9}


# ---- others' libraries -----------------------------------------------------------------------


def test_pyarrow(table: Table, fake: ModuleType) -> None:
    pa = pytest.importorskip("pyarrow")
    t = pa.table(table)
    t.validate(full=True)
    assert t.num_rows == 2 and t.column_names == list(table.names)
    for name in table.names:
        values = [list(v) if isinstance(v, tuple) else v for v in table[name].tolist()]
        assert t[name].to_pylist() == values
        assert pa.array(table[name]).to_pylist() == values
    assert pa.record_batch(table).num_rows == 2
    assert pa.types.is_dictionary(t.schema.field("function").type)
    assert pa.RecordBatchReader.from_stream(table).read_all() == t
    assert pa.schema(table) == t.schema
    del table
    gc.collect()
    assert t["value_6"].to_pylist() == ["bash"] * 2
    empty = pa.table(fake.Frame([("a", "U", []), ("b", "l", []), ("c", "+L", [])]))
    empty.validate(full=True)
    assert empty.num_rows == 0


def test_pyarrow_takes_aggregations(fake: ModuleType) -> None:
    pa = pytest.importorskip("pyarrow")
    a = snapshot(fake, "agg 1 1\n str 16 bash\n int 4 3\n words 5").only
    for of in (a, a + a):
        t = pa.table(of)
        t.validate(full=True)
        assert t.num_rows == 1 and t[2].to_pylist() == [5 if of is a else 10]
    words = " ".join(["0"] * 64 + ["7"] + ["0"] * 62)
    d = snapshot(fake, f"agg 1 7\n str 8 k\n words {words}").only
    for of in (d, d + d):
        assert pa.table(of).to_pylist()[0] == {
            d.fields[0]: "k",
            "low": 1,
            "high": 1,
            "count": 7 if of is d else 14,
        }


def test_numpy(table: Table) -> None:
    np = pytest.importorskip("numpy")
    a = np.asarray(table["value_3"])
    assert a.dtype == np.int64 and a.tolist() == [-9000000000] * 2 and not a.flags.writeable
    assert np.asarray(table["value_2"]).dtype == np.uint16


def test_pandas(table: Table, fake: ModuleType) -> None:
    pd = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert list(frame.columns) == list(table.names) and len(frame) == 2
    assert frame["value_6"].tolist() == ["bash"] * 2
    assert frame["value_3"].dtype == "int64"
    assert frame.groupby("function", observed=True).size().to_dict() == {"read": 2}
    assert isinstance(frame["function"].dtype, pd.CategoricalDtype)
    agg = snapshot(fake, "agg 1 1\n str 16 bash\n words 5").only
    assert agg.to_pandas().values.tolist() == [["bash", 5]]


def test_polars(table: Table) -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(table)
    assert frame.shape == (2, 16)
    assert frame["value_3"].to_list() == [-9000000000] * 2
    assert frame["function"].cast(pl.String).to_list() == ["read", "read"]
    assert frame["value_8"].to_list() == [["mod`sym10+0x1", "mod`sym20+0x1"]] * 2


def test_struct_reads_what_memory_holds(table: Table) -> None:
    assert struct.unpack("2q", memoryview(table["value_3"])) == (-9000000000,) * 2  # type: ignore[arg-type]
