# SPDX-License-Identifier: Apache-2.0
"""D's subroutines: random arguments against functions written in Python, and picked cases.

Arguments are constants or variables at random: these take different ways through the compiler.

PYDTRACE_SUBR_CASES sets how many calls a run compares, PYDTRACE_SUBR_SEED where it begins; a
failure names the seed.
"""

from __future__ import annotations

import ctypes
import os
import random
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, Trace

import dtrace

Start = Callable[..., Trace]

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SEED = int(os.environ.get("PYDTRACE_SUBR_SEED", "20261123"))
CASES = int(os.environ.get("PYDTRACE_SUBR_CASES", "4000" if PATIENCE < 100 else "800"))
PER_PROGRAM = 100
PER_CLAUSE = 10

# ---- D text ------------------------------------------------------------------------------------


def quoted(s: bytes) -> str:
    plain = b"".join(bytes([c]) for c in range(32, 127) if c not in b'"\\')
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in s) + '"'


def number(v: int) -> str:
    """The smallest number has no literal of its own."""
    return f"({v + 1} - 1)" if v == -(2**63) else str(v)


class Case:
    """Statements, and what they trace."""

    def __init__(self, rnd: random.Random, size: int) -> None:
        self.rnd = rnd
        self.size = size
        self.before: list[str] = []
        self.traces: list[str] = []
        self.want: list[Any] = []
        self.vars = 0

    def cut(self, s: bytes) -> bytes:
        return s[: self.size - 1]

    def var(self, kind: str, text: str) -> str:
        """The text as it is, or a variable that has this value."""
        if self.rnd.random() < 0.5:
            return text
        self.vars += 1
        name = f"this->{kind}{self.vars}"
        self.before.append(f"{name} = {text};")
        return name

    def s(self, value: bytes) -> str:
        return self.var("s", quoted(value))

    def i(self, value: int) -> str:
        return self.var("i", number(value))

    def expect(self, expr: str, want: bytes | int) -> None:
        self.traces.append(f"trace({expr});")
        self.want.append(os.fsdecode(self.cut(want)) if isinstance(want, bytes) else want)

    @property
    def text(self) -> str:
        return " ".join(self.before + self.traces)


# ---- random strings ----------------------------------------------------------------------------


def some_length(rnd: random.Random, size: int) -> int:
    """Often short, sometimes around the limit."""
    r = rnd.random()
    if r < 0.75:
        return rnd.randint(0, 12)
    if r < 0.9:
        return rnd.randint(0, size + 4)
    return size + rnd.randint(-3, 3)


def some_bytes(rnd: random.Random, size: int, alphabet: bytes = b"") -> bytes:
    alphabet = alphabet or rnd.choice(
        [b"ab", b"aabcAZz@[`{ ", b"/.a", bytes(range(1, 256)), b"0123456789abcxyz+- \t"]
    )
    return bytes(rnd.choices(alphabet, k=max(some_length(rnd, size), 0)))


def piece(rnd: random.Random, s: bytes, size: int) -> bytes:
    """A part of s, or something like it."""
    if rnd.random() < 0.25:
        return some_bytes(rnd, size, bytes(set(s)) or b"a")
    start = rnd.randint(0, len(s))
    part = s[start : start + rnd.choice([0, 1, 1, 2, 3, 8, len(s)])]
    return part if rnd.random() < 0.8 else part + b"!"


def some_number(rnd: random.Random, near: int) -> int:
    r = rnd.random()
    if r < 0.8:
        return rnd.randint(-near - 2, near + 2)
    if r < 0.9:
        return rnd.choice([0, 1, -1, 255, 256, -256, 2**31, -(2**31), 2**63 - 1, -(2**63)])
    return rnd.getrandbits(64) - 2**63


# ---- the functions, each by its meaning --------------------------------------------------------


def perl_index(s: bytes, t: bytes, pos: int = 0) -> int:
    return s.find(t, max(0, min(pos, len(s))))


def perl_rindex(s: bytes, t: bytes, pos: int | None = None) -> int:
    if pos is None:
        return s.rfind(t)
    if not t:
        return max(0, min(pos, len(s)))
    return -1 if pos < 0 else s.rfind(t, 0, pos + len(t))


def perl_substr(s: bytes, pos: int, count: int | None = None) -> bytes:
    start = pos + len(s) if pos < 0 else pos
    if start > len(s):
        return b""
    end = len(s) if count is None else start + count if count >= 0 else len(s) + count
    return s[max(start, 0) : max(end, 0)]


def basename(s: bytes) -> bytes:
    return s.rstrip(b"/").split(b"/")[-1] or (b"/" if s else b".")


def dirname(s: bytes) -> bytes:
    head, slash, _ = s.rstrip(b"/").rpartition(b"/")
    if not slash:
        return b"/" if s.startswith(b"/") else b"."
    return head.rstrip(b"/") or b"/"


def cleanpath(s: bytes) -> bytes:
    head, *rest = s.split(b"/")
    done = [head] if head else []
    for k, part in enumerate(rest):
        last = k == len(rest) - 1
        if part == b"..":
            del done[-1:]
            if last:
                done.append(b"/")
        elif last or part not in (b"", b"."):
            done.append(b"/" + part)
    return b"".join(done)


DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"


def lltostr(v: int, base: int = 10) -> bytes:
    sign = b"-" if base == 10 and v < 0 else b""
    v = -v if sign else v % 2**64
    head = b"0x" if base == 16 else b"0" if base == 8 and v else b""
    text = b""
    while v or not text:
        text = DIGITS[v % base : v % base + 1] + text
        v //= base
    return sign + head + text


def strtoll(s: bytes, base: int = 10) -> int:
    s = s.lstrip(b" \t\n\v\f\r").lower()
    negative = s.startswith(b"-")
    s = s[1:] if s[:1] in (b"-", b"+") else s
    digits = DIGITS[:base]
    if base == 16 and s.startswith(b"0x") and s[2:3] and s[2] in digits:
        s = s[2:]
    v = 0
    for c in s:
        if c not in digits:
            break
        v = v * base + digits.index(c)
    v = (-v if negative else v) % 2**64
    return v - 2**64 if v >= 2**63 else v


def inet_ntoa6(packed: bytes) -> bytes:
    text = socket.inet_ntop(socket.AF_INET6, packed).encode()
    return text.rpartition(b":")[2] if b"." in text else text


# ---- JSON: documents with the text of each value -----------------------------------------------


class Json:
    """A random value; `text` is how it stands in the document, parts are what a path leads to."""

    def __init__(self, rnd: random.Random, depth: int) -> None:
        self.parts: dict[str, Json] = {}
        self.array = False
        r = rnd.random()
        self.raw = ""
        if depth == 0 or r < 0.25:
            self.text = self.raw = rnd.choice(
                ["true", "false", "null", "0", "-1", "12.5e-3", "1E+9", str(rnd.getrandbits(40))]
            )
        elif r < 0.45:
            self.raw = "".join(rnd.choices(["a", "}", "]", "[", ",", ":", " ", '\\"', "\\\\"], k=5))
            self.text = f'"{self.raw}"'
        elif r < 0.75:
            keys = rnd.sample(["a", "b", "aa", "ab", "key", "0", 'q\\"'], rnd.randint(1, 4))
            self.parts = {k: Json(rnd, depth - 1) for k in keys}
            inside = [f'"{k}"{sp(rnd)}:{sp(rnd)}{v.text}' for k, v in self.parts.items()]
            self.join(rnd, "{", inside, "}")
        else:
            self.array = True
            self.parts = {str(k): Json(rnd, depth - 1) for k in range(rnd.randint(0, 12))}
            self.join(rnd, "[", [v.text for v in self.parts.values()], "]")

    def join(self, rnd: random.Random, first: str, inside: list[str], last: str) -> None:
        body = f"{sp(rnd)},{sp(rnd)}".join(inside)
        self.text = self.raw = f"{first}{sp(rnd)}{body}{sp(rnd)}{last}"

    def pick(self, rnd: random.Random) -> tuple[str, str]:
        """A path, mostly one that leads somewhere, and what is there."""
        path, at = "", self
        while True:
            key = rnd.choice(list(at.parts)) if at.parts else "no"
            if rnd.random() < 0.1:
                key = rnd.choice(["a", "zz", "1", "99", "x", ""])
            path += f"[{key}]" if at.array else f".{key}" if path else key
            if key not in at.parts:
                return path, ""
            at = at.parts[key]
            if not at.parts or rnd.random() < 0.3:
                if rnd.random() < 0.1:
                    return path + ".more", at.parts["more"].raw if "more" in at.parts else ""
                return path, at.raw


def sp(rnd: random.Random) -> str:
    return rnd.choice(["", "", "", " ", "\\n", " \\t"]).encode().decode("unicode_escape")


# ---- a case of each kind -----------------------------------------------------------------------


def case_index(c: Case, name: str = "index", fn: Callable[..., int] = perl_index) -> None:
    s = some_bytes(c.rnd, c.size)
    t = piece(c.rnd, s, c.size)
    args = (c.cut(s), c.cut(t))
    if c.rnd.random() < 0.4:
        c.expect(f"{name}({c.s(s)}, {c.s(t)})", fn(*args))
    else:
        pos = some_number(c.rnd, len(s))
        c.expect(f"{name}({c.s(s)}, {c.s(t)}, {c.i(pos)})", fn(*args, pos))


def case_rindex(c: Case) -> None:
    case_index(c, "rindex", perl_rindex)


def case_substr(c: Case) -> None:
    s = some_bytes(c.rnd, c.size)
    pos, count = some_number(c.rnd, len(s)), some_number(c.rnd, len(s))
    if c.rnd.random() < 0.4:
        c.expect(f"substr({c.s(s)}, {c.i(pos)})", perl_substr(c.cut(s), pos))
    else:
        c.expect(f"substr({c.s(s)}, {c.i(pos)}, {c.i(count)})", perl_substr(c.cut(s), pos, count))


def case_strchr(c: Case) -> None:
    s = c.cut(some_bytes(c.rnd, c.size))
    ch = c.rnd.choice(s) if s and c.rnd.random() < 0.8 else c.rnd.randint(1, 255)
    at, last = s.find(bytes([ch])), s.rfind(bytes([ch]))
    c.expect(f"strchr({c.s(s)}, {c.i(ch)})", s[at:] if at >= 0 else b"")
    c.expect(f"strrchr({c.s(s)}, {c.i(ch)})", s[last:] if last >= 0 else b"")


def case_strstr(c: Case) -> None:
    s = c.cut(some_bytes(c.rnd, c.size))
    t = c.cut(piece(c.rnd, s, c.size))
    c.expect(f"strstr({c.s(s)}, {c.s(t)})", s[s.find(t) :] if t in s else b"")


def case_strtok(c: Case) -> None:
    s = c.cut(some_bytes(c.rnd, c.size, b"ab,;. "))
    left, first = s, c.s(s)
    for _ in range(c.rnd.randint(1, 4)):
        marks = c.cut(some_bytes(c.rnd, c.size, b",;. a"))
        left = left.lstrip(marks) if marks else left
        ends = [k for k, ch in enumerate(left) if ch in marks]
        token = left[: ends[0]] if ends else left
        c.expect(f"strtok({first}, {c.s(marks)})", token)
        left, first = left[len(token) :], "NULL"


def case_paths(c: Case) -> None:
    s = c.cut(some_bytes(c.rnd, c.size, c.rnd.choice([b"/.a", b"/..b", b"//x"])))
    c.expect(f"basename({c.s(s)})", basename(s))
    c.expect(f"dirname({c.s(s)})", dirname(s))
    c.expect(f"cleanpath({c.s(s)})", cleanpath(s))


def case_lltostr(c: Case) -> None:
    v = some_number(c.rnd, 1000)
    base = c.rnd.randint(2, 36) if c.rnd.random() < 0.5 else c.rnd.choice([8, 10, 16])
    c.expect(f"lltostr({c.i(v)}, {c.i(base)})", lltostr(v, base))
    c.expect(f"lltostr({c.i(v)})", lltostr(v))


def case_strtoll(c: Case) -> None:
    base = c.rnd.choice([2, 8, 10, 16, 36, c.rnd.randint(2, 36)])
    s = c.rnd.choice([b"", b" ", b"\t\n"]) + c.rnd.choice([b"", b"-", b"+"])
    s += c.rnd.choice([b"", b"0x", b"0X", b"0"])
    s = c.cut(s + some_bytes(c.rnd, 24, c.rnd.choice([b"01", b"0123456789", DIGITS, b"fFx9 -"])))
    c.expect(f"strtoll({c.s(s)}, {c.i(base)})", strtoll(s, base))
    c.expect(f"strtoll({c.s(s)})", strtoll(s))


def case_letters(c: Case) -> None:
    s = c.cut(some_bytes(c.rnd, c.size))
    c.expect(f"tolower({c.s(s)})", s.lower())
    c.expect(f"toupper({c.s(s)})", s.upper())


def case_join(c: Case) -> None:
    s, t = c.cut(some_bytes(c.rnd, c.size)), c.cut(some_bytes(c.rnd, c.size))
    c.expect(f"strjoin({c.s(s)}, {c.s(t)})", s + t)
    c.expect(f"strlen({c.s(s)})", len(s))
    c.expect(f"strlen(strjoin({c.s(s)}, {c.s(t)}))", len(c.cut(s + t)))


def case_nested(c: Case) -> None:
    """Results as arguments: each function's scratch has the other's leavings."""
    s, t = c.cut(some_bytes(c.rnd, c.size, b"/.ab")), c.cut(some_bytes(c.rnd, c.size, b"/.ab"))
    pos = c.rnd.randint(-5, 5)
    st = c.cut(s + t)
    c.expect(
        f"strjoin(substr({c.s(s)}, {c.i(pos)}), basename(cleanpath({c.s(t)})))",
        perl_substr(s, pos) + basename(cleanpath(t)),
    )
    c.expect(
        f"index(strjoin({c.s(s)}, {c.s(t)}), toupper(tolower({c.s(t)})))",
        perl_index(st, c.cut(t.upper())),
    )
    c.expect(f"dirname(strjoin({c.s(s)}, lltostr({c.i(pos)})))", dirname(c.cut(s + lltostr(pos))))


def case_inet(c: Case) -> None:
    some = [0, 0, 0, 1, 9, 10, 99, 100, 255]
    a = bytes(c.rnd.choice([*some, c.rnd.randint(0, 255)]) for _ in range(16))
    r = c.rnd.random()
    if r < 0.1:
        a = bytes(10) + b"\xff\xff" + a[12:]
    elif r < 0.2:
        a = bytes(12) + a[12:]
    name = f"this->a{c.rnd.randint(0, 3)}"
    c.before.append(f"{name} = (unsigned char *)alloca(16);")
    for k in (0, 8):
        word = int.from_bytes(a[k : k + 8], "little")
        c.before.append(f"*(unsigned long *)({name} + {k}) = {word}ul;")
    c.expect(f"inet_ntoa((uint32_t *){name})", socket.inet_ntoa(a[:4]).encode())
    c.expect(f"inet_ntop({c.i(2)}, {name})", socket.inet_ntoa(a[:4]).encode())
    c.expect(f"inet_ntop({c.i(10)}, {name})", socket.inet_ntop(socket.AF_INET6, a).encode())
    c.expect(f"inet_ntoa6({name})", inet_ntoa6(a))
    c.expect(f"inet_ntoa6({name}, {c.i(1)})", socket.inet_ntop(socket.AF_INET6, a).encode())
    c.expect(f"link_ntop({c.i(1)}, {name})", a[:6].hex(":").encode())


def case_json(c: Case) -> None:
    doc = Json(c.rnd, 3)
    while not doc.parts or len(doc.text) >= c.size:
        doc = Json(c.rnd, c.rnd.randint(1, 3))
    path, want = doc.pick(c.rnd)
    want = "" if len(path) >= c.size else want
    if c.rnd.random() < 0.3:
        path = path.replace("[", ".").replace("]", "").lstrip(".")
    c.expect(f"json({c.s(doc.text.encode())}, {c.s(path.encode())})", want.encode())


KINDS = [
    case_index,
    case_rindex,
    case_substr,
    case_strchr,
    case_strstr,
    case_strtok,
    case_paths,
    case_lltostr,
    case_strtoll,
    case_letters,
    case_join,
    case_nested,
    case_inet,
    case_json,
]


def compare(trace: Start, cases: list[Case], **options: Any) -> list[tuple[str, Any, Any]]:
    clauses = [cases[k : k + PER_CLAUSE] for k in range(0, len(cases), PER_CLAUSE)]
    program = "".join(f"BEGIN {{ {' '.join(c.text for c in cs)} }}\n" for cs in clauses)
    t = trace(program + "BEGIN { exit(0); }", **options).to_exit()
    want = [(c.text, w) for c in cases for w in c.want]
    assert len(t.data) == len(want) and not t.faults, t.faults[:3]
    return [(text, w, g) for (text, w), g in zip(want, t.data, strict=True) if w != g]


@pytest.mark.parametrize("size", [256, 64, 21])
def test_random_calls(trace, size):
    seed = SEED + size
    rnd = random.Random(seed)
    calls = 0
    while calls < CASES // 3:
        cases: list[Case] = []
        while sum(len(c.want) for c in cases) < PER_PROGRAM:
            case = Case(rnd, size)
            # variables keep their type, and have it in all clauses of a program
            case.vars = 1000 * len(cases)
            rnd.choice(KINDS)(case)
            cases.append(case)
        wrong = compare(trace, cases, strsize=size)
        assert not wrong, f"seed {seed}: {len(wrong)} differ: (text, want, got) {wrong[0]}"
        calls += sum(len(c.want) for c in cases)


def test_broken_json(trace):
    """Whatever the document: nothing, or a piece of it."""
    rnd = random.Random(SEED)
    exprs, docs = [], []
    while len(exprs) < 80:
        doc = Json(rnd, 3)
        if not doc.parts:
            continue
        wrong = list(doc.text)
        for _ in range(rnd.randint(1, 3)):
            wrong.insert(rnd.randint(0, len(wrong)), rnd.choice('{}[]",:\\ a0'))
            del wrong[rnd.randint(0, len(wrong) - 1)]
        docs.append("".join(wrong)[: rnd.choice([20, 100, 255])])
        text, path = quoted(docs[-1].encode()), quoted(doc.pick(rnd)[0].encode())
        exprs.append(f"trace(json({text}, {path}));")
    t = trace(f"BEGIN {{ {' '.join(exprs)} exit(0); }}").to_exit()
    assert all(got in doc for got, doc in zip(t.data, docs, strict=True))


# ---- values by hand ----------------------------------------------------------------------------


def values(trace: Start, *exprs: str, setup: str = "", **options: Any) -> list[Any]:
    text = " ".join(f"trace({e});" for e in exprs)
    return trace(f"BEGIN {{ {setup} {text} exit(0); }}", **options).to_exit().data


def test_nothing_found_is_null(trace):
    got = values(
        trace,
        "strchr(\"abc\", 'x') == NULL",
        "strrchr(\"abc\", 'x') == NULL",
        'strstr("abc", "x") == NULL',
        'json("{}", "x") == NULL',
        'strtok("", ",") == NULL',
        'strstr("abc", "") == NULL',
        "strchr(\"abc\", 'c') != NULL",
        'strstr("abc", "x") == ""',
    )
    assert got == [1, 1, 1, 1, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "call",
    [
        "strlen(NULL)",
        'index(NULL, "a")',
        'strjoin("a", NULL)',
        "basename(NULL)",
        "substr(NULL, 1)",
        'strtok(NULL, ",")',
        'strtok("a", NULL)',
        'json("{}", NULL)',
        "copyin(0, 4)",
        "copyinstr(0)",
        "inet_ntoa((uint32_t *)0)",
        "inet_ntop(2, (char *)8)",
        "d_path((struct path *)0)",
        "mutex_owned((struct mutex *)0)",
        "rw_read_held((struct rw_semaphore *)0)",
    ],
)
def test_bad_address(trace, call):
    t = trace(f"BEGIN {{ trace({call}); }} ERROR {{ exit(0); }}").to_exit()
    assert [f.fault for f in t.faults] == [1]


@pytest.mark.parametrize(
    "call",
    ["lltostr(1, 1)", "lltostr(1, 37)", 'strtoll("1", 0)', "inet_ntop(11, (char *)0)"],
)
def test_illegal_operation(trace, call):
    t = trace(f"BEGIN {{ trace({call}); }} ERROR {{ exit(0); }}").to_exit()
    assert [f.fault for f in t.faults] == [3]


def test_strtok_is_of_one_firing(trace):
    t = trace(
        'BEGIN { trace(strtok("a,b", ",")); trace(strtok(NULL, ",")); }'
        ' BEGIN { this->x = "k=v;l=w"; trace(strtok(this->x, ";")); trace(strtok(NULL, ";"));'
        ' trace(strtok(NULL, ";")); trace(strtok(NULL, ";")); }'
        ' BEGIN { trace(strtok(strtok("k=v;l=w", ";"), "=")); trace(strtok(NULL, "=")); }'
        ' BEGIN { trace(strtok(NULL, ",")); }'
        " BEGIN { exit(0); }"
    ).to_exit()
    assert t.data == ["a", "b", "k=v", "l=w", "", "", "k", "v"]
    assert [f.fault for f in t.faults] == [1]


def test_strtok_where_it_is_not_always_reached(trace):
    program = (
        'BEGIN { this->n = %d; this->t = this->n ? strtok("a b", " ") : "-"; trace(this->t);'
        ' trace(strtok(NULL, " ")); exit(0); } ERROR { exit(0); }'
    )
    assert trace(program % 1).to_exit().data == ["a", "b"]
    assert [f.fault for f in trace(program % 0).to_exit().faults] == [1]


def test_bytes_in_network_order(trace):
    got = values(
        trace,
        "htons(this->n)",
        "htonl(this->n)",
        "htonll(this->n)",
        "ntohs(this->n)",
        "ntohl(this->n)",
        "ntohll(this->n)",
        setup="this->n = 0x1122334455667788;",
    )
    assert got == [0x8877, 0x88776655, 0x8877665544332211] * 2


def test_devices(trace):
    assert values(trace, "getmajor(0x0810002a)", "getminor(0x0810002a)") == [0x81, 0x2A]


def test_rand_is_random(trace):
    got = values(trace, *["rand()"] * 20)
    assert len(set(got)) > 15 and all(-(2**31) <= v < 2**31 for v in got)


# ---- memory ------------------------------------------------------------------------------------


@pytest.fixture
def text():
    """Memory of this process, in which BEGIN runs."""
    return ctypes.create_string_buffer(b"text of the process")


def test_copies(trace, text):
    at = ctypes.addressof(text)
    got = values(
        trace,
        "stringof(this->b)",
        "stringof(this->b + 4)",
        "*(int *)this->c == *(int *)this->b",
        "this->c[4]",
        setup=f"this->b = (char *)alloca(32); copyinto({at}, 20, this->b);"
        " this->c = (char *)alloca(8); bcopy(this->b, this->c, 4);",
    )
    assert got == ["text of the process", " of the process", 1, 0]


def test_copies_of_a_size_known_at_run_time(trace, text):
    at = ctypes.addressof(text)
    got = values(
        trace,
        "stringof(this->b)",
        "stringof((char *)copyin(this->at, this->n))",
        "copyinstr(this->at, this->n)",
        setup=f"this->at = {at}; this->n = 4; this->b = (char *)alloca(32);"
        " copyinto(this->at, this->n, this->b); bcopy(this->b, this->b + 2, this->n);"
        " bcopy(this->b, this->b + this->n, 3);",
    )
    assert got == ["tetetet", "text", "text"]


def test_copies_that_overlap(trace, text):
    got = values(
        trace,
        "stringof(this->b)",
        setup=f"this->b = (char *)alloca(32); copyinto({ctypes.addressof(text)}, 19, this->b);"
        " bcopy(this->b, this->b + 1, 18);",
    )
    assert got == ["ttext of the process"[:19]]


def test_the_limit_of_copyinstr_leaves_out_the_nul(trace, text):
    at = ctypes.addressof(text)
    got = values(trace, *[f"copyinstr({at}, {n})" for n in (0, 1, 4, 400)], setup="", strsize=8)
    assert got == ["", "t", "text", "text of"]


@pytest.mark.parametrize(
    "statement",
    [
        "bcopy(this->b, (char *)0x1234, 8);",
        "bcopy(this->b, (char *)curthread, 8);",
        "bcopy((char *)0x10, this->b, 8);",
        "bcopy(this->b, this->b + 20, 16);",
        "bcopy(this->b, this->b - 70000, 16);",
        "this->n = 16; bcopy(this->b, this->b + 20, this->n);",
        "copyinto(0x10, 8, this->b);",
        "this->n = 30; copyinto((uintptr_t)0x10, this->n, this->b);",
    ],
)
def test_copies_that_may_not_be(trace, statement):
    t = trace(
        f"BEGIN {{ this->b = (char *)alloca(32); {statement} exit(1); }} ERROR {{ exit(0); }}"
    ).to_exit()
    assert [f.fault for f in t.faults] == [1]


@pytest.mark.parametrize("call", ["alloca(this->n)", "copyin(0, this->n)"])
def test_too_much_scratch(trace, call):
    t = trace(f"BEGIN {{ this->n = 1 << 30; this->p = {call}; }} ERROR {{ exit(0); }}").to_exit()
    assert [f.fault for f in t.faults] == [5]


def test_text_without_an_end(trace, text):
    """What has no NUL ends where its memory does."""
    at = ctypes.addressof(text)
    got = values(
        trace,
        "strlen(stringof(copyin(this->at, 4)))",
        "toupper(stringof(copyin(this->at, 4)))",
        'index(stringof(copyin(this->at, 9)), "t", 1)',
        "strlen(stringof(copyin(this->at, 9)))",
        "strlen(stringof(copyin(this->at, 7)))",
        setup=f"this->at = {at};",
        strsize=8,
    )
    assert got == [4, "TEXT", 3, 7, 7]


# ---- the kernel's structures -------------------------------------------------------------------


def test_paths_of_files(trace, tmp_path):
    (tmp_path / "dir").mkdir()
    plain = tmp_path / "dir" / "file"
    plain.write_text("x" * 100)
    with (
        plain.open() as a,
        Path("/proc/self/maps").open() as b,
        Path("/dev/null").open() as c,
        tempfile.TemporaryFile(dir=tmp_path) as d,
        socket.socket() as e,
    ):
        pipe = os.pipe()
        root = os.open("/", os.O_RDONLY)
        memory = os.memfd_create("name")
        fds = [a.fileno(), b.fileno(), c.fileno(), d.fileno(), e.fileno(), *pipe, root, memory]
        want = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
        os.lseek(a.fileno(), 17, os.SEEK_SET)
        got = values(trace, *[f"d_path(&getf({fd})->f_path)" for fd in fds], strsize=1024)
        assert got == want
        got = values(trace, f"getf({a.fileno()})->f_pos", "getf(1 << 20)", "getf(-1)")
        assert got == [17, 0, 0]
        for fd in (*pipe, root, memory):
            os.close(fd)


def test_path_of_the_program(trace):
    exe = os.readlink("/proc/self/exe")
    got = values(trace, "d_path(&curthread->mm->exe_file->f_path)", strsize=1024)
    assert got == [exe]
    assert values(trace, "d_path(&curthread->mm->exe_file->f_path)", strsize=8) == [exe[:7]]


def test_ancestors(trace):
    got = values(trace, "progenyof(1)", f"progenyof({os.getpid()})", "progenyof(1 << 29)")
    assert got == [1, 1, 0]


def locks(setup: str) -> str:
    return (
        "this->m = (struct mutex *)alloca(sizeof (struct mutex));"
        " this->r = (struct rw_semaphore *)alloca(sizeof (struct rw_semaphore));"
        f" this->l = (rwlock_t *)alloca(sizeof (rwlock_t)); {setup}"
    )


def test_mutexes(trace):
    calls = [f"mutex_{f}(this->m)" for f in ("owned", "owner", "type_adaptive", "type_spin")]
    assert values(trace, *calls, setup=locks("")) == [0, 0, 1, 0]
    mine = "*(uintptr_t *)&this->m->owner = (uintptr_t)curthread | 3;"
    got = values(trace, "mutex_owner(this->m) == curthread", *calls[:1], setup=locks(mine))
    assert got == [1, 1]
    other = "*(uintptr_t *)&this->m->owner = (uintptr_t)curthread->real_parent;"
    got = values(
        trace, "mutex_owner(this->m) == curthread->real_parent", *calls[:1], setup=locks(other)
    )
    assert got == [1, 0]
    assert values(trace, "mutex_type_spin(&curthread->alloc_lock)") == [1]


@pytest.mark.parametrize(
    ("sem", "lock", "read", "write", "writer"),
    [
        (0, 0, 0, 0, 0),
        (1, 0xFF, 0, 1, 1),  # a writer
        (2 << 8, 2 << 9, 1, 0, 0),  # two readers
        (2 | 1 << 8, 0x100 | 1 << 9, 1, 0, 1),  # a reader, and a writer waits
        (3, 0x1FF, 0, 1, 1),
    ],
)
def test_readers_and_writers(trace, sem, lock, read, write, writer):
    setup = locks(f"*(long *)&this->r->count = {sem}; *(int *)&this->l->raw_lock = {lock};")
    calls = [f"rw_{f}(this->{v})" for v in "rl" for f in ("read_held", "write_held", "iswriter")]
    assert values(trace, *calls, setup=setup) == [read, write, writer] * 2


def test_other_memory_is_no_lock(trace):
    with pytest.raises(dtrace.DTraceError, match="rw_semaphore or rwlock_t"):
        trace("BEGIN { trace(rw_read_held(curthread)); }")


# ---- all of them in one clause -----------------------------------------------------------------

STRINGS = [
    "substr(this->s, 1)",
    "strchr(this->s, 'o')",
    "strrchr(this->s, 'o')",
    "strstr(this->s, this->t)",
    "basename(this->s)",
    "dirname(this->s)",
    "cleanpath(this->s)",
    "lltostr(this->n)",
    "tolower(this->s)",
    "toupper(this->s)",
    "strjoin(this->s, this->t)",
    "strtok(this->s, this->t)",
    "strtok(NULL, this->t)",
    "json(this->j, this->p)",
    "inet_ntoa((uint32_t *)this->a)",
    "inet_ntoa6(this->a)",
    "inet_ntop(this->n, this->a)",
    "link_ntop(1, this->a)",
    "d_path(&curthread->mm->exe_file->f_path)",
    "copyinstr($1)",
]
NUMBERS = [
    "index(this->s, this->t)",
    "rindex(this->s, this->t, this->n)",
    "strtoll(this->t)",
    "strlen(this->s)",
    "*(int *)copyin($1, 4)",
    "rand() != rand()",
    "htonl(this->n)",
    "getmajor(this->n)",
    "progenyof(1)",
    "getf(1 << 20)",
    "mutex_owned(&curthread->signal->cred_guard_mutex)",
    "rw_write_held(&curthread->mm->mmap_lock)",
]
SETUP = (
    'this->s = "hello/world/../foo"; this->t = "o"; this->n = 2;'
    ' this->j = "{\\"a\\": [1, {\\"b\\": 2}]}";'
    ' this->p = "a[1].b"; this->a = (char *)alloca(32); copyinto($1, this->n, this->a);'
    " bcopy(this->a, this->a + 2, this->n);"
)


@pytest.mark.parametrize("size", [256, 65536])
def test_all_in_one_clause(trace, text, size):
    at = ctypes.addressof(text)
    program = f"BEGIN {{ {SETUP} {' '.join(f'trace({e});' for e in STRINGS + NUMBERS)} exit(0); }}"
    t = trace(program, at, strsize=size, bufsize="16m").to_exit()
    assert t.data[: len(STRINGS)] == [
        "ello/world/../foo",
        "o/world/../foo",
        "o",
        "o/world/../foo",
        "foo",
        "hello/world/..",
        "hello/foo",
        "2",
        "hello/world/../foo",
        "HELLO/WORLD/../FOO",
        "hello/world/../fooo",
        "hell",
        "/w",
        "2",
        "116.101.116.101",
        "7465:7465::",
        "116.101.116.101",
        "74:65:74:65:00:00",
        os.readlink("/proc/self/exe")[: size - 1],
        "text of the process",
    ]
    assert t.data[len(STRINGS) : len(STRINGS) + 4] == [4, -1, 0, 18]


@pytest.mark.parametrize("size", [256, 65536])
def test_all_in_one_statement(trace, text, size):
    exprs = STRINGS + [f"lltostr((long){e})" for e in NUMBERS]
    form = "%s " * len(exprs)
    program = f'BEGIN {{ {SETUP} printf("{form}", {", ".join(exprs)}); exit(0); }}'
    at = ctypes.addressof(text)
    t = trace(program, at, strsize=size, bufsize="16m").to_exit()
    assert t.data[0].startswith("ello/world/../foo o/world/../foo o ")


def test_in_error_clauses(trace):
    t = trace(
        "BEGIN { trace(*(int *)0); }"
        ' ERROR { trace(strtok(strjoin("a,", lltostr(arg4)), ",")); trace(strtok(NULL, ","));'
        ' trace(json("[7]", "0")); exit(0); }'
    ).to_exit()
    assert t.data == ["a", "1", "7"]


def test_in_timers(trace):
    t = trace(
        'profile-200 { trace(index(strjoin(execname, "!"), "!") > 0); trace(json("[7]", "0"));'
        ' trace(strtok("a b", " ")); trace(strtok(NULL, " ")); trace(getf(1 << 20));'
        " exit(0); }"
    ).to_exit()
    assert t.data[:5] == [1, "7", "a", "b", 0]


def test_in_predicates_and_keys(watch):
    t = watch(
        'syscall::openat:entry /pid == $1 && strtok(copyinstr(arg1), "/") == "no"/'
        ' { @[strtok(copyinstr(arg1), "/"), basename(copyinstr(arg1))] = count(); }',
        ("open", 3, "/no/such/file"),
        ("open", 2, "/other/file"),
    )
    assert t.aggregations() == {1: {("no", "file"): 3}}


def test_long_strings(trace):
    """64 KiB, and a search that would take hours if it tried every place to the end."""
    size = 65536
    big = ctypes.create_string_buffer(b"a" * 60000 + b"b/" + b"a" * 5000)
    sub = ctypes.create_string_buffer(b"a" * 30000 + b"b")
    got = values(
        trace,
        "strlen(this->s)",
        "index(this->s, this->t)",
        "rindex(this->s, this->t)",
        "strlen(basename(this->s))",
        "strlen(toupper(this->s))",
        "strlen(strjoin(this->s, this->s))",
        "strlen(strchr(this->s, 'b'))",
        "strlen(cleanpath(this->s))",
        'strlen(strtok(this->s, "/"))',
        'json(strjoin("{\\"a\\":\\"", strjoin(this->s, "\\", \\"b\\": 7}")), "b")',
        setup=f"this->s = copyinstr({ctypes.addressof(big)});"
        f" this->t = copyinstr({ctypes.addressof(sub)});",
        strsize=size,
        bufsize="16m",
    )
    assert got == [65002, 30000, 30000, 5000, 65002, 65535, 5002, 65002, 60001, "7"]
