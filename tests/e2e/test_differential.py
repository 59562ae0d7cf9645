# SPDX-License-Identifier: Apache-2.0
"""Random well-typed integer programs, as D on the kernel and as C through the system's compiler.

The same text is valid in both languages: ``this->x`` and ``self->x`` are pointers to structures in C,
``x[3]`` is an associative array in D and a plain one in C.  C's undefined corners are kept out (shift
counts and divisors are bounded, no variable is changed and used in one expression) or defined by
-fwrapv, so results must be equal bit for bit.

PYDTRACE_DIFF_EXPRS sets how many expressions a run compares, PYDTRACE_DIFF_SEED where it begins; a
failure names the seed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE, Trace, clean_env

Start = Callable[..., Trace]

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SEED = int(os.environ.get("PYDTRACE_DIFF_SEED", "20261123"))
EXPRESSIONS = int(os.environ.get("PYDTRACE_DIFF_EXPRS", "2400" if PATIENCE < 100 else "600"))
PER_CLAUSE = 12
BATCHES = 4

TYPES = [f"{u}int{w}_t" for w in (8, 16, 32, 64) for u in ("", "u")]
BINARY = ["+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "^^"]
CHANGES = ["+=", "-=", "*=", "&=", "|=", "^="]
LITERALS = [0, 1, 2, 7, 127, 128, 255, 65535, 2**31 - 1, 2**31, 2**32, 2**63 - 1]


class Text:
    """An expression in D and in C."""

    def __init__(self, d: str, c: str | None = None) -> None:
        self.d = d
        self.c = d if c is None else c


def fill(pattern: str, *parts: Text) -> Text:
    """The pattern with its %s replaced; ^^ is D's alone."""
    d, c = pattern % tuple(p.d for p in parts), pattern % tuple(p.c for p in parts)
    return Text(d, c.replace("^^", "!=") if "^^" in pattern else c)


def width(ctype: str) -> int:
    return int("".join(filter(str.isdigit, ctype)))


def value_of(rnd: random.Random, ctype: str, bits: int | None = None) -> int:
    """A value that the type holds, often one at its edges; the smallest has no literal of its own."""
    w = bits or width(ctype)
    v = rnd.getrandbits(rnd.choice([1, max(w // 2, 1), w - 1 or 1, w]))
    if ctype.startswith("u"):
        return v
    v = (v ^ (1 << (w - 1))) - (1 << (w - 1)) if v >> (w - 1) else v
    low, high = -(1 << (w - 1)) + 1, (1 << (w - 1)) - 1
    return max(low, min(high, -v if rnd.random() < 0.4 else v))


def d_value(v: int) -> str:
    return f"{v}u" if v >= 2**63 else str(v)


def c_value(v: int) -> str:
    return f"({v}ull)" if v >= 2**63 else f"({v}ll)"


class Expressions:
    """Random expressions over the variables `names`."""

    def __init__(self, rnd: random.Random, names: list[str]) -> None:
        self.rnd = rnd
        self.names = names

    def leaf(self) -> Text:
        rnd = self.rnd
        if rnd.random() < 0.8 and self.names:
            return Text(rnd.choice(self.names))
        if rnd.random() < 0.1:
            return Text(rnd.choice(["'a'", "'\\n'", "sizeof (short)", "0x7f", "0177"]))
        v = rnd.choice(LITERALS)
        return Text(f"{v}{rnd.choice(['', 'u' if v else '', 'l', 'ul'])}")

    def expr(self, depth: int) -> Text:
        rnd = self.rnd
        r = rnd.random()
        if depth == 0 or r < 0.08:
            return self.leaf()
        a = self.expr(depth - 1)
        if r < 0.19:
            return fill(f"({rnd.choice(TYPES)})(%s)", a)
        if r < 0.31:
            return fill(f"{rnd.choice('-~!')}(%s)", a)
        b = self.expr(depth - 1)
        if r < 0.33:
            return fill("(sizeof (0 + (%s)) + (%s))", a, b)
        if r < 0.42:
            return fill(f"((%s) {rnd.choice(['<<', '>>'])} ((%s) & 7))", a, b)
        if r < 0.52:
            return fill(f"((%s) {rnd.choice('/%').replace('%', '%%')} (((%s) & 1023) + 1))", a, b)
        if r < 0.62:
            return fill("((%s) ? (%s) : (%s))", a, b, self.expr(depth - 1))
        op = rnd.choice(BINARY)
        if op == "^^":
            return fill("(!(%s) ^^ !(%s))", a, b)
        return fill(f"((%s) {op} (%s))", a, b)

    def change(self, target: str) -> Text:
        """An expression that changes `target`, which it mentions once."""
        rnd = self.rnd
        mine = Expressions(rnd, [n for n in self.names if root_of(n) != root_of(target)])
        r = rnd.random()
        if r < 0.25:
            return Text(rnd.choice(["%s++", "%s--", "++%s", "--%s"]) % target)
        value = mine.expr(rnd.randint(0, 3))
        if r < 0.4:
            return fill(f"({target} = %s)", value)
        if r < 0.5:
            return fill(f"({target} {rnd.choice(['<<=', '>>='])} ((%s) & 7))", value)
        if r < 0.6:
            op = rnd.choice(["/=", "%%="])
            return fill(f"({target} {op} (((%s) & 1023) + 1))", value)
        return fill(f"({target} {rnd.choice(CHANGES)} (%s))", value)


def root_of(name: str) -> str:
    """What must not be changed and used in one expression: the variable up to its first subscript."""
    return name.split("[")[0].split(".")[0]


# ---- the two ways to run --------------------------------------------------------------------------


def run_c(tmp_path: Path, declarations: str, body: list[str]) -> list[int]:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to compare with")
    source = tmp_path / "x.c"
    head = "#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    show = '#define trace(e) printf("%lld\\n", (long long)(e))\n#define alloca(n) calloc(1, n)\n'
    source.write_text(
        f"{head}{show}{declarations}\nint main(void) {{\n" + "\n".join(body) + "\nreturn 0; }\n"
    )
    flags = ["-w", "-O1", "-fwrapv", "-fno-strict-aliasing"]
    subprocess.run(
        [compiler, *flags, "-o", str(tmp_path / "x"), str(source)], check=True, env=clean_env()
    )
    out = subprocess.run([tmp_path / "x"], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in out.split()]


def compare(what: list[str], want: list[int], got: list[int], seed: int) -> None:
    assert len(got) == len(want) == len(what)
    wrong = [x for x in zip(what, want, got, strict=True) if x[1] != x[2]]
    assert not wrong, f"seed {seed}: {len(wrong)} differ; (text, C, D): {wrong[0]}"


# ---- expressions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", range(BATCHES))
def test_expressions(tmp_path: Path, trace: Start, batch: int) -> None:
    """Values of all widths and signs, all operators, casts, constants."""
    rnd = random.Random(SEED + batch)
    variables = [(f"v{i}", t, value_of(rnd, t)) for i, t in enumerate(TYPES * 2)]
    gen = Expressions(rnd, [name for name, _, _ in variables])
    exprs = [gen.expr(rnd.randint(1, 5)) for _ in range(EXPRESSIONS // BATCHES)]

    c = "\n".join(f"volatile {t} {n} = ({t}){c_value(v)};" for n, t, v in variables)
    want = run_c(tmp_path, c, [f"trace({e.c});" for e in exprs])
    d = [f"{t} {n};" for n, t, _ in variables]
    d.append("BEGIN {" + "".join(f"{n} = ({t}){d_value(v)};" for n, t, v in variables) + "}")
    for i in range(0, len(exprs), PER_CLAUSE):
        body = "".join(f"trace((int64_t)({e.d}));\n" for e in exprs[i : i + PER_CLAUSE])
        d.append(f"BEGIN {{\n{body}}}")
    compare([e.d for e in exprs], want, trace("\n".join(d)).finish().data, SEED + batch)


def test_constants(tmp_path: Path, trace: Start) -> None:
    """Without variables the compiler computes: it must do as the kernel's code would."""
    rnd = random.Random(SEED + 100)
    gen = Expressions(rnd, [])
    exprs = [gen.expr(rnd.randint(1, 5)) for _ in range(EXPRESSIONS // BATCHES)]
    want = run_c(tmp_path, "", [f"trace({e.c});" for e in exprs])
    clauses = []
    for i in range(0, len(exprs), PER_CLAUSE):
        body = "".join(f"trace((int64_t)({e.d}));\n" for e in exprs[i : i + PER_CLAUSE])
        clauses.append(f"BEGIN {{\n{body}}}")
    compare([e.d for e in exprs], want, trace("\n".join(clauses)).finish().data, SEED + 100)


# ---- variables of every kind, changed ---------------------------------------------------------------

FIELDS = [
    ("int8_t", "a", 0),
    ("uint16_t", "b", 0),
    ("int64_t", "c", 0),
    ("int32_t", "f3", 3),
    ("uint32_t", "f5", 5),
    ("uint32_t", "f29", 29),
    ("int64_t", "f31", 31),
    ("uint8_t", "f1", 1),
    ("uint16_t", "f16", 16),
    ("uint32_t", "d", 0),
]
STRUCT = (
    "struct rec {\n"
    + "".join(f"\t{t} {n}{f' : {bits}' if bits else ''};\n" for t, n, bits in FIELDS)
    + "\tint16_t h[5];\n};\n"
)


class Variables:
    """What both languages declare, and the places in it that a program changes."""

    def __init__(self) -> None:
        self.places: list[tuple[str, str, int]] = []  # text, type, bits (0: all)
        self.d: list[str] = [STRUCT]
        inside: dict[str, list[str]] = {"this": [], "self": []}
        c = [STRUCT]
        for i, t in enumerate(TYPES):
            self.d += [f"{t} g{i};", f"this {t} t{i};", f"self {t} s{i};"]
            self.d += [f"{t} x{i}[int];", f"self {t} y{i}[int, int];"]
            c += [f"{t} g{i}, x{i}[4];"]
            inside["this"].append(f"{t} t{i};")
            inside["self"] += [f"{t} s{i}, y{i}[4][4];"]
            self.places += [(p % i, t, 0) for p in ("g%d", "this->t%d", "self->s%d")]
            self.places += [(f"x{i}[{i % 3}]", t, 0)]
        self.d += ["struct rec gr;", "this struct rec tr;", "self struct rec sr;"]
        self.d += ["struct rec xr[int];", "self struct rec yr[int];"]
        self.d += ["int16_t ga[6];", "this uint8_t ta[6];", "self int64_t sa[6];"]
        c += ["struct rec gr, xr[4];", "int16_t ga[6];"]
        inside["this"] += ["struct rec tr;", "uint8_t ta[6];"]
        inside["self"] += ["struct rec sr, yr[4];", "int64_t sa[6];"]
        for name in ("gr", "this->tr", "self->sr", "xr[2]", "self->yr[3]"):
            self.places += [(f"{name}.{f}", t, bits) for t, f, bits in FIELDS]
            self.places += [(f"{name}.h[3]", "int16_t", 0)]
        self.places += [("ga[4]", "int16_t", 0), ("this->ta[5]", "uint8_t", 0)]
        self.places += [("self->sa[0]", "int64_t", 0)]
        # memory of the program's own, reached through pointers
        for i, t in enumerate(TYPES):
            self.d.append(f"this {t} *p{i};")
            inside["this"].append(f"{t} *p{i};")
            self.places += [(f"this->p{i}[{i}]", t, 0)]
        self.d.append("this struct rec *q;")
        inside["this"].append("struct rec *q;")
        self.places += [(f"this->q->{f}", t, bits) for t, f, bits in FIELDS]
        for where, members in inside.items():
            c.append(f"struct {where}_vars {{ {' '.join(members)} }} {where}_mem;")
            c.append(f"struct {where}_vars *{where} = &{where}_mem;")
        self.c = "\n".join(c)

    def allocate(self) -> list[str]:
        body = [f"this->p{i} = ({t} *)alloca(128);" for i, t in enumerate(TYPES)]
        return [*body, "this->q = (struct rec *)alloca(sizeof (struct rec));"]


SELF_ELEMENTS = [(f"self->y{i}[1, {i % 4}]", f"self->y{i}[1][{i % 4}]") for i in range(len(TYPES))]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_changes(tmp_path: Path, trace: Start, batch: int) -> None:
    """=, op=, ++ and -- on every kind of variable; bit-fields; memory behind pointers."""
    seed = SEED + 1000 + batch
    rnd = random.Random(seed)
    variables = Variables()
    gen = Expressions(rnd, [name for name, _, _ in variables.places])
    d, c, what = [], [], []
    for _ in range(max(EXPRESSIONS // BATCHES // 60, 2)):
        body = [Text(line) for line in variables.allocate()]
        for name, t, bits in variables.places:
            v = value_of(rnd, t, bits)
            body.append(Text(f"{name} = ({t}){d_value(v)};", f"{name} = ({t}){c_value(v)};"))
        for (in_d, in_c), t in zip(SELF_ELEMENTS, TYPES, strict=True):
            v = value_of(rnd, t)
            body.append(Text(f"{in_d} = ({t}){d_value(v)};", f"{in_c} = ({t}){c_value(v)};"))
        for _ in range(30):
            name, t, _ = rnd.choice(variables.places)
            change = gen.change(name)
            body.append(fill("trace((int64_t)(%s));", change))
            body.append(Text(f"trace((int64_t)({name}));"))
            what += [change.d, f"{name} after {change.d}"]
            i = rnd.randrange(len(TYPES))
            in_d, in_c = SELF_ELEMENTS[i]
            op = rnd.choice(CHANGES)
            value = gen.expr(1)
            body.append(
                Text(f"trace((int64_t)({in_d} {op} {value.d}));", f"trace({in_c} {op} {value.c});")
            )
            what.append(f"{in_d} {op} {value.d}")
        d.append("BEGIN {\n" + "\n".join(t.d for t in body) + "\n}")
        c += [t.c for t in body]
    want = run_c(tmp_path, variables.c, c)
    got = trace("\n".join([*variables.d, *d])).finish().data
    compare(what, want, got, seed)


def test_pointers(tmp_path: Path, trace: Start) -> None:
    """Pointer arithmetic, and dereferences that change pointer or pointee."""
    rnd = random.Random(SEED + 2000)
    d, c, what = [], [], []
    declared = "".join(f"this {t} *p{i}; this {t} *q{i};\n" for i, t in enumerate(TYPES))
    in_c = "struct vars {" + "".join(f"{t} *p{i}, *q{i};" for i, t in enumerate(TYPES))
    in_c += "} mem, *this = &mem;"
    for i, t in enumerate(TYPES):
        p, q = f"this->p{i}", f"this->q{i}"
        body = [f"{p} = ({t} *)alloca(128);"]
        for k in range(128 * 8 // width(t)):
            body.append(f"{p}[{k}] = ({t}){rnd.randrange(100)};")
        shown = [
            f"*{p}",
            f"*({p} + 3)",
            f"({q} = {p} + 5) - {p}",
            f"*{q}++",
            f"*{q}",
            f"*--{q}",
            f"(*{q})++",
            f"++*{q}",
            f"{q} - {p}",
            f"({q} += 2) - {p}",
            f"*({q} -= 1)",
            f"{q} > {p}",
            f"{q} == {p} + 6",
            f"{p} < {q} ? *{p} : *{q}",
            f"&{p}[4] - {p}",
            f"*&{p}[4]",
            f"*{p} = *{q} + 1",
            f"{p}[*{p} & 7]",
            f"*({p} + (*{q} & 7)) <<= 1",
            f"(char *){q} - (char *){p}",
            f"{p}[{q}[-1] & 3] += {q}[1]",
            f"!{p}",
            f"{p} != 0 && *{p}",
        ]
        body += [f"trace((int64_t)({e}));" for e in shown]
        what += [f"{t}: {e}" for e in shown]
        d.append("BEGIN {\n" + "\n".join(body) + "\n}")
        c += body
    want = run_c(tmp_path, in_c, c)
    compare(what, want, trace(declared + "\n".join(d)).finish().data, SEED + 2000)


def test_effects_happen_once(tmp_path: Path, trace: Start) -> None:
    """The place that is changed is computed once, whatever kind of place it is."""
    declared = STRUCT + "int ga[6]; int i; struct rec gr;"
    shown = [
        "ga[i++] = 7",
        "ga[i++] += 3",
        "ga[i++]++",
        "--ga[i--]",
        "xr[i++].f5 += 30",
        "xr[i++].f5++",
        "xr[i--].f3 = 9",
        "xr[i--].f31 -= 1",
        "xr[i++].h[2] = 70000",
        "x[i++] = i0 = 5",
        "x[i++] -= 5",
        "++x[i--]",
        "self->y[i++] = 4",
        "self->y[i--]--",
        "*this->p++ = 11",
        "*this->p++ += 12",
        "(*this->p++)++",
        "this->p - this->q",
        "this->q[0] + this->q[1] * 100 + this->q[2] * 10000",
        "i++ ? i++ : i",
        "(i += 2, i) + 1",
        "0 && i++",
        "1 || i++",
        "i++ && i++",
    ]
    body = ["this->p = this->q = (int *)alloca(32);", "i = 0;"]
    body += ["this->q[0] = 1; this->q[1] = 2; this->q[2] = 3;"]
    body += [f"trace((int64_t)({e})); trace(i);" for e in shown]
    d = f"{declared} int i0; int x[int]; self int y[int]; struct rec xr[int];"
    d += " this int *p; this int *q; BEGIN {\n" + "\n".join(body) + "\n}"
    c = f"{declared} struct rec xr[9]; int x[9], i0;"
    c += "struct s { int y[9]; } s, *self = &s; struct t { int *p, *q; } t, *this = &t;"
    what = [w for e in shown for w in (e, f"i after {e}")]
    compare(what, run_c(tmp_path, c, body), trace(d).finish().data, 0)
