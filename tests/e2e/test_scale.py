# SPDX-License-Identifier: Apache-2.0
"""Large programs: what compiles must load, and compute what is right; limits are named with their line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from conftest import PATIENCE, Trace

import dtrace

Start = Callable[..., Trace]
Watch = Callable[..., Trace]

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SLOW = PATIENCE > 100  # an emulated kernel
LONG = 65536
TEXT = "".join(chr(97 + i % 26) for i in range(3000))  # as long as a literal may well be


def in_int(v: int) -> int:
    return (v + 2**31) % 2**32 - 2**31


# ---- many clauses ---------------------------------------------------------------------------------


def test_thousand_clauses(trace: Start) -> None:
    start = time.process_time()  # loading is our own time too
    t = trace("int x;" + "".join(f"BEGIN /x == {i}/ {{ x++; trace(x); }}\n" for i in range(1000)))
    assert time.process_time() - start < (PATIENCE if SLOW else 3)
    assert t.finish().data == list(range(1, 1001))


def test_thousand_clauses_on_a_system_call(watch: Watch) -> None:
    t = watch(
        "".join(f"syscall::getppid:entry /pid == $1/ {{ trace({i}); }}\n" for i in range(1000)),
        ("getppid", 3),
    )
    assert t.data == [*range(1000)] * 3


def test_thousand_clauses_that_may_fault(trace: Start) -> None:
    n = 200 if SLOW else 1000
    clauses = "".join(f"BEGIN {{ trace({i} / x); }}\n" for i in range(n))
    t = trace("int x; BEGIN { x = 1; } ERROR { @ = count(); }" + clauses)
    assert t.finish().data == list(range(n))


def test_every_clause_faults(trace: Start) -> None:
    t = trace(
        "int x; ERROR { @ = count(); }" + "".join("BEGIN { trace(1 / x); }" for _ in range(60))
    )
    t.finish()
    assert t.data == [] and len(t.faults) == 60
    assert t.aggregations() == {1: {(): 60}}


def test_exit_passes_over_a_thousand_clauses(trace: Start) -> None:
    rest = "".join(f"BEGIN {{ trace({i}); trace({i}); trace({i}); }}" for i in range(1000))
    t = trace("BEGIN { trace(7); exit(0); }" + rest).to_exit()
    assert t.data[0] == 7 and t.data[1:] in ([], [0])


def test_more_clauses_than_a_mask_has_bits(watch: Watch) -> None:
    """150 clauses, each for its own set of system calls, at one attach point."""
    rnd = random.Random(7)
    calls = {
        "getppid": ("getppid", 1),
        "openat": ("open", 1, "/dev/null"),
        "clock_nanosleep": ("sleep", 1, 1),
    }
    wants = [rnd.sample(sorted(calls), rnd.randint(1, 3)) for _ in range(150)]
    text = "".join(
        ",".join(f"syscall::{c}:entry" for c in names) + f" /pid == $1/ {{ trace({i}); }}\n"
        for i, names in enumerate(wants)
    )
    t = watch(text, *calls.values())
    want = [i for c in calls for i, names in enumerate(wants) if c in names]
    assert t.data == want


def test_globs_with_different_clauses(watch: Watch) -> None:
    """Patterns that overlap: each firing runs the clauses of all that match, in program order."""
    patterns = ["getp*", "get*", "*ppid", "get?pid", "getppid", "g*d", "[a-g]*", "*", ""]
    patterns *= 9
    text = "".join(
        f'syscall::{p}:entry /pid == $1 && probefunc == "getppid"/ {{ trace({i}); }}\n'
        for i, p in enumerate(patterns)
    )
    t = watch(text, ("getppid", 2))
    assert t.data == [*range(len(patterns))] * 2


def test_many_attach_points(trace: Start) -> None:
    t = trace(
        "".join(f"tick-{i + 10}ms {{ @[{i}] = count(); }}" for i in range(40))
        + "tick-1s { exit(0); }"
    ).to_exit()
    assert set(t.aggregations()[1]) == set(range(40))


# ---- deep and long --------------------------------------------------------------------------------


def nested(pattern: str, depth: int, inner: str = "x") -> str:
    for i in range(depth):
        inner = pattern.replace("@", inner).replace("#", str(i))
    return inner


NESTED = {
    "left": ("(@ + (y + #))", lambda v, i: v + 2 + i),
    "right": ("((y + #) - @)", lambda v, i: 2 + i - v),
    "xor": ("((y + #) ^ @)", lambda v, i: (2 + i) ^ v),
    "cast": ("(int)(char)(@ + 1)", lambda v, i: (v + 1 + 128) % 256 - 128),
    "minus": ("-(~@)", lambda v, i: v + 1),
    "then": ("(y == 2 ? @ + 1 : #)", lambda v, i: v + 1),
    "else": ("(y == # + 3 ? -# : @)", lambda v, i: v),
    "condition": ("((@ > 0) ? # + 1 : 0)", lambda v, i: i + 1),
    "comma": ("(y, @)", lambda v, i: v),
    "divide": ("((y + 1000000) / (@ & 7 | 1))", lambda v, i: 1000002 // (v & 7 | 1)),
    "index": ("this->a[@ & 3]", lambda v, i: [3, 2, 0, 1][v & 3]),
    "assoc": ("z[@]", lambda v, i: (v + 1) % 8 if 0 <= v < 8 else 0),
    "assign": ("(w# = @ + 1)", lambda v, i: v + 1),
    "strlen": ('(strlen("abc") + @)', lambda v, i: v + 3),
    "both": ("(@ + @)", lambda v, i: v + v),
}


@pytest.mark.parametrize("depth", [60, 120])
@pytest.mark.parametrize("name", [n for n in NESTED if n != "both"])
def test_nested(trace: Start, name: str, depth: int) -> None:
    pattern, step = NESTED[name]
    want = 1
    for i in range(depth):
        want = step(want, i)
    t = trace(
        "int z[int]; this int *a; BEGIN { x = 1; y = 2; this->a = (int *)alloca(16);"
        "this->a[0] = 3; this->a[1] = 2; this->a[2] = 0; this->a[3] = 1;"
        + "".join(f"z[{k}] = {(k + 1) % 8};" for k in range(8))
        + f"trace((int)({nested(pattern, depth)})); }}"
    )
    assert t.finish().data == [in_int(want)]


def test_balanced(trace: Start) -> None:
    t = trace(f"BEGIN {{ x = 1; trace({nested('(@ + @)', 10)}); }}")
    assert t.finish().data == [1024]


def test_nested_strings(trace: Start) -> None:
    left = nested('strjoin(@, "#")', 60, '"a"')
    right = nested('strjoin("#", @)', 60, '"a"')
    t = trace(f"BEGIN {{ trace({left}); trace({right}); }}", strsize=512)
    digits = [str(i) for i in range(60)]
    assert t.finish().data == ["a" + "".join(digits), "".join(reversed(digits)) + "a"]


def test_nested_ifs(trace: Start) -> None:
    text = nested("if (x == @) { trace(#); } else { trace(-1); }", 1, "1")
    for i in range(60):
        text = f"if (x < {i + 2}) {{ {text} }} else {{ trace(-{i}); }}"
    assert trace(f"BEGIN {{ x = 1; {text} }}").finish().data == [0]


def test_long_conditions(trace: Start) -> None:
    text = "".join(
        f"trace(({f' {op} '.join(f'x != {i}' for i in range(200))}) ? 1 : 0);"
        for op in ("&&", "||", "^^")
    )
    assert trace(f"BEGIN {{ x = 100; {text} }}").finish().data == [0, 1, 1]


def test_long_clause(trace: Start) -> None:
    """Longer than a jump of the machine reaches."""
    body = "".join(f"z[{i}] = z[{i // 2}] / x + {i - i // 2};" for i in range(1500))
    t = trace(
        f"int z[1500]; BEGIN {{ x = 1; }} BEGIN /x == 2/ {{ {body} trace(0); }}"
        f"BEGIN /x == 1/ {{ {body} trace(z[1499]); }}"
    )
    assert t.finish().data == [1499]


def test_thousand_actions(trace: Start) -> None:
    t = trace("BEGIN {" + "".join(f"trace({i});" for i in range(1000)) + "}")
    assert t.finish().data == list(range(1000))


def test_comparisons_of_strings(trace: Start) -> None:
    """Each takes some stack, and gives it back."""
    each = "".join(f'trace(a < b ? {i} : -1); trace(strjoin(a, "x") == b);' for i in range(20))
    whole = " + ".join(f"(a == b ? 1 : {i})" for i in range(30))
    t = trace(f'BEGIN {{ a = "abc"; b = "abd"; {each} trace({whole}); }}').finish()
    assert t.data == [v for i in range(20) for v in (i, 0)] + [sum(range(30))]


def test_every_subroutine(trace: Start) -> None:
    t = trace(
        'BEGIN { s = "/usr/Lib/x"; trace(basename(s)); trace(dirname(s)); trace(strlen(s));'
        'trace(substr(s, 1, 3)); trace(strjoin(s, "y")); trace(index(s, "L")); trace(rindex(s, "/"));'
        'trace(strchr(s, 76)); trace(strrchr(s, 47)); trace(strstr(s, "Lib")); trace(tolower(s));'
        'trace(toupper(s)); trace(lltostr(-5)); trace(strtoll("-0123")); trace(htons(0x1234));'
        "trace(htonl(0x12345678)); trace(ntohll(1)); trace(getmajor(0x100002)); trace(getminor(3));"
        "trace(progenyof(1)); trace(rand() < 0 ? 1 : 1); trace(*(int *)alloca(4)); }"
    )
    assert t.finish().data == [
        *("x", "/usr/Lib", 10, "usr", "/usr/Lib/xy", 5, 8, "Lib/x", "/x", "Lib/x", "/usr/lib/x"),
        *("/USR/LIB/X", "-5", -123, 0x3412, 0x78563412, 1 << 56, 1, 3, 1, 1, 0),
    ]


# ---- many names -----------------------------------------------------------------------------------


def test_two_hundred_variables(trace: Start) -> None:
    n = 200
    made = "".join(f"v{i} = {i}; self->s{i} = {i} * 2; this->t{i} = {i} * 3;" for i in range(n))
    total = " + ".join(f"v{i} * self->s{i} - this->t{i}" for i in range(n))
    t = trace(f"BEGIN {{ {made} }} BEGIN {{ trace({total}); }}")
    assert t.finish().data == [in_int(sum(2 * i * i - 3 * i for i in range(n)))]


@pytest.mark.parametrize("n", [10, 200])
def test_many_arrays(trace: Start, n: int) -> None:
    made = "".join(
        f'a{i}[{i}, "k{i}"] = {i}; b{i}["x"] = "{i}"; self->c{i}[{i}] = {i};' for i in range(n)
    )
    shown = "".join(
        f'trace(a{i}[{i}, "k{i}"]); trace(b{i}["x"]); trace(self->c{i}[{i}]); trace(a{i}[0, ""]);'
        for i in range(n)
    )
    t = trace(f"BEGIN {{ {made} }} BEGIN {{ {shown} }}", dynvarsize="4m")
    assert t.finish().data == [v for i in range(n) for v in (i, str(i), i, 0)]


@pytest.mark.parametrize("n", [5, 60])
def test_many_aggregations(trace: Start, n: int) -> None:
    t = trace(
        'BEGIN { x = "a key"; '
        + "".join(
            f"@a{i}[{i}, x] = sum({i}); @b{i} = quantize({i}); @c{i}[x] = avg({i}); @d{i} = count();"
            f"@e{i}[{i}] = stddev({i}); @f{i}[x, x] = lquantize({i}, 0, 100);"
            for i in range(n)
        )
        + "}"
    )
    rows = t.finish().aggregations()
    assert len(rows) == 6 * n
    for i in range(n):
        assert rows[6 * i + 1] == {(i, "a key"): i}
        assert rows[6 * i + 3] == {"a key": i}
        assert rows[6 * i + 4] == {(): 1}
        assert set(rows[6 * i + 6]) == {("a key", "a key")}


# ---- several programs -----------------------------------------------------------------------------


def test_fifty_programs_on_a_handle(trace: Start) -> None:
    """They share globals and aggregations, and run in the order in which they were compiled."""
    t = Trace()
    try:
        t.consumer.strcompile("int x; BEGIN { trace(x); @ = count(); }")
        for i in range(1, 50):
            t.consumer.strcompile(f"BEGIN {{ x += {i}; trace(x); @ = count(); @k[{i}] = sum(x); }}")
        t.consumer.go()
        t.finish()
        assert t.data == [sum(range(i + 1)) for i in range(50)]
        assert t.aggregations() == {1: {(): 50}, 2: {i: sum(range(i + 1)) for i in range(1, 50)}}
    finally:
        t.consumer.close()


# ---- long strings ---------------------------------------------------------------------------------


def test_long_variables(trace: Start) -> None:
    t = trace(
        f'BEGIN {{ g = "{TEXT}"; this->t = g; self->s = strjoin(g, this->t); a[1] = self->s; }}'
        "BEGIN { trace(g); trace(this->t); trace(self->s); trace(a[1]); trace(a[2]); }",
        strsize=LONG,
    )
    assert t.finish().data == [TEXT, TEXT, TEXT * 2, TEXT * 2, ""]


def test_long_keys(trace: Start) -> None:
    t = trace(
        f'BEGIN {{ g = "{TEXT}"; x[g] = 5; x[strjoin(g, "a")] = 6; self->y[g, 1] = 7; @[g] = count();'
        '@[strjoin(g, "b")] = count(); trace(x[g]); trace(x[strjoin(g, "a")]); trace(x["a"]);'
        "trace(self->y[g, 1]); }",
        strsize=LONG,
    )
    assert t.finish().data == [5, 6, 0, 7]
    assert t.aggregations() == {1: {TEXT: 1, TEXT + "b": 1}}


def test_long_results(trace: Start) -> None:
    big = TEXT * 16
    t = trace(
        f'BEGIN {{ g = "{TEXT}"; g = strjoin(g, g); g = strjoin(g, g); g = strjoin(g, g);'
        "g = strjoin(g, g); }"
        'BEGIN { trace(strlen(g)); trace(g); trace(g == strjoin(g, "")); trace(g < strjoin(g, "a"));'
        'trace(substr(g, 47990)); trace(index(g, "za", 40000)); trace(strlen(strjoin(g, g)));'
        "trace(toupper(g)); trace(strlen(strrchr(g, 97))); }",
        strsize=LONG,
    )
    assert t.finish().data == [
        *(len(big), big, 1, 1, big[47990:], big.index("za", 40000), LONG - 1),
        *(big.upper(), len(big) - big.rindex("a")),
    ]


def test_many_long_strings(trace: Start) -> None:
    body = "".join(f's{i} = "{i}"; this->t{i} = strjoin(s{i}, "a");' for i in range(20))
    t = trace(f"BEGIN {{ {body} }} BEGIN {{ trace(this->t19); trace(s0); }}", strsize=LONG)
    assert t.finish().data == ["19a", "0"]


def test_strings_of_the_traced_process(watch: Watch, tmp_path) -> None:
    name = "/dev/null/" + "x" * 3000
    t = watch(
        "syscall::openat:entry /pid == $1/ { self->p = copyinstr(arg1); trace(copyinstr(arg1)); }"
        "syscall::openat:return /pid == $1/ { trace(strlen(self->p)); @[self->p] = count(); }",
        ("open", 1, name),
        strsize=LONG,
    )
    assert t.data == [name, len(name)]
    assert t.aggregations() == {1: {name: 1}}


@pytest.mark.parametrize("strsize", [8, 9, 100, 255, 256, 257, 4096])
def test_results_are_cut_at_strsize(trace: Start, strsize: int) -> None:
    t = trace(
        f'BEGIN {{ g = "{TEXT[:200]}"; g = strjoin(g, g); trace(g); trace(strlen(g)); a[g] = 1;'
        "trace(a[g]); @[g] = count(); self->s = g; trace(self->s == g); }",
        strsize=strsize,
    )
    want = (TEXT[: min(200, strsize - 1)] * 2)[: strsize - 1]
    assert t.finish().data == [want, len(want), 1, 1]
    assert t.aggregations() == {1: {want: 1}}


# ---- limits ---------------------------------------------------------------------------------------


def refused(text: str, **options: object) -> str:
    with dtrace.DTraceConsumer("embedded") as c:
        for name, value in options.items():
            c.setopt(name, str(value))
        with pytest.raises(dtrace.DTraceError) as error:
            c.strcompile(text)
            c.go()
    return str(error.value)


def test_stack_limit() -> None:
    """What is changed on the way has to be computed in order: a hundred values do not fit."""
    deep = nested("(x * 2 + (y# = @))", 100)
    message = refused(f"int x; BEGIN {{ x = 2; }}\nBEGIN\n{{\n\tx = 1;\n\ttrace({deep});\n}}")
    assert message.startswith("line 5: ")
    assert "stack of 512 bytes" in message


@pytest.mark.slow
def test_instruction_limit() -> None:
    """The verifier follows the ERROR clauses once for each clause that may fault."""
    if SLOW:
        pytest.skip("takes minutes here")
    errors = "".join("ERROR { trace(arg1); @[arg2] = count(); trace(arg3); }\n" for _ in range(40))
    faults = "".join(f"BEGIN {{ trace({i} / x); }}\n" for i in range(1000))
    message = refused(f"int x;\n{errors}BEGIN {{ x = 1; }}\n{faults}")
    assert "BPF program is too large" in message
    assert message.startswith("line ")
    assert 1 < int(message.split(":")[0].split()[1]) <= 1042
