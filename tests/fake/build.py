# SPDX-License-Identifier: Apache-2.0
"""Builds the binding around the fake libdtrace: extension modules for the tests alone.

Two of them: ``fake`` has all that the embedded engine has, ``classic`` no more than a platform's
libdtrace.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PYDTRACE_BUILD") or ROOT / "build")
SANITIZER = bool(os.environ.get("PYDTRACE_SANITIZER"))
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SOURCES = [
    *(p for p in sorted((ROOT / "binding").glob("*.c")) if p.name not in ("engine.c", "oracle.c")),
    ROOT / "tests/fake/fake.c",
]
INPUTS = [
    *SOURCES,
    Path(__file__),
    ROOT / "binding/state.h",
    ROOT / "binding/docstrings.py",
    ROOT / "python/dtrace/_embedded.pyi",
    *sorted((ROOT / "include").glob("*.h")),
]
FLAGS = [
    *("-std=gnu17", "-g", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-D_GNU_SOURCE"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-missing-field-initializers"),
    "-DPY_ENGINE=fake",
]
FLAVOURS = {"fake": [], "classic": ["-DFAKE_CLASSIC"]}


def is_fresh(made: Path) -> bool:
    if not made.exists():
        return False
    when = made.stat().st_mtime
    return all(p.stat().st_mtime <= when for p in INPUTS)


def build(flavour: str) -> Path:
    """The path of the extension module, made now if need be."""
    tag = sys.implementation.cache_tag + ("-asan" if SANITIZER else "")
    out = BUILD / "fake" / tag / flavour / f"_fake{sysconfig.get_config_var('EXT_SUFFIX')}"
    if is_fresh(out):
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    header = out.parent / "docstrings.h"
    generator = [sys.executable, ROOT / "binding/docstrings.py"]
    subprocess.run([*generator, ROOT / "python/dtrace/_embedded.pyi", header], check=True)
    cc = shlex.split(os.environ.get("CC", "cc"))
    include = [sysconfig.get_path("include"), ROOT / "include", ROOT / "binding", out.parent]
    temporary = out.with_suffix(f".{os.getpid()}")
    command = [
        *cc,
        *FLAGS,
        *FLAVOURS[flavour],
        *(SANITIZE if SANITIZER else []),
        *(f"-I{d}" for d in include),
        *SOURCES,
        "-lm",
        "-o",
        temporary,
    ]
    subprocess.run(list(map(str, command)), check=True)
    temporary.replace(out)
    return out


if __name__ == "__main__":
    for name in FLAVOURS:
        print(build(name))
