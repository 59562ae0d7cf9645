# SPDX-License-Identifier: Apache-2.0
"""Option cpp: programs go through the C preprocessor, and messages name the places that users know."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

import dtrace

pytestmark = [
    pytest.mark.skipif(shutil.which("cpp") is None, reason="there is no C preprocessor"),
    pytest.mark.skipif(sys.platform != "linux", reason="the embedded engine is for Linux"),
]


def compiled(text: str, *options: tuple[str, str | None]) -> None:
    consumer = dtrace.DTraceConsumer("embedded")
    consumer.setopt("cpp")
    for name, value in options:
        consumer.setopt(name, value)
    try:
        consumer.strcompile(text)
    finally:
        consumer.close()


def refused(text: str, *options: tuple[str, str | None]) -> dtrace.DTraceError:
    with pytest.raises(dtrace.DTraceError) as caught:
        compiled(text, *options)
    return caught.value


def test_macros_and_conditions() -> None:
    compiled(
        "#!/usr/sbin/dtrace -Cs\n"
        "#define TWICE(x) ((x) * 2)\n"
        "#if defined(__SUNW_D) && __SUNW_D_VERSION >= 0x01000000 && !defined(unix)\n"
        "int n[TWICE(4)]; BEGIN { n[7] = sizeof (n) == 32 ? 1 : 1 / TWICE(2); }\n"
        "#else\n#error no D\n#endif\n"
    )


@pytest.mark.parametrize(
    "header", ["sys/types.h", "sys/socket.h", "errno.h", "stdio.h", "string.h"]
)
def test_headers_of_the_system(header: str) -> None:
    compiled(f"#include <{header}>\nBEGIN {{ x = (size_t)1; }}\n")


def test_define_and_undef() -> None:
    text = "#if ONE == 1 && !defined(TWO)\nBEGIN { x = 1; }\n#else\n#error wrong\n#endif\n"
    options = [("define", "ONE=1"), ("define", "TWO"), ("undef", "TWO")]
    compiled(text, *options)
    assert "wrong" in refused(text, *options[:2]).message
    compiled(text, ("cppargs", "-DONE=1"))


def test_lines_are_those_of_the_program() -> None:
    e = refused("#define A 1\n#define B \\\n 2\nBEGIN { x = A + B +\n  nobody; }\n")
    assert (e.tag, e.line) == ("D_IDENT_UNDEF", 5)


def test_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "inc.h").write_text("\n\ninline int a = nobody;\n")
    (tmp_path / "good.h").write_text("inline int a = 1;\n")
    folder = ("incdir", str(tmp_path))
    e = refused('\n#include "inc.h"\nBEGIN { x = a; }\n', folder)
    assert (e.tag, e.line) == ("D_IDENT_UNDEF", 3)
    assert f'"{tmp_path}/inc.h", line 3' in e.message
    e = refused('\n#include "good.h"\nBEGIN { x = a + nobody; }\n', folder)
    assert (e.tag, e.line) == ("D_IDENT_UNDEF", 3)
    assert "good.h" not in e.message


def test_what_it_says_is_told() -> None:
    e = refused('#include "nowhere.h"\nBEGIN { }\n')
    assert "nowhere.h" in e.message


def test_headers_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    compiled("#include <errno.h>\nBEGIN { }\n", ("cpphdrs", None))
    assert "errno.h" in capfd.readouterr().err


def test_preprocessors_that_cannot_be_run(tmp_path: Path) -> None:
    assert "not found" in refused("BEGIN { }", ("cpppath", str(tmp_path / "nowhere"))).message
    assert "cannot be run" in refused("BEGIN { }", ("cpppath", str(tmp_path))).message
    assert "status 1" in refused("BEGIN { }", ("cpppath", shutil.which("false"))).message


def test_degrees_of_conformance() -> None:
    text = "#ifdef __STDC__\nBEGIN { x = 1; }\n#else\nBEGIN { x = nobody; }\n#endif\n"
    for degree in "a", "c":
        compiled(text, ("stdc", degree))
    for degree in "s", "t":
        assert refused(text, ("stdc", degree)).tag == "D_IDENT_UNDEF"
    assert "stdc" in refused(text, ("stdc", "x")).message


def test_too_late() -> None:
    consumer = dtrace.DTraceConsumer("embedded")
    for pragma in "cpp", "define=A", "incdir=/":
        with pytest.raises(dtrace.DTraceError) as caught:
            consumer.strcompile(f"#pragma D option {pragma}\nBEGIN {{ }}\n")
        assert caught.value.tag == "D_PRAGMA_OPTSET"
    consumer.close()


def children() -> set[str]:
    """Processes of ours, ended ones that nobody has waited for included; other tests may have some."""
    return {
        pid
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    }


def test_children_and_descriptors_are_gone() -> None:
    gc.collect()  # what other tests have left must not go in between
    before, others = sorted(os.listdir("/proc/self/fd")), children()
    for _ in range(3):
        compiled("BEGIN { }")
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert children() == others
