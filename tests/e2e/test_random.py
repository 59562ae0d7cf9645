# SPDX-License-Identifier: Apache-2.0
"""Random programs of everything the language has: what compiles must load, run and be readable.

What they compute is looked at by test_differential.py; here it is the kernel's verifier that must never
be surprised.  PYDTRACE_RANDOM_PROGRAMS sets how many a run tries, PYDTRACE_RANDOM_SEED where it begins;
a failure shows the seed and the program.
"""

from __future__ import annotations

import os
import random
import re
import warnings
from collections.abc import Callable

import pytest
from conftest import PATIENCE

import dtrace

pytestmark = pytest.mark.kernel

SEED = int(os.environ.get("PYDTRACE_RANDOM_SEED", "71123"))
PROGRAMS = int(os.environ.get("PYDTRACE_RANDOM_PROGRAMS", "200" if PATIENCE < 100 else "40"))

DECLARED = """
struct pair { int a; char name[12]; short f3 : 3; unsigned f9 : 9; long b; int t[4]; };
int g1; uint8_t g2; int64_t g3; string gs1, gs2; struct pair gp; int ga[8];
self int s1; self uint64_t s2; self string ss1; self struct pair sp;
this short t1; this uint64_t t2; this string ts1; this struct pair tp; this int *p1; this char *p2;
int x1[int]; string x2[string, int]; struct pair x3[int, uint8_t]; self int y1[string];
inline int TWO = 2; enum { RED = 5, GREEN };
struct named { int a; string n; struct pair p; }; struct named gn, xn[string]; self struct named sn; this struct named tn;
string gsa[4], x4[string, string, struct pair]; union views { int i; char c[8]; long l; } gu;
inline string word[int i] = i == 1 ? "one" : lltostr(i);
"""

# What stands for a random part: <i> integer, <s> string, <P> and <S> places of them, <T> statement, <o> operator.
INT_PLACES = [
    *"g1 g2 g3 self->s1 self->s2 this->t1 this->t2 gp.a gp.f3 gp.f9 gp.b self->sp.a".split(),
    *"self->sp.f9 this->tp.t[1] gp.name[3] ga[3] x1[<i>] x3[<i>,2].b x3[1,g2].f9".split(),
    *"self->y1[<s>] ga[<i>&7] this->p1[<i>&3] (*this->p1) (*(this->p1+1))".split(),
    *"this->p2[<i>&7] gp.t[<i>&3] x3[<i>,<i>].t[<i>&3] self->sp.name[2]".split(),
    *"gn.a self->sn.p.b this->tn.p.t[2] xn[<s>].a gu.i gu.c[<i>&7] xn[gs1].p.f9".split(),
]
INT_VALUES = [
    *INT_PLACES,
    *"pid tid uid gid ppid cpu timestamp walltimestamp id epid errno TWO RED arg0 arg1".split(),
    *"strlen(<s>) index(<s>,<s>) rindex(<s>,<s>,<i>) strtoll(<s>) rand() htons(<i>)".split(),
    *"curthread->pid curthread->real_parent->tgid progenyof(<i>) (<s>==<s>) (<s><<s>)".split(),
    *'(<s>!="abc") (this->p1==NULL) (this->p1-this->p1) getmajor(<i>)'.split(),
    "sizeof (gp)",
]
STRING_PLACES = [
    *"gs1 gs2 self->ss1 this->ts1 x2[<s>,<i>] gn.n self->sn.n xn[<s>].n gsa[<i>&3]".split(),
    "x4[<s>,<s>,gp]",
]
STRINGS = [
    *STRING_PLACES,
    *'execname probefunc probename probeprov "abc" "a/b/c" ""'.split(),
    *"strjoin(<s>,<s>) substr(<s>,<i>) substr(<s>,<i>,<i>) basename(<s>) dirname(<s>)".split(),
    *"toupper(<s>) lltostr(<i>) lltostr(<i>,16) strchr(<s>,<i>) strstr(<s>,<s>)".split(),
    *"stringof(gp.name) stringof(curthread->comm) (<i>?<s>:<s>) copyinstr(<i>)".split(),
    *'copyinstr(<i>,20) strtok(<s>,"/b") cleanpath(<s>) word[<i>] tolower(<s>)'.split(),
    *"json(<s>,<s>) curpsinfo->pr_psargs fds[<i>].fi_name".split(),
]
BINARY = "+ - * / % & | ^ << >> < <= > >= == != && || ^^".split()
STATEMENTS = [
    "trace(<i>);",
    "trace(<s>);",
    'printf("%d %s %x\\n", <i>, <s>, <i>);',
    "trace(gp);",
    "tracemem(this->p1, 16);",
    "stack(3);",
    "ustack(4);",
    "<P> = <i>;",
    "<P> = <i>;",
    "<P> <o>= <i>;",
    "<P>++;",
    "--<P>;",
    "<S> = <s>;",
    "<S> = <s>;",
    "gp = this->tp;",
    "self->sp = gp;",
    "x3[<i>, 1] = self->sp;",
    "this->tp = x3[1, 2];",
    "x1[<i>] = 0;",
    "x2[<s>, <i>] = 0;",
    "self->ss1 = 0;",
    "self->sp = 0;",
    "this->p1 = (int *)alloca(16);",
    "this->p2 = (char *)alloca(20);",
    "this->p2 = (char *)copyin(<i>, 8);",
    "@a[<s>, <i>] = count();",
    "@b[<i>] = sum(<i>);",
    "@c = avg(<i>);",
    "@d[<s>] = min(<i>);",
    "@e = max(<i>);",
    "@f = quantize(<i>);",
    "@g[<i>] = quantize(<i>, <i>);",
    "@h[<s>] = lquantize(<i>, 0, 100, 10);",
    "@j[probefunc] = stddev(<i>);",
    "@k[stack(2), gs1] = count();",
    "@l = llquantize(<i>, 10, 0, 6, 20);",
    'TWO ? printf("%s %d\\n", <s>, <i>) : 1;',
    "gn = self->sn;",
    "xn[<s>] = gn;",
    "this->tn = xn[<s>];",
    "trace(gn.p);",
    "@m[<s>, <s>, <i>, gp] = count();",
    "if (<i>) { <T> }",
    "if (<i>) { <T> } else { <T> <T> }",
    "if (<s> == <s>) { <T> } else if (<i>) { <T> }",
]
PROBES = [
    *["BEGIN"] * 6,
    *"END ERROR tick-10ms profile-97 syscall::getppid:entry syscall:::return".split(),
    *"syscall::*read*: syscall::openat:entry,syscall::close:return".split(),
]


class Programs:
    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)

    def fill(self, pattern: str, depth: int) -> str:
        rnd = self.rnd
        makers: dict[str, Callable[[int], str]] = {
            "i": self.integer,
            "s": self.string,
            "P": lambda d: self.fill(rnd.choice(INT_PLACES), min(d, 1)),
            "S": lambda d: self.fill(rnd.choice(STRING_PLACES), min(d, 1)),
            "T": self.statement,
            "o": lambda d: rnd.choice("+ - * & | ^ << >> / %".split()),
        }
        return re.sub("<([isPSTo])>", lambda m: makers[m[1]](depth - 1), pattern)

    def integer(self, depth: int) -> str:
        rnd = self.rnd
        r = rnd.random()
        if depth <= 0 or r < 0.2:
            return str(rnd.choice([0, 1, 2, 7, 8, 255, 65536, -1, 2**31, 2**40]))
        if r < 0.6:
            return self.fill(rnd.choice(INT_VALUES), depth)
        if r < 0.7:
            return (
                f"({rnd.choice(['char', 'uint16_t', 'int', 'int64_t'])})({self.integer(depth - 1)})"
            )
        if r < 0.77:
            return self.fill("(<i> ? <i> : <i>)", depth)
        if r < 0.85:
            return f"{rnd.choice('-~!')}({self.integer(depth - 1)})"
        return f"({self.integer(depth - 1)} {rnd.choice(BINARY)} {self.integer(depth - 1)})"

    def string(self, depth: int) -> str:
        return self.fill(self.rnd.choice(STRINGS if depth > 0 else STRINGS[:17]), depth)

    def statement(self, depth: int) -> str:
        return self.fill(self.rnd.choice(STATEMENTS if depth > 0 else STATEMENTS[:-3]), depth)

    def clause(self) -> str:
        rnd = self.rnd
        pred = f" / {self.integer(2)} /" if rnd.random() < 0.4 else ""
        body = " ".join(self.statement(rnd.randint(1, 4)) for _ in range(rnd.randint(1, 6)))
        memory = "this->p1 = (int *)alloca(16); this->p2 = (char *)alloca(8);"
        return f"{rnd.choice(PROBES)}{pred}\n{{ {memory} {body} }}\n"

    def program(self) -> str:
        return DECLARED + "".join(self.clause() for _ in range(self.rnd.randint(1, 8)))


def attempt(seed: int) -> None:
    text = Programs(seed).program()
    try:
        # faults and drops are to be expected
        with dtrace.DTraceConsumer("embedded", on_drop=str, on_error=str) as c:
            c.setopt("strsize", str(random.Random(seed).choice([256, 256, 32, 4096])))
            c.setopt("bufsize", "64k")
            c.strcompile(text)
            c.go()
            c.consume(lambda probe, rec: None)
            c.stop()
            c.consume(lambda probe, rec: None)
            c.aggwalk(lambda varid, key, value: None)
    except dtrace.DTraceError as e:
        # the one mistake that random programs make
        if "division by zero" not in str(e):
            pytest.fail(f"seed {seed}: {e}\n{text}")


@pytest.mark.parametrize("batch", range(4))
def test_random_programs(batch: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dtrace.DTraceWarning)
        for i in range(PROGRAMS // 4):
            attempt(SEED + batch * 1_000_000 + i)
