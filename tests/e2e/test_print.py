# SPDX-License-Identifier: Apache-2.0
"""print(): values by their types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import dtrace

pytestmark = pytest.mark.kernel

TYPES = """
enum colour { RED = 1, BLUE };
struct inner { int q; };
struct point {
    int x; int b:3; unsigned u:5; char name[8]; enum colour c;
    struct { int in; int zero; };
    union { long l; short s[4]; } v;
    struct point *next; int a[4]; double f; struct inner list[3]; unsigned char bytes[20];
};
struct point g;
"""
SET = """
    g.x = -3; g.b = -1; g.u = 17; g.in = 4; g.c = BLUE; g.a[1] = 5; g.v.l = 65537;
    g.name[0] = 'a'; g.name[1] = '\\n'; g.list[1].q = 7; g.bytes[17] = 255;
"""
MEMBERS = """\
	.x = (int)-3,
	.b = (int)-1,
	.u = (unsigned int)17,
	.name = (char [8]) "a\\n",
	.c = (enum colour)BLUE,
	.in = (int)4,
	.v = (union (anonymous)) {
		.l = (long)65537,
		.s = (short [4]) { 1, 1 },
	},
	.a = (int [4]) { 0, 5 },
	.list = (struct inner [3]) {
		[1] = (struct inner) {
			.q = (int)7,
		},
	},
	.bytes = (unsigned char [20]) { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 255 },
}
"""


@pytest.fixture
def printed(trace: Callable[..., Any]) -> Callable[..., list[Any]]:
    def run(program: str, **options: Any) -> list[Any]:
        return trace(program, **options).finish().data  # type: ignore[no-any-return]

    return run


def test_struct(printed):
    (text,) = printed(f"{TYPES} BEGIN {{ {SET} print(g); }}")
    assert text.strip("\n") + "\n" == "(struct point) {\n" + MEMBERS


def test_pointee(printed):
    program = f"{TYPES} BEGIN {{ {SET} this->p = (struct point *)alloca(sizeof (struct point)); *this->p = g; print(this->p); }}"
    (text,) = printed(program)
    head, rest = text.split("\n", 1)
    assert re.fullmatch(r"\(struct point \*\)0x[0-9a-f]{8,16} = \{", head)
    assert rest.rstrip("\n") + "\n" == MEMBERS


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("3", "(int)3"),
        ("(char)-1", "(char)-1"),
        ("'A'", "(int)65"),
        ("(char)'A'", "(char)'A'"),
        ("(unsigned char)200", "(unsigned char)200"),
        ("-5LL", "(long)-5"),
        ("(enum colour)1", "(enum colour)RED"),
        ("(enum colour)9", "(enum colour)9"),
        ('"a\\tb\\"\\033c"', '(string)"a\\tb\\"\\033c"'),
        ("probename", '(string)"BEGIN"'),
        ("(int *)16", "(int *)0x10"),
        ("g.name", '(char [8]) ""'),
        ("g.list", "(struct inner [3]) { }"),
        ("g", "(struct point) { }"),
    ],
)
def test_values(printed, value, want):
    (text,) = printed(f"{TYPES} BEGIN {{ print({value}); }}")
    assert text.strip() == want


def test_kernel_struct(printed):
    pid, text = printed("BEGIN { trace(pid); print(curthread->fs); }")
    assert pid
    assert re.match(r"\(struct fs_struct \*\)0xffff[0-9a-f]{12} = \{\n", text)
    assert re.search(r"^\t\.users = \(int\)[1-9]\d*,$", text, re.MULTILINE)
    assert re.search(
        r"^\t\t\.dentry = \(struct dentry \*\)0xffff[0-9a-f]{12},$", text, re.MULTILINE
    )


def test_user_struct(watch):
    """What a system call's argument points at is in the process."""
    t = watch(
        "syscall::clock_nanosleep:entry /pid == $1/ { print(args[2]); print((struct __kernel_timespec *)copyin(arg2, 16)); }",
        ("sleep", 1, 7),
    )
    for text in t.data:
        assert text.split("\n", 1)[1].rstrip("\n") == "\t.tv_nsec = (long long)7000000,\n}"


def test_nesting_ends(printed):
    types = "struct s0 { int x; }; " + " ".join(
        f"struct s{i} {{ struct s{i - 1} m; }};" for i in range(1, 13)
    )
    (text,) = printed(
        f"{types} struct s12 deep; BEGIN {{ deep.m.m.m.m.m.m.m.m.m.m.m.m.x = 1; print(deep); }}"
    )
    assert text.count(".m = ") == 10
    assert "{ ... }" in text


def test_bad_address(trace):
    faults: list[Any] = []
    consumer = dtrace.DTraceConsumer("embedded", on_error=faults.append)
    with consumer:
        consumer.strcompile("BEGIN { print((struct file *)8); }")
        consumer.go()
        consumer.stop()
        consumer.consume(lambda probe, rec: None)
    assert [f.address for f in faults] == [8]


def test_size(printed):
    with pytest.raises(dtrace.CompileError, match="printsize"):
        printed(f"{TYPES} BEGIN {{ print(g); }}", printsize=100)
    assert printed(f"{TYPES} BEGIN {{ g.x = 1; print(g); }}", printsize=200)


def test_noresolve(printed):
    program = "struct ops { int (*fn)(void); }; struct ops o; BEGIN { o.fn = (int (*)(void))&`vfs_read; print(o); }"
    (text,) = printed(program)
    if "vmlinux`vfs_read" in text:
        (text,) = printed(program, noresolve="on")
        assert "vfs_read" not in text
    assert ".fn = (int (*)(void))0x" in text
