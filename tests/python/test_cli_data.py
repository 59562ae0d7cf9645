# SPDX-License-Identifier: Apache-2.0
"""What comes with the command line: the manual page and the completions know its options."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from dtrace.cli import options


def installed(name: str) -> Path:
    found = [f for f in files("pydtrace") or [] if str(f).endswith(f"share/{name}")]
    if not found:
        pytest.skip("the package was not installed as a wheel")
    return Path(str(found[0].locate()))


NAMES = ["man/man1/pydtrace.1", "bash-completion/completions/pydtrace"]
NAMES += ["zsh/site-functions/_pydtrace", "fish/vendor_completions.d/pydtrace.fish"]


@pytest.mark.parametrize("name", NAMES)
def test_all_options_are_known(name: str) -> None:
    text = installed(name).read_text()
    for word in options.WORDS:
        assert re.search(rf"(\\-\\-|--|-l ){word}\b", text), word
    for letter in set(options.ALONE + options.WITH_ARGUMENT) - set("aA"):
        assert re.search(rf"(\\-|-|-s |-[A-Za-z]*){letter}\b|\\-[A-Za-z]*{letter}", text), letter


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_engines_options_are_completed(name: str) -> None:
    text = installed(name).read_text()
    assert "@OPTIONS@" not in text
    assert {"bufsize", "quiet", "strsize", "aggsortkey"} <= set(text.split())


def test_bash_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = f"""
    . {installed(NAMES[1])}
    complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pydtrace; echo "${{COMPREPLY[*]}}"; }}
    complete_words pydtrace --fl
    complete_words pydtrace -x bufs
    complete_words pydtrace --format j
    """
    out = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["--flamegraph", "bufsize", "json"]


def test_the_manual_page_is_laid_out() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff")
    command = [groff, "-man", "-Tascii", "-ww", str(installed(NAMES[0]))]
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}  # it is no test of groff
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stderr == ""
    assert "trace the running system with programs in D" in done.stdout


def test_help_names_all_options() -> None:
    command = [sys.executable, "-m", "dtrace", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in options.WORDS:
        assert f"--{word}" in done.stdout
    for letter in set(options.ALONE + options.WITH_ARGUMENT) - set("aA"):
        assert re.search(rf"-[A-Za-z]*{letter}", done.stdout), letter
