# SPDX-License-Identifier: Apache-2.0
"""The functions that the headers declare, those that the version script lists, and those that the
shared library exports are the same.

usage: check.py VERSION-SCRIPT LIBRARY-OR-'-' HEADER..."""

import pathlib
import re
import subprocess
import sys


def declared(headers):
    names = set()
    for header in headers:
        text = pathlib.Path(header).read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)
        text = re.sub(r"\btypedef\b[^;{]*(?:\{[^}]*\})?[^;]*;", "", text)
        names.update(re.findall(r"\b(dtrace_\w+)\s*\(", text))
        names.update(re.findall(r"\bextern\b[^;{]*?\b(_dtrace_\w+)", text))
    return names


def listed(script):
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(script).read_text(), flags=re.S)
    return set(re.findall(r"\b(_?dtrace_\w+);", text))


def exported(library):
    out = subprocess.run(
        ["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True
    )
    rows = [line.split() for line in out.stdout.splitlines()]
    return {row[-1].split("@")[0] for row in rows if row[-2] != "A"}


def compare(what, got, reference, want):
    for name in sorted(want - got):
        print(f"{name}: {reference}, but not {what}")
    for name in sorted(got - want):
        print(f"{name}: {what}, but not {reference}")
    return got == want


def main():
    script, library, *headers = sys.argv[1:]
    names = declared(headers)
    ok = compare("in the version script", listed(script), "declared", names)
    if library != "-":
        ok = compare("exported", exported(library), "declared", names) and ok
    print(f"{len(names)} symbols")
    return not ok


sys.exit(main())
