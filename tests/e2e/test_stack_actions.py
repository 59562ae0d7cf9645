# SPDX-License-Identifier: Apache-2.0
"""stack(), ustack() and the symbol actions, against functions whose names are known."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import clean_env

pytestmark = pytest.mark.kernel

GETPPID = "syscall::getppid:entry /pid == $1/ "


def kernel_symbols_hidden() -> bool:
    with Path("/proc/kallsyms").open() as f:
        # per-CPU symbols come first and may be at 0 by right: functions tell
        return not any(int(line.split()[0], 16) for line in f if line.split()[1] in "tT")


def test_ustack(watch):
    t = watch(GETPPID + "{ ustack(); }", ("nested", 1))
    (stack,) = t.data
    functions = [re.sub(r"\+0x[0-9a-f]+$", "", frame) for frame in stack]
    assert functions[:3] == ["workload`inner", "workload`middle", "workload`outer"]
    assert "workload`main" in functions
    assert re.fullmatch(r"workload`inner\+0x[0-9a-f]+", stack[0])


def test_ustack_depth(watch):
    t = watch(GETPPID + "{ ustack(2); }", ("nested", 1))
    assert [frame.split("+")[0] for frame in t.data[0]] == ["workload`inner", "workload`middle"]
    t = watch(GETPPID + "{ ustack(); }", ("nested", 1), ustackframes=1)
    assert len(t.data[0]) == 1


def test_ustack_in_a_library(watch):
    t = watch(GETPPID + "{ ustack(1); }", ("getppid", 1))
    assert re.fullmatch(r"libc\.so\.6`(syscall\+)?0x[0-9a-f]+", t.data[0][0])


def test_ustack_outlives_the_process(trace, workload):
    """The process is known while it lives; its symbols are looked up when it is gone."""
    t = trace(GETPPID + "{ @[ustack()] = count(); }", workload.pid)
    workload.do("nested", 3)
    t.until(lambda: True)
    t.consumer.sleep(0.1)
    t.poll()
    before = t.aggregations()
    workload.do("nested", 4)
    t.poll()
    workload.end()
    after = t.finish().aggregations()
    for got, count in ((before, 3), (after, 4)):
        ((stack, n),) = got[1].items()
        assert n == count
        assert stack[0].startswith("workload`inner")


def test_stack(watch):
    t = watch(GETPPID + "{ stack(); }", ("getppid", 1))
    (stack,) = t.data
    assert stack
    if kernel_symbols_hidden():
        pytest.skip("the kernel hides its symbols")
    assert all(re.fullmatch(r"\w+`[\w.]+(\+0x[0-9a-f]+)?", frame) for frame in stack), stack
    assert any("syscall" in frame for frame in stack)


def test_stack_depth(watch):
    t = watch(GETPPID + "{ stack(1); }", ("getppid", 1))
    assert len(t.data[0]) == 1


def test_symbol_actions(watch, trace, workload):
    address = workload.do("address", "outer")
    t = trace(
        GETPPID + "{ usym($2); ufunc($2); umod($2); uaddr($2 + 4); usym(16); umod(16); }",
        workload.pid,
        address,
    )
    workload.do("getppid", 1)
    assert t.finish().data == [
        "workload`outer",
        "workload`outer",
        "workload",
        "workload`outer+0x4",
        "0x10",
        "<unknown>",
    ]


def test_kernel_symbol_actions(watch):
    if kernel_symbols_hidden():
        pytest.skip("the kernel hides its symbols")
    t = watch(
        GETPPID + "{ sym((uintptr_t)&`vfs_read + 4); func((uintptr_t)&`vfs_read);"
        " mod((uintptr_t)&`vfs_read); sym(16); mod(16); }",
        ("getppid", 1),
    )
    assert t.data == ["vmlinux`vfs_read", "vmlinux`vfs_read", "vmlinux", "0x10", "<unknown>"]


def test_printf_of_addresses(trace, workload):
    t = trace(
        GETPPID + '{ printf("%A %A", usym($2), uaddr($2 + 1)); }',
        workload.pid,
        workload.do("address", "outer"),
    )
    workload.do("getppid", 1)
    assert t.finish().data == ["workload`outer workload`outer+0x1"]


def test_stacks_of_many_threads(watch):
    t = watch(GETPPID + "{ @[ustack(1)] = count(); }", ("threads", 8, 500))
    rows = t.aggregations()[1]
    assert 4000 - t.missed <= sum(rows.values()) <= 4000
    assert {frames[0].split("+")[0] for frames in rows} == {"workload`thread_main"}


def test_numbers_only(watch):
    t = watch(GETPPID + "{ ustack(3); usym(arg0); }", ("nested", 1), noresolve="on")
    assert all(re.fullmatch("0x[0-9a-f]+", frame) for frame in t.data[0])


# ---- without frame pointers ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def nofp_binary(tmp_path_factory):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    binary = tmp_path_factory.mktemp("nofp") / "nofp"
    source = Path(__file__).parent / "nofp.c"
    flags = ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"]
    subprocess.run([compiler, *flags, "-o", str(binary), str(source)], check=True, env=clean_env())
    return binary


@pytest.fixture
def nofp(nofp_binary):
    with subprocess.Popen(
        [str(nofp_binary)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_env(),
    ) as child:
        yield child
        child.stdin.close()


def run_once(child):
    child.stdin.write("go\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ok\n"


def functions(stack):
    return [re.sub(r"\+0x[0-9a-f]+$", "", frame) for frame in stack]


def test_unwinding(trace, nofp):
    """Through frames of unknown size, recursion, and the frame of a signal."""
    t = trace(GETPPID + "{ ustack(); }", nofp.pid, ustackunwind="16k")
    run_once(nofp)
    plain, handler = map(functions, t.finish().data)
    calls = ["nofp`nofp_leaf", "nofp`nofp_big", "nofp`nofp_again"]
    assert plain[:7] == [*calls, "nofp`nofp_again", "nofp`nofp_again", "nofp`nofp_top", "nofp`main"]
    assert handler[:4] == [*calls, "nofp`on_signal"]
    assert "nofp`nofp_top" in handler
    assert handler[-1] == plain[-1] == "nofp`_start"


def test_unwinding_as_far_as_it_was_copied(trace, nofp):
    t = trace(GETPPID + "{ ustack(4); ustack(); }", nofp.pid, ustackunwind=512)
    run_once(nofp)
    four, all_of_it = map(functions, t.finish().data[:2])
    assert four == all_of_it[:4]
    assert four[:2] == ["nofp`nofp_leaf", "nofp`nofp_big"]


def test_keys_are_not_unwound(trace, nofp):
    t = trace(GETPPID + "{ @[ustack(3)] = count(); trace(1); }", nofp.pid, ustackunwind="8k")
    run_once(nofp)
    run_once(nofp)
    t.finish()
    assert sum(t.aggregations()[1].values()) == 4
