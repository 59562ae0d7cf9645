# SPDX-License-Identifier: Apache-2.0
"""Programs as Debian ships them: PostgreSQL, Python, shells, curl.

These are not run on other kernels: the programs are the same there, and slow.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, clean_env
from test_late import run_created

# ---- PostgreSQL --------------------------------------------------------------------------------------

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


class Cluster:
    """A server of our own, which listens on a socket in its folder only."""

    def __init__(self, folder: Path, postgres: Path) -> None:
        self.postgres = postgres
        self.folder = folder
        folder.chmod(0o755)
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        user = pwd.getpwnam("nobody")
        os.chown(self.data, user.pw_uid, user.pw_gid)
        self.as_nobody = {"user": user.pw_uid, "group": user.pw_gid, "env": self.env()}
        subprocess.run(
            [postgres.with_name("initdb"), "-D", self.data, "-U", "tester", "--no-sync"],
            check=True,
            capture_output=True,
            cwd="/",
            **self.as_nobody,
        )
        self.server = subprocess.Popen(
            [postgres, "-D", self.data, "-k", self.data, "-c", "listen_addresses=", "-F"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self.as_nobody,
        )

    def env(self) -> dict[str, str]:
        return {**clean_env(), "LC_ALL": "C", "HOME": "/nonexistent"}

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while self.psql("select 1", check=False) != "1":
            assert self.server.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)

    def psql(self, *queries: str, check: bool = True) -> str:
        command = [self.postgres.with_name("psql"), "-h", self.data, "-U", "tester", "-XqAt"]
        for query in queries:
            command += ["-c", query]
        done = subprocess.run(
            [*command, "postgres"],
            capture_output=True,
            text=True,
            check=check,
            cwd="/",
            **self.as_nobody,
        )
        return done.stdout.strip()

    def end(self) -> None:
        self.server.send_signal(3)  # at once, without tidying up
        self.server.wait(PATIENCE)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if not SERVERS:
        pytest.skip("there is no PostgreSQL server")
    # where others may look for it, too
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "/tmp/pydtrace-XXXXXX"], text=True).strip()
    )
    cluster = Cluster(folder, SERVERS[-1])
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder)


QUERIES = ("select 40 + 2", "select 'x' order by 1", "select 40 + 2", "begin", "rollback")


def test_queries(trace, cluster):
    """Static probes by the file: of processes that are started for each connection."""
    t = trace(
        "usdt:$$2:postgresql:query-start /ppid == $1/ { @q[copyinstr(arg0)] = count(); self->n = 1; }"
        "usdt:$$2:postgresql:query-done /ppid == $1 && self->n/ { @done[copyinstr(arg0)] = count(); }"
        "usdt:$$2:postgresql:transaction-start, usdt:$$2:postgresql:transaction-abort /self->n/"
        "{ @t[probename] = count(); }",
        cluster.server.pid,
        cluster.postgres,
    )
    assert cluster.psql(*QUERIES).split() == ["42", "x", "42"]
    rows = t.finish().aggregations()
    assert rows[1] == rows[2] == {q: QUERIES.count(q) for q in QUERIES}
    assert rows[3]["transaction-abort"] == 1


def test_functions_of_postgres(trace, cluster):
    """As many calls as there were queries, and what the function was called with."""
    t = trace(
        "uprobe:$$2:pg_parse_query:entry /ppid == $1/ { @[copyinstr(arg0)] = count(); self->in = 1; }"
        "uprobe:$$2:pg_parse_query:return /self->in/ { @r = count(); self->in = 0; }",
        cluster.server.pid,
        cluster.postgres,
    )
    cluster.psql(*QUERIES)
    rows = t.finish().aggregations()
    assert rows[1] == {q: QUERIES.count(q) for q in QUERIES}
    assert rows[2] == {(): len(QUERIES)}


# ---- shells ------------------------------------------------------------------------------------------


def test_a_chain_of_shells(new_trace):
    t = run_created(
        new_trace,
        "proc:::exec-success /progenyof($target)/ { @x[execname] = count(); }"
        "proc:::exit /progenyof($target)/ { @e[execname, curthread->exit_code >> 8] = count(); }",
        ["/bin/sh", "-c", "/bin/true; /bin/sh -c '/bin/false; exit 3'; exit 4"],
    )
    rows = t.aggregations()
    assert rows[1]["true"] == rows[1]["false"] == 1
    exits = {key: n for key, n in rows[2].items() if key[0] != "sh"}
    assert exits == {("true", 0): 1, ("false", 1): 1}
    assert {code for name, code in rows[2] if name == "sh"} == {3, 4}


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no bash")
def test_builtins_of_bash(new_trace):
    t = run_created(
        new_trace,
        "pid$target:a.out:echo_builtin:entry { @ = count(); }"
        "pid$target:a.out:echo_builtin:return { @r = sum(arg1); }",
        ["/bin/bash", "--norc", "-c", "for i in 1 2 3; do echo $i; done >/dev/null"],
    )
    assert t.aggregations() == {1: {(): 3}, 2: {(): 0}}


# ---- Python ------------------------------------------------------------------------------------------


def test_static_probes_of_python(new_trace, tmp_path):
    """Those that the interpreter has of itself."""
    python = Path("/usr/bin/python3")
    notes = subprocess.run(["grep", "-qa", "gc__start", str(python.resolve())], check=False)
    if notes.returncode:
        pytest.skip("this python3 has no static probes")
    script = tmp_path / "app.py"
    script.write_text(
        "import gc\ngc.disable()\ndef called(n):\n    return n\nfor i in range(5):\n    called(i)\n    gc.collect(1)\n"
    )
    t = run_created(
        new_trace,
        "python$target:::gc-start /(int)arg0 == 1/ { @g = count(); }"
        "python$target:::import-find-load-start { @i = count(); }",
        [python, "-I", str(script)],
    )
    rows = t.aggregations()
    assert rows[1][()] >= 5  # more when it collects by itself before
    assert rows[2][()] > 0


# ---- curl --------------------------------------------------------------------------------------------

SERVER = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "50000")
        self.end_headers()
        self.wfile.write(b"x" * 50000)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl(new_trace):
    """What curl receives and how often it connects is what it says itself."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=clean_env()
    )
    try:
        port = server.stdout.readline().strip()
        url = f"http://127.0.0.1:{port}/"
        form = "%{size_header} %{size_download} %{num_connects}\\n"
        t = new_trace()
        t.go(
            'syscall::recvfrom:return /ppid == $1 && execname == "curl" && (int64_t)arg1 > 0/'
            "{ @bytes = sum((int64_t)arg1); }"
            "tcp:::connect-established /args[3]->tcps_rport == $2/ { @connects = count(); }",
            os.getpid(),
            port,
        )
        command = ["curl", "-sq", "--noproxy", "*", "-w", form]
        said = subprocess.run(
            [*command, "-o", "/dev/null", url, "-o", "/dev/null", url],
            capture_output=True,
            text=True,
            check=True,
            env=clean_env(),
        ).stdout
        numbers = [list(map(int, line.split())) for line in said.splitlines()]
        rows = t.finish().aggregations()
        assert [n[1] for n in numbers] == [50000, 50000]
        assert rows[1][()] == sum(n[0] + n[1] for n in numbers)
        assert rows[2][()] == sum(n[2] for n in numbers)
    finally:
        server.kill()
        server.communicate()
