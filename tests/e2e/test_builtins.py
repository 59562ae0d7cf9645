# SPDX-License-Identifier: Apache-2.0
"""Built-in variables and translated structs, against /proc and the child's own word."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import clean_env

import dtrace

pytestmark = pytest.mark.kernel

GETPPID = "syscall::getppid:entry /pid == $1/ "
LIBRARIES = Path(__file__).parents[2] / "d"


def traced(*expressions: str) -> str:
    return GETPPID + "{ " + " ".join(f"trace({e});" for e in expressions) + " }"


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state (field 3) on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def status(pid: int, name: str) -> list[str]:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s*(.*)$", text, re.MULTILINE)
    assert found, name
    return found.group(1).split()


def mount_point(path: str) -> str:
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


# ---- a child in Python, for what the workload cannot do ------------------------------------------

PYTHON_CHILD = """
import ctypes, os, sys
{prepare}
print("ready", flush=True)
for line in sys.stdin:
    os.getppid()
    print("ok", flush=True)
"""


class PythonChild:
    def __init__(self, prepare: str, *args: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-S", "-c", PYTHON_CHILD.format(prepare=prepare), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_env(),
        )
        self.pid = self.child.pid
        assert self.child.stdout.readline() == "ready\n"

    def call(self) -> None:
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "ok\n"

    def end(self) -> None:
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


@pytest.fixture
def python_child() -> Iterator[Callable[..., PythonChild]]:
    started: list[PythonChild] = []

    def start(prepare: str, *args: str) -> PythonChild:
        started.append(PythonChild(prepare, *args))
        return started[-1]

    yield start
    for child in started:
        child.end()


# ---- processes -----------------------------------------------------------------------------------


def test_psinfo_identity(watch, workload):
    members = [
        "nlwp",
        "pid",
        "ppid",
        "pgid",
        "sid",
        "uid",
        "euid",
        "gid",
        "egid",
        "fname",
        "dmodel",
    ]
    t = watch(traced(*(f"curpsinfo->pr_{m}" for m in members)), ("getppid", 1))
    got = dict(zip(members, t.data, strict=True))
    fields = stat_fields(workload.pid)
    assert got == {
        "nlwp": 1,
        "pid": workload.pid,
        "ppid": os.getpid(),
        "pgid": int(fields[2]),
        "sid": int(fields[3]),
        "uid": os.getuid(),
        "euid": os.geteuid(),
        "gid": os.getgid(),
        "egid": os.getegid(),
        "fname": "workload",
        "dmodel": 2,
    }


def test_psinfo_credentials(trace, python_child):
    child = python_child("os.setresgid(11, 12, 13); os.setresuid(21, 22, 23)")
    t = trace(
        traced(*(f"curpsinfo->pr_{m}" for m in ["uid", "euid", "gid", "egid"]), "uid", "gid"),
        child.pid,
    )
    child.call()
    assert t.finish().data == [21, 22, 11, 12, 21, 11]


def test_psinfo_sizes(watch, workload):
    t = watch(traced("curpsinfo->pr_size", "curpsinfo->pr_rssize"), ("getppid", 1))
    size, rss = t.data
    assert size == int(status(workload.pid, "VmSize")[0])
    # the kernel counts pages per processor first
    assert abs(rss - int(status(workload.pid, "VmRSS")[0])) <= 64 * 4 * (os.cpu_count() or 1) * 3


def test_psinfo_times(watch, workload):
    t = watch(
        GETPPID + "{ trace(curpsinfo->pr_start); trace(curpsinfo->pr_time); }",
        ("burn", 100),
        ("getppid", 1),
    )
    start, used = t.data
    ticks = os.sysconf("SC_CLK_TCK")
    with Path("/proc/uptime").open() as f:
        booted = time.time() - float(f.read().split()[0])
    assert abs(start / 1e9 - (booted + int(stat_fields(workload.pid)[19]) / ticks)) < 2
    assert 0.015 <= used / 1e9 <= 60  # up to the last tick of the scheduler's clock


def test_psinfo_arguments(trace, python_child):
    child = python_child("pass", "one", "two words", "", "x" * 300)
    t = trace(
        traced(
            "curpsinfo->pr_psargs",
            "execargs",
            "curpsinfo->pr_argc",
            "copyinstr(*(uint64_t *)copyin(curpsinfo->pr_argv + 8, 8))",
            "copyinstr(*(uint64_t *)copyin(curpsinfo->pr_envp, 8))",
        ),
        child.pid,
        strsize=1024,
    )
    child.call()
    psargs, execargs, argc, argv1, env0 = t.finish().data
    argv = Path(f"/proc/{child.pid}/cmdline").read_text().split("\0")[:-1]
    environ = Path(f"/proc/{child.pid}/environ").read_text().split("\0")
    assert execargs == " ".join(argv)
    assert psargs == execargs[:79]
    assert (argc, argv1, env0) == (len(argv), "-S", environ[0])


def test_execargs_is_cut(trace, python_child):
    child = python_child("pass", "y" * 200)
    t = trace(traced("execargs"), child.pid, strsize=32)
    child.call()
    argv = Path(f"/proc/{child.pid}/cmdline").read_text().replace("\0", " ")
    assert t.finish().data == [argv[:31]]


def test_psinfo_of_another_process(watch, workload):
    """Through the translator; memory of another process is not ours to read."""
    t = watch(
        GETPPID
        + "{ this->p = curthread->real_parent; trace((xlate <psinfo_t *>(this->p))->pr_pid);"
        + " trace((xlate <psinfo_t>(this->p)).pr_psargs);"
        + " trace((xlate <psinfo_t *>(this->p))->pr_argc); }",
        ("getppid", 1),
    )
    assert t.data == [os.getpid(), Path("/proc/self/comm").read_text().strip(), 0]


def test_psinfo_in_predicates_and_keys(watch, workload):
    t = watch(
        "syscall::getppid:entry /curpsinfo->pr_pid == $1/ { @[curpsinfo->pr_fname] = count(); }",
        ("getppid", 7),
    )
    assert t.aggregations()[1] == {"workload": 7}


def test_terminal(trace, workload, python_child):
    child = python_child("os.setsid(); m, s = os.openpty(); t = os.open(os.ttyname(s), os.O_RDWR)")
    tty = int(stat_fields(child.pid)[4])
    t = trace(traced("curpsinfo->pr_ttydev", "curpsinfo->pr_sid"), child.pid)
    child.call()
    device, sid = t.finish().data
    # /proc has the number as stat(2) gives it: 8 bits of the minor number, then 12 of the major
    assert tty and (device >> 20, device & 0xFFFFF) == (os.major(tty), os.minor(tty))
    assert sid == child.pid


def test_lwpsinfo(watch, workload):
    members = [
        "lwpid",
        "name",
        "state",
        "sname",
        "nice",
        "pri",
        "syscall",
        "onpro",
        "clname",
        "flag",
        "addr",
    ]
    t = watch(
        traced(*(f"curlwpsinfo->pr_{m}" for m in members), "cpu", "(uintptr_t)curthread"),
        ("getppid", 1),
    )
    got = dict(zip([*members, "cpu", "curthread"], t.data, strict=True))
    assert got["lwpid"] == workload.pid
    assert got["name"] == "workload"
    assert (got["state"], got["sname"]) == (6, ord("O"))
    assert got["nice"] == int(stat_fields(workload.pid)[16])
    assert got["pri"] == int(stat_fields(workload.pid)[15]) + 100
    assert got["syscall"] == 110
    assert got["onpro"] == got["cpu"]
    assert got["clname"] == "TS"
    assert got["flag"] == 0
    assert got["addr"] == got["curthread"]


def test_sleeping_lwp(watch, workload):
    """Our own thread, seen by the child's: it waits."""
    t = watch(
        GETPPID + "{ this->l = curthread->real_parent->group_leader;"
        "trace((xlate <lwpsinfo_t *>(this->l))->pr_sname); }",
        ("getppid", 1),
    )
    assert chr(t.data[0]) in "SRO"


def test_threadname(trace, python_child):
    child = python_child('open("/proc/self/task/%d/comm" % os.getpid(), "w").write("renamed")')
    t = trace(traced("threadname", "execname", "curlwpsinfo->pr_name"), child.pid)
    child.call()
    assert t.finish().data == ["renamed"] * 3


# ---- files ---------------------------------------------------------------------------------------


def test_fds(watch, workload):
    fd = workload.do("read", 1, 1)
    name = f"fds[{fd}]"
    members = ["name", "dirname", "pathname", "fs", "mount", "oflags", "offset"]
    t = watch(traced(*(f"{name}.fi_{m}" for m in members)), ("getppid", 1))
    got = dict(zip(members, t.data, strict=True))
    path = os.readlink(f"/proc/{workload.pid}/fd/{fd}")
    assert got["pathname"] == path == "/dev/zero"
    assert (got["dirname"], got["name"]) == ("/dev", "zero")
    assert got["mount"] == mount_point(path)
    assert got["fs"] in Path("/proc/filesystems").read_text().split()
    assert got["oflags"] & os.O_ACCMODE == os.O_RDONLY
    assert got["offset"] == 0


def test_fds_by_argument(watch, workload):
    t = watch(
        "syscall::read:entry /pid == $1 && arg0 > 0/ { trace(fds[arg0].fi_pathname); }",
        ("read", 2, 1),
    )
    assert t.data == ["/dev/zero"] * 2


def test_fds_everywhere(watch):
    """In predicates, conditions, keys and formats; several of them in an expression."""
    t = watch(
        'syscall::read:entry /pid == $1 && fds[arg0].fi_name == "zero"/'
        " { @[fds[arg0].fi_pathname, fds[arg0].fi_oflags & O_ACCMODE] = count();"
        ' trace(fds[arg0].fi_dirname == "/dev" ? fds[0].fi_fs : "?");'
        " this->s = strjoin(fds[arg0].fi_name, fds[0].fi_fs); trace(this->s);"
        ' trace(fds[0].fi_fs == "pipefs" && fds[arg0].fi_fs != fds[0].fi_fs); }',
        ("read", 3, 1),
    )
    assert t.aggregations()[1] == {("/dev/zero", os.O_RDONLY): 3}
    assert t.data == ["pipefs", "zeropipefs", 1] * 3


def test_fds_not_open(watch):
    t = watch(
        traced(
            *(
                f"fds[{i}].fi_{m}"
                for i in (-1, 200, 1 << 30)
                for m in ("name", "offset", "pathname")
            )
        ),
        ("getppid", 1),
    )
    assert t.data == ["", 0, ""] * 3


def test_fds_of_many_kinds(trace, python_child, tmp_path):
    target = tmp_path / "deep" / "er"
    target.mkdir(parents=True)
    file = target / "file with blanks"
    file.write_text("0123456789")
    child = python_child(
        "f = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND); os.lseek(f, 7, 0); os.dup2(f, 50);"
        "os.dup2(os.pipe()[0], 51); import socket; s = socket.socket(); os.dup2(s.fileno(), 52);"
        "os.dup2(os.open('/', os.O_RDONLY), 53); os.dup2(os.open('/proc/self', os.O_RDONLY), 54)",
        str(file),
    )
    t = trace(
        traced(
            *(f"fds[{fd}].fi_pathname" for fd in range(50, 55)),
            "fds[50].fi_dirname",
            "fds[50].fi_offset",
            "fds[50].fi_oflags & (O_ACCMODE | O_APPEND)",
            "fds[51].fi_fs",
            "fds[52].fi_fs",
        ),
        child.pid,
    )
    child.call()
    assert t.finish().data == [
        *(os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in range(50, 55)),
        str(target),
        7,
        os.O_RDWR | os.O_APPEND,
        "pipefs",
        "sockfs",
    ]


def test_long_path(trace, python_child, tmp_path):
    deep = tmp_path
    for k in range(20):
        deep = deep / (f"directory-{k:02}-" + "x" * 40)
    deep.mkdir(parents=True)
    child = python_child("os.chdir(sys.argv[1])", str(deep))
    t = trace(traced("cwd"), child.pid, strsize=4096)
    child.call()
    assert t.finish().data == [str(deep)]
    t = trace(traced("cwd"), child.pid, strsize=64)
    child.call()
    assert t.finish().data == [str(deep)[:63]]


def test_cwd_and_root(watch, workload):
    t = watch(traced("cwd", "root"), ("getppid", 1))
    assert t.data == [os.readlink(f"/proc/{workload.pid}/cwd"), "/"]


def test_changed_root(trace, python_child, tmp_path):
    (tmp_path / "inside").mkdir()
    child = python_child("os.chroot(sys.argv[1]); os.chdir('/inside')", str(tmp_path))
    t = trace(traced("cwd", "root"), child.pid)
    child.call()
    assert t.finish().data == ["/inside", str(tmp_path)]


# ---- stacks and registers ------------------------------------------------------------------------


def test_callers(watch):
    t = watch(
        GETPPID + "{ ustack(2); usym(ucaller); trace(ustackdepth); stack(); func(caller);"
        " trace(stackdepth); }",
        ("nested", 1),
    )
    ustack, ucaller, udepth, stack, caller, depth = t.data
    assert ustack[1].split("+")[0] == "workload`middle" == ucaller.split("+")[0]
    assert 3 <= udepth <= 127
    assert depth == len(stack) >= 2
    if not caller.startswith("0x"):
        assert stack[1].split("+")[0] == caller


def test_ustackdepth_is_that_of_ustack(watch):
    t = watch(GETPPID + "{ ustack(); trace(ustackdepth); }", ("nested", 1))
    assert len(t.data[0]) == t.data[1]


def test_uregs(watch, workload):
    t = watch(
        "syscall::read:entry /pid == $1 && arg0 > 0/ { trace(uregs[R_RDI] - arg0);"
        " trace(uregs[R_RSI] - arg1); trace(uregs[R_RDX]); trace(uregs[R_ERR]);"
        " trace(uregs[R_CS] & 3); this->i = R_RDX; trace(uregs[this->i]);"
        " trace(uregs[R_FSBASE] != 0); trace(uregs[R_SP] == uregs[R_RSP]);"
        " trace(uregs[R_RIP] == uregs[R_EIP]); }",
        ("read", 1, 77),
    )
    assert t.data == [0, 0, 77, 0, 3, 77, 1, 1, 1]


def test_uregs_out_of_range(watch):
    with pytest.raises(dtrace.CompileError, match="index out of range"):
        watch(traced("uregs[27]"))


# ---- time and place ------------------------------------------------------------------------------


def test_vtimestamp(watch):
    t = watch(
        traced("vtimestamp", "timestamp"),
        ("getppid", 1),
        ("burn", 200),
        ("getppid", 1),
        ("sleep", 1, 200),
        ("getppid", 1),
    )
    v = t.data[::2]
    ns = t.data[1::2]
    assert 0 < v[0] <= v[1] <= v[2]
    assert v[1] - v[0] <= ns[1] - ns[0] + 20_000_000
    assert v[1] - v[0] >= 20_000_000
    assert v[2] - v[1] < (ns[2] - ns[1]) / 2


def test_vtimestamp_between_ticks(watch):
    # It moves while the thread runs, in step with the clock, and stands still while it sleeps.
    t = watch(
        "BEGIN { n = 0; } syscall::getppid:entry /pid == $1/ { trace(vtimestamp); trace(timestamp); }",
        ("nested", 2000),
    )
    v, ns = t.data[::2], t.data[1::2]
    steps = [b - a for a, b in itertools.pairwise(v)]
    assert all(step >= 0 for step in steps)
    assert sum(step > 0 for step in steps) > 1500
    assert v[-1] - v[0] <= ns[-1] - ns[0] + 20_000_000


def test_curcpu(watch):
    t = watch(
        traced("curcpu->cpu_id - cpu", "cpu", "curcpu->cpu_chip - chip", "chip", "lgrp", "pset"),
        ("getppid", 1),
    )
    same, cpu, same_chip, chip, lgrp, pset = t.data
    place = Path(f"/sys/devices/system/cpu/cpu{cpu}")
    assert same == same_chip == pset == 0
    assert chip == max(int((place / "topology/physical_package_id").read_text()), 0)
    nodes = [int(p.name[4:]) for p in place.glob("node[0-9]*")]
    assert lgrp == (nodes[0] if nodes else 0)


def test_cgroup(watch, workload):
    for line in Path(f"/proc/{workload.pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            path = line[3:]
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    at = next((m[1] for m in mounts if m[2] == "cgroup2"), None)
    if at is None:
        pytest.skip("no cgroup2 file system is mounted")
    t = watch(traced("cgroup"), ("getppid", 1))
    assert t.data == [os.stat(at + path).st_ino]


def test_pid_namespace(watch, workload):
    t = watch(traced("nsid", "nspid"), ("getppid", 1))
    assert t.data == [os.stat(f"/proc/{workload.pid}/ns/pid").st_ino, workload.pid]


def test_inner_pid_namespace(trace, python_child):
    clone_newpid = 0x20000000
    if ctypes.CDLL(None).unshare(0) != 0:
        pytest.skip("unshare(2) is not allowed")
    child = python_child(
        f"assert ctypes.CDLL(None).unshare({clone_newpid}) == 0\n"
        "if os.fork(): os.wait(); sys.exit()"
    )
    (inner,) = map(int, Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split())
    t = trace(traced("pid", "nspid", "nsid"), inner)
    child.call()
    assert t.finish().data == [inner, 1, os.stat(f"/proc/{inner}/ns/pid").st_ino]


def test_in_timer_probes(watch, workload):
    """perf_event programs, on the interrupted thread."""
    t = watch(
        "profile-997 /pid == $1 && arg1 != 0/ { trace(curpsinfo->pr_fname); trace(cwd);"
        " trace(fds[0].fi_fs); trace(uregs[R_RIP] == arg1); trace(vtimestamp > 0);"
        " trace(execargs); trace(curlwpsinfo->pr_sname); trace(curcpu->cpu_id - cpu);"
        " trace(ustackdepth > 0); trace(ucaller != 0); exit(0); }",
        ("burn", 300),
    )
    assert t.data[:8] == [
        "workload",
        os.readlink(f"/proc/{workload.pid}/cwd"),
        "pipefs",
        1,
        1,
        Path(f"/proc/{workload.pid}/cmdline").read_text().rstrip("\0"),
        ord("O"),
        0,
    ]


# ---- constants and libraries ---------------------------------------------------------------------


def values(trace, names: list[str]) -> list[int]:
    found: list[int] = []
    for k in range(0, len(names), 40):
        part = names[k : k + 40]
        found += trace("BEGIN { " + "".join(f"trace({n}); " for n in part) + "}").finish().data
    return found


def test_constants(trace):
    known = {name: code for code, name in errno.errorcode.items()}
    known |= {s.name: int(s) for s in signal.Signals if s.name not in ("SIGRTMIN", "SIGRTMAX")}
    known |= {n: getattr(os, n) for n in dir(os) if n.startswith("O_") and n != "O_LARGEFILE"}
    known |= {n: getattr(os, n) for n in dir(os) if n.startswith("CLD_")}
    known |= {f.name: int(f) for f in socket.AddressFamily if f.name in ("AF_INET", "AF_INET6")}
    known |= {n: getattr(socket, n) for n in ("IPPROTO_TCP", "IPPROTO_UDP", "IPPROTO_ICMP")}
    known |= {"TH_SYN": 2, "TCP_STATE_ESTABLISHED": 1, "DTRACEFLT_DIVZERO": 4, "R_RIP": 16}
    known |= {"B_READ": 0x40, "SONPROC": 6, "PR_MODEL_LP64": 2, "RW_READER": 1}
    names = sorted(known)
    assert dict(zip(names, values(trace, names), strict=True)) == known


def test_every_constant(trace):
    """Each inline of the libraries that is a constant has the value that stands there."""
    found = {}
    for library in LIBRARIES.glob("*.d"):
        for name, value in re.findall(r"^inline \w+ (\w+) = (\d\w*);", library.read_text(), re.M):
            found[name] = int(value, 0)
    names = sorted(found)
    assert len(names) > 300
    assert dict(zip(names, values(trace, names), strict=True)) == found


def translators() -> list[tuple[str, str, str]]:
    """Output type, input and members of all translators."""
    found = []
    for library in sorted(LIBRARIES.glob("*.d")):
        text = library.read_text()
        for out, source, _name, body in re.findall(
            r"^translator (\w+) < (.*?)(\w+) > \{(.*?)^\};", text, re.M | re.S
        ):
            members = sorted(set(re.findall(r"^\t(\w+) =", body, re.M)))
            # what needs the event of a probe is for that probe alone: its provider's tests have it
            if "__event" not in body:
                found.extend((out, source.strip(), member) for member in members)
    return found


def test_every_member(trace):
    """All members of all translators compile, and the kernel takes the programs."""
    rows = translators()
    assert len(rows) > 80
    for k in range(0, len(rows), 8):
        body = ""
        for out, source, member in rows[k : k + 8]:
            value = f"(xlate <{out} *>(({source})arg0))->{member}"
            value += ".pr_pri" if member == "pr_lwp" else ""
            body += f"trace({value}); "
        trace(f"syscall::getppid:entry /pid == 1/ {{ {body} }}").finish()


def test_members_are_those_of_the_structs():
    """A translator that knows its struct gives every member."""
    text = "\n".join(p.read_text() for p in LIBRARIES.glob("*.d"))
    structs = {
        name: set(re.findall(r"(\w+)(?:\[\d+\])?;", body))
        for body, name in re.findall(r"^typedef struct \w+ \{(.*?)^\} (\w+);", text, re.M | re.S)
    }
    given: dict[tuple[str, str], set[str]] = {}
    for out, source, member in translators():
        given.setdefault((out, source), set()).add(member)
    for (out, _), members in given.items():
        assert members == structs[out]


@pytest.mark.parametrize("name", ["EPERM", "curpsinfo->pr_pid", "cwd", "fds[0].fi_name"])
def test_nolibs(trace, name):
    with pytest.raises(dtrace.CompileError, match=r"failed to resolve|has not yet been declared"):
        trace(f"#pragma D option nolibs\nBEGIN {{ trace({name}); }}")


def test_libraries_are_asked_late(trace):
    """A name that the program itself declares is the program's."""
    t = trace("BEGIN { this->EPERM = 5; self->cwd = 6; trace(this->EPERM); trace(self->cwd); }")
    assert t.finish().data == [5, 6]


@pytest.mark.parametrize("name", ["curpsinfo", "EPERM", "cwd", "fds[0]", "curcpu"])
def test_not_writable(trace, name):
    with pytest.raises(dtrace.CompileError):
        trace(f"BEGIN {{ {name} = 1; }}")


def test_depends_on(trace):
    t = trace("#pragma D depends_on library procfs.d\nBEGIN { trace(sizeof(psinfo_t) > 200); }")
    assert t.finish().data == [1]


def test_inlines_see_the_libraries(trace):
    t = trace(
        "inline int twice = 2 * SIGKILL; inline string where = cwd;"
        "BEGIN { trace(twice); trace(where); }"
    )
    assert t.finish().data == [18, os.getcwd()]


def test_several_programs_on_a_handle(trace):
    t = trace("BEGIN { trace(curpsinfo->pr_pid); }")
    t.finish()
    c = dtrace.DTraceConsumer("embedded")
    try:
        c.strcompile("BEGIN { trace(EPERM); trace(curpsinfo->pr_pid); }")
        c.strcompile("BEGIN { trace(ENOENT); trace(curpsinfo->pr_pid); exit(0); }")
        c.go()
        got: list[object] = []
        end = time.monotonic() + 20
        while not c.consume(lambda _, rec: got.append(rec)) and time.monotonic() < end:
            c.sleep(0.01)
    finally:
        c.close()
    assert [v for v in got if v is not None] == [1, os.getpid(), 2, os.getpid()]


@pytest.mark.parametrize("form", ["{}", "docker-{}.scope", "cri-containerd-{}.scope"])
def test_container(watch, workload, form):
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    top = next((Path(m[1]) for m in mounts if m[2] == "cgroup2"), None)
    name = "0123456789abcdef" * 4
    if top is None or not os.access(top, os.W_OK):
        pytest.skip("no cgroup2 file system can be written to")
    group = top / form.format(name)
    assert watch(traced("container"), ("getppid", 1)).data == [""]
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(workload.pid))
        assert watch(traced("container"), ("getppid", 1)).data == [name]
    finally:
        (top / "cgroup.procs").write_text(str(workload.pid))
        group.rmdir()


def test_variables_of_the_kernel(watch):
    listed = Path("/proc/kallsyms").read_text()
    if not re.search(r"^[1-9a-f]\w* [bBdD] jiffies$", listed, re.M):
        pytest.skip("the kernel does not list its variables")
    t = watch(
        traced("`nr_cpu_ids", "vmlinux`jiffies", "`linux_banner", "`init_task.pid"), ("getppid", 1)
    )
    cpus, jiffies, banner, pid = t.data
    assert cpus >= os.cpu_count()
    assert jiffies > 0
    assert banner.startswith("Linux version ")
    assert pid == 0
