#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the D libraries of d/ into one C file that the engine is built with.

The file has each library's text and one sorted table of the names that the libraries declare, by
which the compiler finds the library that an unknown name needs.  Libraries come in the order given:
one may depend on (#pragma D depends_on library) those before it only.

usage: tools/gen-dlibs.py OUT.c LIBRARY.d...
"""

import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DEPENDS = re.compile(r"^#pragma D depends_on library (\S+)$", re.MULTILINE)
VALUES = [re.compile(r"^inline\b[^=;]*?(\w+)(?:\[[^=;]*\])? =", re.MULTILINE)]
TYPES = [
    re.compile(r"^typedef\b[^;{]*?(\w+);", re.MULTILINE),
    re.compile(r"^\} (\w+);", re.MULTILINE),
    re.compile(r"^(?:typedef )?((?:struct|union|enum) \w+) \{", re.MULTILINE),
]
TRANSLATORS = re.compile(r"^translator (\w+) < ([\w ]*\w(?: \*+)?) ?\w+ >", re.MULTILINE)

HEAD = """\
/* Written by tools/gen-dlibs.py from the libraries in d/. */
#include "lang/compile.h"

"""


def fail(message: str) -> None:
    sys.exit(f"gen-dlibs.py: {message}")


def without_comments(text: str) -> str:
    """Lines keep their numbers."""
    return COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)


def literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(f'\t"{line}\\n"' for line in escaped.splitlines())


def main() -> None:
    out, paths = pathlib.Path(sys.argv[1]), [pathlib.Path(p) for p in sys.argv[2:]]
    names: dict[str, int] = {}
    c = [HEAD]
    for number, path in enumerate(paths):
        text = without_comments(path.read_text())
        before = {p.name for p in paths[:number]}
        for needed in DEPENDS.findall(text):
            if needed not in before:
                fail(f"{path.name} depends on {needed}, which does not come before it")
        for pattern in VALUES + TYPES:
            for name in pattern.findall(text):
                if name in names:
                    fail(f"{name} is declared in {paths[names[name]].name} and {path.name}")
                names[name] = number
        for out_type, in_type in TRANSLATORS.findall(text):
            names[f"{out_type} < {in_type.strip()}"] = number
        c.append(f"static const char text{number}[] =\n{literal(text)};\n\n")
    c.append("const struct dt_library dt_libraries[] = {\n")
    for number, path in enumerate(paths):
        c.append(f'\t{{ "{path.name}", text{number}, sizeof(text{number}) - 1 }},\n')
    c.append("};\n")
    c.append(f"const u32 dt_nlibraries = {len(paths)};\n\n")
    c.append("const struct dt_libname dt_libnames[] = {\n")
    for name in sorted(names):
        c.append(f'\t{{ "{name}", {names[name]} }},\n')
    c.append("};\n")
    c.append(f"const u32 dt_nlibnames = {len(names)};\n")
    out.write_text("".join(c))


if __name__ == "__main__":
    main()
