#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what each stage of the compiler makes of the D programs here with the dumps kept.

A case is a program `x.d` and one file per stage worth watching: `x.parse`, `x.check`, `x.gen`,
`x.regs`, `x.asm`, or `x.diag` for what the compiler has to say.  Programs under err/TAG/ are wrong on
purpose: they must have a `.diag`, and it must name TAG.  `dt-golden STAGE FILE.d` prints the dump;
it needs no privilege and no kernel, so the same program gives the same text on every machine.

    run.py                     compare everything
    run.py expr err/D_SYNTAX   compare what lies below these folders (or these files)
    run.py --update [...]      rewrite the kept files; the diff is the review
    run.py --add STAGE x.d...  start to keep a stage of a program
"""

from __future__ import annotations

import argparse
import concurrent.futures
import difflib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STAGES = ("parse", "check", "gen", "regs", "asm", "diag")
TAGS = ROOT / "engine" / "base" / "errtags.def"


Result = tuple[str, "str | None"]


class Case(NamedTuple):
    source: Path
    stage: str

    @property
    def kept(self) -> Path:
        return self.source.with_suffix("." + self.stage)

    @property
    def name(self) -> str:
        return f"{self.source.relative_to(HERE).with_suffix('')}.{self.stage}"


def find_cases(selected: list[Path]) -> tuple[list[Case], list[Result]]:
    """All cases below `selected`, and the complaints about programs that make no case."""
    cases, complaints = [], []
    for source in sorted(HERE.rglob("*.d")):
        if selected and not any(p == source or p in source.parents for p in selected):
            continue
        name = str(source.relative_to(HERE))
        stages = [s for s in STAGES if Case(source, s).kept.exists()]
        cases += [Case(source, s) for s in stages]
        if not stages:
            complaints.append((name, "no expected file beside it (see --add)"))
        elif tag_of(source) and "diag" not in stages:
            complaints.append((name, "a program of err/ needs a .diag"))
    return cases, complaints


def tag_of(source: Path) -> str | None:
    """The error tag that the folder of a program under err/ promises."""
    parts = source.relative_to(HERE).parts
    return parts[1] if parts[0] == "err" and len(parts) > 2 else None


def dump(program: str, case: Case) -> tuple[str, str | None]:
    """What the compiler prints, and a complaint when it did worse than to refuse the program."""
    try:
        # The path is relative, so that messages naming the file are the same everywhere.
        done = subprocess.run(
            [program, case.stage, str(case.source.relative_to(ROOT))],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return "", "no end after 60 s"
    out = done.stdout.decode(errors="backslashreplace")
    err = done.stderr.decode(errors="backslashreplace")
    if done.returncode < 0:
        return out, f"killed by signal {-done.returncode}\n{err}"
    if done.returncode > 1 or "Sanitizer" in err or "runtime error:" in err:
        return out, f"exit status {done.returncode}\n{err}"
    return out, None


def compare(program: str, case: Case, update: bool) -> str | None:
    """None when all is well, else what is wrong."""
    got, complaint = dump(program, case)
    if complaint:
        return complaint
    tag = tag_of(case.source)
    if case.stage == "diag" and tag and f"[{tag}]" not in got:
        return f"no [{tag}] in:\n{got}"
    want = case.kept.read_text(errors="backslashreplace")
    if got == want:
        return None
    if update:
        case.kept.write_text(got)
        print(f"updated {case.name}")
        return None
    return "".join(
        difflib.unified_diff(
            want.splitlines(True), got.splitlines(True), f"{case.name} (kept)", f"{case.name} (now)"
        )
    )


def read_tags() -> tuple[set[str], set[str], set[str]]:
    """The tags of errtags.def, those of them that are never raised, and those that some source raises."""
    text = re.sub(r"/\*.*?\*/", "", TAGS.read_text(), flags=re.S)
    raisable = {"D_" + name for name in re.findall(r"^\s*TAG\(\s*(\w+)", text, flags=re.M)}
    never = {"D_" + name for name in re.findall(r"^\s*NEVER\(\s*(\w+),", text, flags=re.M)}
    sources = (p.read_text() for p in (ROOT / "engine").rglob("*.c"))
    used = {word for source in sources for word in re.findall(r"\bD_[A-Z0-9_]+\b", source)}
    return raisable, never, (raisable | never) & used


def check_tags() -> list[Result]:
    """Every tag is raised and has a case, or is said to be never raised; every folder is a tag."""
    if not TAGS.exists():
        return []
    raisable, never, raised = read_tags()
    err = HERE / "err"
    folders = {p.name for p in err.iterdir() if p.is_dir()} if err.exists() else set()
    covered = {t for t in folders if any((err / t).rglob("*.d"))}
    wrong = {
        "no such tag in errtags.def": folders - raisable - never,
        "no case for this tag": raised - covered,
        "nothing raises this tag: say why, with NEVER": raisable - raised,
        "this tag is raised: it is no NEVER": never & raised,
    }
    return [(f"err/{t}", why) for why, tags in wrong.items() for t in sorted(tags)]


def write_junit(path: Path, results: list[Result]) -> None:
    suite = ET.Element("testsuite", name="golden")
    for name, wrong in results:
        case = ET.SubElement(suite, "testcase", name=name)
        if wrong:
            ET.SubElement(case, "failure").text = re.sub(r"[^\t\n\x20-\ud7ff]", "?", wrong)
    ET.ElementTree(suite).write(path)


def find_program(given: str | None) -> str:
    found = [given] if given else [os.environ.get("DT_GOLDEN")]
    found += [str(p) for p in ROOT.glob("build/*/tests/golden/dt-golden")] if not given else []
    for program in filter(None, found):
        if os.access(program, os.X_OK):
            return os.path.abspath(program)
    sys.exit("run.py: no dt-golden: build it (script/test --only golden), or say --dt-golden PATH")


def main() -> int:
    args = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    args.add_argument("--dt-golden", metavar="PATH", help="the program to run")
    args.add_argument("--update", action="store_true", help="rewrite the kept files")
    args.add_argument(
        "--add", metavar="STAGE", choices=STAGES, help="keep this stage of the programs named"
    )
    args.add_argument("--junit", metavar="FILE", type=Path, help="write the results there")
    args.add_argument("--tags", action="store_true", help="fail when an error tag has no case")
    args.add_argument("path", nargs="*", help="folders or programs; all when none is named")
    opts = args.parse_args()
    program = find_program(opts.dt_golden)
    # Paths may be given from here, from the tree's top or from where one stands.
    selected = []
    for path in opts.path:
        there = [p.resolve() for p in (Path(path), HERE / path, ROOT / path) if p.exists()]
        if not there:
            sys.exit(f"run.py: no such file: {path}")
        selected.append(there[0])
    if opts.add:
        for source in selected:
            Case(source, opts.add).kept.touch()
        opts.update = True

    cases, complaints = find_cases(selected)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda c: compare(program, c, opts.update), cases))
    # A result per case, and per complaint: (name, what is wrong or None).
    results = [(case.name, wrong) for case, wrong in zip(cases, found, strict=True)]
    if opts.tags and not selected:
        results += check_tags() or [("every error tag has a case", None)]
    results += complaints
    for name, wrong in results:
        if wrong:
            print(f"FAILED {name}\n{wrong.rstrip()}\n")
    if opts.junit:
        write_junit(opts.junit, results)
    failed = sum(wrong is not None for _, wrong in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
