"""Random well-typed integer expressions, as D on the kernel and as C through the system's compiler.

The same text is valid in both languages.  C's undefined corners are kept out (shift counts and divisors are
bounded) or defined by -fwrapv, so the results must be equal bit for bit.  PYDTRACE_DIFF_EXPRS sets how many
expressions one run compares; a failure names the seed.
"""

import os
import random
import subprocess

import pytest

TYPES = [f"{u}int{w}_t" for w in (8, 16, 32, 64) for u in ("", "u")]
BINARY = ["+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "&&", "||"]
PER_CLAUSE = 12

pytestmark = pytest.mark.kernel


class Generator:
    def __init__(self, seed):
        self.rnd = random.Random(seed)
        self.vars = [(f"v{i}", t, self.value(t)) for i, t in enumerate(TYPES * 2)]

    def value(self, ctype):
        width = int("".join(c for c in ctype if c.isdigit()))
        bits = self.rnd.choice([1, width // 2, width - 1, width])
        v = self.rnd.getrandbits(bits)
        if ctype.startswith("int"):
            v = (v ^ (1 << (width - 1))) - (1 << (width - 1)) if v >> (width - 1) else v
            if self.rnd.random() < 0.4:
                v = -v
            low, high = -(1 << (width - 1)) + 1, (1 << (width - 1)) - 1
            v = max(low, min(high, v))
        return v

    def literal(self):
        v = self.rnd.choice([0, 1, 2, 7, 127, 128, 255, 65535, 2**31 - 1, 2**31, 2**32, 2**63 - 1])
        return f"{v}{self.rnd.choice(['', 'u' if v else '', 'l', 'ul'])}"

    def expr(self, depth):
        r = self.rnd.random()
        if depth == 0 or r < 0.1:
            return self.rnd.choice(self.vars)[0] if r < 0.8 or depth else self.literal()
        if r < 0.2:
            return f"({self.rnd.choice(TYPES)})({self.expr(depth - 1)})"
        if r < 0.32:
            return f"{self.rnd.choice('-~!')}({self.expr(depth - 1)})"
        if r < 0.42:
            op = self.rnd.choice(["<<", ">>"])
            return f"(({self.expr(depth - 1)}) {op} (({self.expr(depth - 1)}) & 7))"
        if r < 0.52:
            op = self.rnd.choice(["/", "%"])
            return f"(({self.expr(depth - 1)}) {op} ((({self.expr(depth - 1)}) & 1023) + 1))"
        if r < 0.62:
            a, b, c = (self.expr(depth - 1) for _ in range(3))
            return f"(({a}) ? ({b}) : ({c}))"
        return f"(({self.expr(depth - 1)}) {self.rnd.choice(BINARY)} ({self.expr(depth - 1)}))"


def c_literal(v):
    return f"({v}ll)" if v < 2**63 else f"({v}ull)"


def run_c(tmp_path, gen, exprs):
    lines = ["#include <stdint.h>", "#include <stdio.h>"]
    lines += [f"volatile {t} {n} = ({t}){c_literal(v)};" for n, t, v in gen.vars]
    lines.append("int main(void) {")
    lines += [f'printf("%lld\\n", (long long)({e}));' for e in exprs]
    lines.append("return 0; }")
    (tmp_path / "x.c").write_text("\n".join(lines))
    subprocess.run(
        ["gcc", "-w", "-O1", "-fwrapv", "-o", tmp_path / "x", tmp_path / "x.c"], check=True
    )
    out = subprocess.run([tmp_path / "x"], check=True, capture_output=True, text=True).stdout
    return [int(line) for line in out.split()]


def run_d(gen, exprs):
    import dtrace

    lines = [f"{t} {n};" for n, t, _ in gen.vars]
    lines.append("BEGIN {")
    for n, t, v in gen.vars:
        # -x is an expression: the smallest value has no literal of its own, and is not generated
        lines.append(f"{n} = ({t}){v}{'u' if v >= 2**63 else ''};")
    lines.append("}")
    for i in range(0, len(exprs), PER_CLAUSE):
        body = "".join(f"trace((int64_t)({e}));\n" for e in exprs[i : i + PER_CLAUSE])
        lines.append(f"BEGIN {{\n{body}}}")
    got = []
    with dtrace.DTraceConsumer() as c:
        c.strcompile("\n".join(lines))
        c.go()
        c.stop()
        c.consume(lambda probe, rec: got.append(rec) if rec is not None else None)
    return got


@pytest.mark.parametrize("batch", range(4))
def test_expressions(tmp_path, batch):
    total = int(os.environ.get("PYDTRACE_DIFF_EXPRS", "2400"))
    seed = int(os.environ.get("PYDTRACE_DIFF_SEED", "20261123")) + batch
    gen = Generator(seed)
    exprs = [gen.expr(gen.rnd.randint(1, 5)) for _ in range(total // 4)]
    want, got = run_c(tmp_path, gen, exprs), run_d(gen, exprs)
    assert len(got) == len(want)
    wrong = [(e, w, g) for e, w, g in zip(exprs, want, got, strict=True) if w != g]
    assert not wrong, f"seed {seed}: {len(wrong)} differ, first: {wrong[0]}"
