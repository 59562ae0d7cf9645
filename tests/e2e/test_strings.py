# SPDX-License-Identifier: Apache-2.0
"""Strings out of user memory, and what D does with strings."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.kernel

OPENAT = "syscall::openat:entry /pid == $1/ "


def test_copyinstr(watch):
    t = watch(OPENAT + "{ trace(copyinstr(arg1)); }", ("open", 2, "/no/such/dir/name"))
    assert t.data == ["/no/such/dir/name"] * 2


def test_copyinstr_is_cut_at_strsize(watch):
    path = "/" + "x" * 300
    t = watch(OPENAT + "{ trace(copyinstr(arg1)); }", ("open", 1, path))
    assert t.data == [path[:255]]
    t = watch(OPENAT + "{ trace(copyinstr(arg1)); }", ("open", 1, path), strsize=512)
    assert t.data == [path]


def test_copyinstr_with_a_limit(watch):
    t = watch(OPENAT + "{ trace(copyinstr(arg1, 6)); }", ("open", 1, "/dev/null"))
    assert t.data[0] in ("/dev/n", "/dev/")  # the limit may or may not count the NUL


def test_bytes_beyond_ascii(watch):
    t = watch(OPENAT + "{ trace(copyinstr(arg1)); }", ("open", 1, "/tmp/käse-日本"))
    assert t.data == ["/tmp/käse-日本"]


def test_copyin(watch, trace, workload):
    t = trace(
        "syscall::getppid:entry /pid == $1/ {"
        " trace(*(int *)copyin($2, sizeof (int)));"
        " trace(stringof(copyin($3, 5)));"
        " trace(copyinstr($3)); }",
        workload.pid,
        workload.do("address", "number"),
        workload.do("address", "text"),
    )
    workload.do("getppid", 1)
    t.finish()
    assert t.data[0] == 9904
    assert t.data[1].startswith("text ")
    assert t.data[2] == "text in the workload"


def test_comparison(watch):
    t = watch(
        OPENAT + '{ this->p = copyinstr(arg1); trace(this->p == "/dev/null");'
        ' trace(this->p != "/dev/null"); trace(this->p < "/dev/zero"); trace(this->p > "/dev"); }',
        ("open", 1, "/dev/null"),
    )
    assert t.data == [1, 0, 1, 1]


def test_predicate_on_a_path(watch):
    t = watch(
        'syscall::openat:entry /pid == $1 && copyinstr(arg1) == "/dev/zero"/ { @ = count(); }',
        ("open", 5, "/dev/null"),
        ("open", 3, "/dev/zero"),
    )
    assert t.aggregations() == {1: {(): 3}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("strlen(this->p)", 9),
        ("basename(this->p)", "null"),
        ('strjoin("<", strjoin(this->p, ">"))', "</dev/null>"),
        ("substr(this->p, 5)", "null"),
        ("substr(this->p, 1, 3)", "dev"),
        ("substr(this->p, -4)", "null"),
        ("substr(this->p, 100)", ""),
        ('this->p == "/dev/null" ? "yes" : "no"', "yes"),
    ],
)
def test_subroutines(watch, expression, value):
    t = watch(
        OPENAT + "{ this->p = copyinstr(arg1); trace(" + expression + "); }",
        ("open", 1, "/dev/null"),
    )
    assert t.data == [value]


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/", "/"),
        ("//", "/"),
        ("a", "a"),
        ("a/", "a"),
        ("/a/b//", "b"),
        ("..", ".."),
    ],
)
def test_basename(watch, path, base):
    t = watch(OPENAT + "{ trace(basename(copyinstr(arg1))); }", ("open", 1, path))
    assert t.data == [base]


def test_keys_of_any_length(watch):
    paths = ["/" + "k" * n for n in (1, 7, 8, 9, 63, 64, 200)]
    t = watch(OPENAT + "{ @[copyinstr(arg1)] = count(); }", *[("open", 2, path) for path in paths])
    assert t.aggregations() == {1: dict.fromkeys(paths, 2)}


def test_printf(watch, workload):
    t = watch(
        "syscall::openat:entry /pid == $1/"
        '{ printf("%s[%d] opens %S (%s) 0x%x|%5d|%-5d|", execname, pid, copyinstr(arg1), '
        "probefunc, 255, 42, 42); }",
        ("open", 1, "/dev/null"),
    )
    assert t.data == [f"workload[{workload.pid}] opens /dev/null (openat) 0xff|   42|42   |"]


def test_control_characters_are_escaped_by_S(watch):
    t = watch(OPENAT + '{ printf("%S", copyinstr(arg1)); }', ("open", 1, "/\x1b[2J\x07"))
    assert t.data == ["/\\033[2J\\a"]
