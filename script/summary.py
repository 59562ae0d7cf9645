# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and prints a summary that ends with `N passed, N failed, N skipped`.

    summary.py [--skipped FILE] [--step FILE] RESULT.xml...

RESULT.xml is what pytest and meson write (JUnit).  Each line of the --skipped file is one more
skipped test, `name: reason`; of the --step file `passed NAME` or `failed NAME`.  The exit status
is 1 when something failed.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


class Results:
    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []
        self.skipped: dict[str, list[str]] = collections.defaultdict(list)

    def read_junit(self, path: Path) -> None:
        try:
            suites = ET.parse(path).getroot()
        except (OSError, ET.ParseError) as error:
            self.failed.append(f"{path.name}: not readable: {error}")
            return
        for suite in suites.iter("testsuite"):
            for case in suite.iter("testcase"):
                # pytest gives the module as the class; meson has nothing to say there.
                module = case.get("classname", "")
                prefix = f"{module}." if module.startswith("tests.") else ""
                self.read_case(case, f"{path.stem}: {prefix}{case.get('name', '?')}")

    def read_case(self, case: ET.Element, name: str) -> None:
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            self.failed.append(name)
        elif "skipped" in kinds:
            # A C program that ends with status 77 says why on its standard output: "SKIP: why".
            said = re.search(r"^SKIP: (.+)", case.findtext("system-out") or "", flags=re.M)
            reason = kinds["skipped"].get("message") or (said and said[1])
            self.skipped[reason or "no reason given"].append(name)
        else:
            self.passed += 1

    def read_steps(self, path: Path) -> None:
        for line in path.read_text().splitlines():
            status, _, name = line.partition(" ")
            if status == "passed":
                self.passed += 1
            else:
                self.failed.append(name)

    def read_skipped(self, path: Path) -> None:
        for line in path.read_text().splitlines():
            name, _, reason = line.partition(": ")
            self.skipped[reason].append(name)

    def print(self) -> None:
        count = sum(len(names) for names in self.skipped.values())
        if count:
            print(f"\nskipped ({count}):")
            for reason, names in sorted(self.skipped.items()):
                print(f"  {reason}")
                for name in names:
                    print(f"    {name}")
        if self.failed:
            print(f"\nfailed ({len(self.failed)}):")
            for name in self.failed:
                print(f"  {name}")
        print(f"\n{self.passed} passed, {len(self.failed)} failed, {count} skipped", flush=True)


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--skipped", type=Path, action="append", default=[])
    args.add_argument("--step", type=Path, action="append", default=[])
    args.add_argument("junit", type=Path, nargs="*")
    opts = args.parse_args()
    results = Results()
    for path in opts.step:
        results.read_steps(path)
    for path in opts.junit:
        results.read_junit(path)
    for path in opts.skipped:
        results.read_skipped(path)
    results.print()
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
