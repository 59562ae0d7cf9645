# SPDX-License-Identifier: Apache-2.0
"""Profiles as files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dtrace import Aggregation, Distribution, stacks

PROFILE = Aggregation(
    "samples",
    "count",
    {
        ("cat", ("k`read", "k`sys"), ("libc`read+0x12", "cat`main")): 3,
        ("cat", (), ("libc`write", "cat`main")): 2,
        ("cat", ("k`read", "k`sys"), ("libc`read+0x14", "cat`main")): 1,
    },
    expressions=("execname", "stack()", "ustack()"),
)
FIRST = ("cat", "cat`main", "libc`read", "k`sys", "k`read")


def test_stacks() -> None:
    assert stacks.stacks(PROFILE) == [(FIRST, 4), (("cat", "cat`main", "libc`write"), 2)]
    assert stacks.stacks(PROFILE, offsets=True) == [
        (("cat", "cat`main", "libc`read+0x12", "k`sys", "k`read"), 3),
        (("cat", "cat`main", "libc`read+0x14", "k`sys", "k`read"), 1),
        (("cat", "cat`main", "libc`write"), 2),
    ]


def test_folded() -> None:
    assert stacks.folded(PROFILE).splitlines()[0] == ";".join(FIRST) + " 4"


def test_weights() -> None:
    d = Distribution("quantize", (), {(1, 1): 2, (2, 3): 5})
    assert stacks.stacks(Aggregation("d", "quantize", {("x",): d})) == [(("x",), 7)]
    with pytest.raises(TypeError, match="no weight"):
        stacks.stacks(Aggregation("a", "avg", {("x",): (1, 2)}))
    assert stacks.stacks(Aggregation("n", "count", {(): 2})) == []


def test_speedscope() -> None:
    file = json.loads(stacks.speedscope(PROFILE, "a name"))
    (profile,) = file["profiles"]
    frames = [f["name"] for f in file["shared"]["frames"]]
    assert [frames[i] for i in profile["samples"][0]] == list(FIRST)
    assert profile["weights"] == [4, 2] and profile["endValue"] == 6
    assert len(frames) == len(set(frames)) and file["name"] == "a name"


# ---- a reader of protocol buffers -----------------------------------------------------------------


def varints(data: bytes) -> list[int]:
    found, n, shift = [], 0, 0
    for byte in data:
        n |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(n)
            n = shift = 0
    return found


def fields(data: bytes) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        start = at
        while data[at] & 0x80:
            at += 1
        at += 1
        return varints(data[start:at])[0]

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            found.append((tag >> 3, varint()))
        else:
            assert tag & 7 == 2
            length = varint()
            found.append((tag >> 3, data[at : at + length]))
            at += length
    return found


def test_pprof() -> None:
    profile = fields(gzip.decompress(stacks.pprof(PROFILE)))
    strings = [v.decode() for n, v in profile if n == 6]
    assert strings[0] == ""
    ((_, kind),) = [(n, dict(fields(v))) for n, v in profile if n == 1]
    assert (strings[kind[1]], strings[kind[2]]) == ("samples", "count")
    functions = {f[1]: strings[f[2]] for f in (dict(fields(v)) for n, v in profile if n == 5)}
    modules = {m[1]: strings[m[5]] for m in (dict(fields(v)) for n, v in profile if n == 3)}
    places = {}
    for place in (dict(fields(v)) for n, v in profile if n == 4):
        line = dict(fields(place[4]))
        places[place[1]] = (modules.get(place.get(2, 0), ""), functions[line[1]])
    samples = []
    for sample in (dict(fields(v)) for n, v in profile if n == 2):
        samples.append(([places[i] for i in varints(sample[1])], varints(sample[2])))
    assert samples[0] == (
        [("k", "read"), ("k", "sys"), ("libc", "read"), ("cat", "main"), ("", "cat")],
        [4],
    )
    assert len(samples) == 2 and set(modules.values()) == {"k", "libc", "cat"}
    assert sorted(functions.values()) == ["cat", "main", "read", "read", "sys", "write"]


def test_numbers_of_protocol_buffers() -> None:
    for n in (0, 1, 127, 128, 300, 2**32, 2**64 - 1):
        assert varints(stacks.varint(n)) == [n]
    assert stacks.varint(-1) == stacks.varint(2**64 - 1)


def test_addresses_without_names() -> None:
    a = Aggregation("a", "count", {(("0x7f00deadbeef", "lib.so`0x10"),): 1})
    profile = fields(gzip.decompress(stacks.pprof(a)))
    places = [dict(fields(v)) for n, v in profile if n == 4]
    assert {p.get(3) for p in places} == {0x7F00DEADBEEF, 0x10}


HOSTILE = "evil\udc80`</svg><script>x</script>;\n\x1b[31m"


def test_hostile_names() -> None:
    a = Aggregation("a", "count", {((HOSTILE,),): 1})
    text = stacks.folded(a)
    assert text.count("\n") == 1 and "\x1b" not in text and text.count(";") == 0
    assert "<script>x" not in stacks.flamegraph(a)
    json.loads(stacks.speedscope(a)).__str__().encode()
    gzip.decompress(stacks.pprof(a))


def test_files(tmp_path: Path) -> None:
    for name, start in (
        ("p.svg", b"<?xml"),
        ("p.folded", b"cat;"),
        ("p.json", b"{"),
        ("p.pb.gz", b"\x1f\x8b"),
    ):
        stacks.save(PROFILE, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(ValueError, match="no format known"):
        stacks.save(PROFILE, tmp_path / "p.png")
