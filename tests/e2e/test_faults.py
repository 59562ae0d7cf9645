# SPDX-License-Identifier: Apache-2.0
"""A fault ends its clause, fires ERROR, is reported, and tracing goes on."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest

from dtrace import _embedded

pytestmark = pytest.mark.kernel

BADADDR, ILLOP, DIVZERO = 1, 3, 4
OPENAT = "syscall::openat:entry /pid == $1/ "
DIVIDES = "int zero; syscall::getppid:entry /pid == $1/ { trace(1 / zero); }"


def check(fault, kind, function="openat"):
    assert fault.fault == kind
    assert fault.probe["function"] == function
    assert "error" in fault.message
    assert function in fault.message


def test_null_pointer(watch):
    t = watch(
        OPENAT
        + '{ trace("before"); trace(copyinstr(arg1)); trace("after"); }'
        + OPENAT
        + "{ trace(1); }",
        ("openptr", 1, "0"),
        ("open", 1, "/dev/null"),
    )
    assert len(t.faults) == 1
    check(t.faults[0], BADADDR)
    assert t.faults[0].address == 0
    # nothing of a clause that faulted is seen; the others of the same firing are
    assert [f.data for f in t.firings] == [[1], ["before", "/dev/null", "after"], [1]]


@pytest.mark.parametrize("address", ["10", "deadbeef000", "ffff800000000000", "8000000000000000"])
def test_wild_user_pointer(watch, address):
    t = watch(
        OPENAT + "{ trace(copyinstr(arg1)); }", ("openptr", 1, address), ("open", 1, "/dev/null")
    )
    assert [fault.fault for fault in t.faults] == [BADADDR]
    assert t.faults[0].address == int(address, 16)
    assert t.data == ["/dev/null"]


def test_wild_kernel_pointer(watch):
    t = watch(
        "syscall::getppid:entry /pid == $1/ { trace(*(int *)0); }"
        "syscall::getppid:entry /pid == $1/ { trace(*(int *)0xffff888000000001); }"
        "syscall::getppid:entry /pid == $1/ { trace(((struct task_struct *)64)->tgid); }"
        "syscall::getppid:entry /pid == $1/ { trace(9904); }",
        ("getppid", 1),
    )
    assert t.data[-1] == 9904
    assert [f.fault for f in t.faults][:1] == [BADADDR]
    assert t.faults[0].address == 0
    # the middle one may be memory on some machine
    assert len(t.faults) in (2, 3)


def test_division_by_zero(watch):
    t = watch(
        "int zero; syscall::getppid:entry /pid == $1/ { trace(1000 / zero); }"
        "syscall::getppid:entry /pid == $1/ { trace(1000 % zero); }"
        "syscall::getppid:entry /pid == $1/ { trace(3); }",
        ("getppid", 2),
    )
    assert [f.fault for f in t.faults] == [DIVZERO] * 4
    assert t.data == [3, 3]


def test_fault_in_a_predicate(watch):
    t = watch(
        "int zero; syscall::getppid:entry /pid == $1 && 10 / zero/ { trace(1); }"
        "syscall::getppid:entry /pid == $1/ { trace(2); }",
        ("getppid", 1),
    )
    (fault,) = t.faults
    check(fault, DIVZERO, "getppid")
    assert fault.action == 0
    assert t.data == [2]


def test_error_clause(trace, workload):
    t = trace(
        "ERROR { trace(arg1); trace(arg2); trace(arg4); trace(arg5); }"
        "syscall::getppid:entry /pid == $1/ { trace(epid); }"
        + OPENAT
        + "{ trace(2); @ = count(); trace(copyinstr(arg1)); }",
        workload.pid,
    )
    workload.do("getppid", 1)
    workload.do("openptr", 1, "1234")
    t.finish()
    errors = [f for f in t.firings if f.probe["name"] == "ERROR"]
    (error,) = errors
    (other,) = (f for f in t.firings if f.probe["name"] == "entry")
    epid, action, fault, address = error.data
    assert epid == other.data[0] + 1  # the clause after that one
    assert action == 3
    assert (fault, address) == (BADADDR, 0x1234)
    assert len(t.faults) == 1
    assert (t.faults[0].action, t.faults[0].address) == (3, 0x1234)


def test_the_message_tells_where(watch):
    t = watch(
        "int zero; syscall::getppid:entry\n/pid == $1/\n{\n\ttrace(1 / zero);\n}\n",
        ("getppid", 1),
    )
    message = t.faults[0].message
    assert "syscall:vmlinux:getppid:entry" in message
    assert "divide-by-zero" in message or "division" in message
    assert "line 4" in message or ":4" in message


def test_fault_in_error_does_not_loop(watch):
    t = watch(
        "int zero; ERROR { trace(1 / zero); }"
        "syscall::getppid:entry /pid == $1/ { trace(2 / zero); }"
        "syscall::getppid:return /pid == $1/ { trace(5); }",
        ("getppid", 3),
    )
    assert t.data == [5] * 3
    assert len([f for f in t.faults if f.probe["function"] == "getppid"]) == 3


def test_many_faults(watch):
    t = watch(
        "int zero; syscall::getppid:entry /pid == $1/ { trace(1 / zero); }"
        "syscall::getppid:return /pid == $1/ { @ = count(); }",
        ("getppid", 5000),
    )
    assert len(t.faults) == 5000
    assert t.aggregations() == {1: {(): 5000}}


def test_without_a_handler_it_is_a_warning(workload):
    import dtrace

    with dtrace.DTraceConsumer("embedded") as c:
        c.strcompile(DIVIDES, [str(workload.pid)])
        c.go()
        workload.do("getppid", 1)
        c.stop()
        with pytest.warns(dtrace.FaultWarning, match="getppid"):
            while not c.consume(lambda probe, rec: None):
                pass


def test_a_callback_that_raises_ends_it(workload):
    import dtrace

    def refuse(fault: object) -> None:
        raise KeyError("enough")

    with dtrace.DTraceConsumer("embedded", on_error=refuse) as c:
        c.strcompile(DIVIDES, [str(workload.pid)])
        c.go()
        workload.do("getppid", 1)
        c.stop()
        with pytest.raises(KeyError, match="enough"):
            while not c.consume(lambda probe, rec: None):
                pass


def has(feature: str) -> bool:
    consumer = _embedded.Consumer()
    try:
        return next(row[1] for row in consumer.features() if row[0] == feature)
    finally:
        consumer.close()


@pytest.fixture
def untouched(tmp_path):
    """Addresses of texts in a file that is mapped, but not looked at: "/somewhere/1" and one across pages."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    size = 256 * mmap.PAGESIZE  # far apart: what is near comes along
    text = bytearray(size)
    across = 128 * mmap.PAGESIZE - 5
    for at, what in (0, b"/somewhere/1"), (across, b"/somewhere/2"):
        text[at : at + len(what)] = what
    path = tmp_path / "texts"
    path.write_bytes(text)
    fd = os.open(path, os.O_RDONLY)
    base = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    assert base not in (None, ctypes.c_void_p(-1).value)
    yield libc, base, base + across
    libc.munmap(ctypes.c_void_p(base), ctypes.c_size_t(size))


def test_memory_that_is_not_there_yet(new_trace, untouched):
    """System calls get it where their programs may wait; elsewhere the fault says what may be the matter."""
    libc, *addresses = untouched
    waits = has("system call programs that may sleep")
    t = new_trace().go(
        "syscall::open:entry, syscall::openat:entry /pid == $1 && (arg0 == $2 || arg1 == $2 || arg0 == $3"
        " || arg1 == $3)/ { self->at = arg1 == $2 || arg0 == $2 ? $2 : $3; trace(copyinstr(self->at)); }"
        "syscall::open:return, syscall::openat:return /self->at/ { trace(copyinstr(self->at)); self->at = 0; }",
        os.getpid(),
        *addresses,
    )
    for address in addresses:
        assert libc.open(ctypes.c_void_p(address), 0) == -1
    t.finish()
    texts = ["/somewhere/1", "/somewhere/2"]
    assert t.data == ([text for text in texts for _ in range(2)] if waits else texts)
    assert len(t.faults) == (0 if waits else 2)
    for fault in t.faults:
        assert "not in memory yet" in str(fault)
