# SPDX-License-Identifier: Apache-2.0
"""One program on many hosts: those of a Dask cluster.  Needs distributed: ``pip install
pydtrace[dask]``.

    client = distributed.Client("scheduler:8786")
    with dtrace.fleet.Fleet(client, "syscall:::entry { @calls[execname] = count() }") as fleet:
        for snapshot in fleet.snapshots(interval=2):
            print(snapshot["calls"].top(10))

Each host traces by itself and sends its aggregations when asked; they are merged here, exactly:
counts and sums add up, minima and maxima win, averages, deviations and distributions are made of
all values of all hosts.  A host that fails is named in ``failures``; the others go on, and what
it had sent by then still counts.

A cluster's workers must have this package, and the privilege to trace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, NamedTuple

from ._aggregations import Snapshot
from ._errors import Drop, DTraceError, Fault
from ._events import Event
from ._session import Session


class FleetError(DTraceError):
    """No host can trace."""

    failures: dict[str, BaseException]
    """Why, by host."""

    def __init__(self, failures: Mapping[str, BaseException]) -> None:
        reasons = "; ".join(f"{host}: {e}" for host, e in failures.items())
        super().__init__(f"no host can trace ({reasons or 'the cluster has none'})")
        self.failures = dict(failures)


class Report(NamedTuple):
    """What a host says when asked."""

    snapshot: Snapshot
    events: list[Event]
    drops: list[Drop]
    faults: list[Fault]
    done: bool


class Agent:
    """The part of a fleet that is on a host: an actor of Dask."""

    def __init__(self, program: str, keywords: dict[str, Any]) -> None:
        self._drops: list[Drop] = []
        self._faults: list[Fault] = []
        self._session = Session(
            program, on_drop=self._drops.append, on_fault=self._faults.append, **keywords
        )

    def start(self) -> None:
        self._session.start()

    def report(self) -> Report:
        session = self._session
        events = session.poll()
        drops, self._drops[:] = list(self._drops), []
        faults, self._faults[:] = list(self._faults), []
        return Report(session.snapshot(), events, drops, faults, session.done)

    def stop(self) -> Report:
        self._session.stop()
        self._session.wait()
        return self.report()

    def close(self) -> None:
        self._session.close()


class HostEvent(NamedTuple):
    """An event and where it happened."""

    host: str
    event: Event


class Fleet:
    """A program being traced on all hosts of a cluster.

    client: a distributed.Client.
    per: ``"host"``, one session on each host, whatever the number of its workers; or
        ``"worker"``, one in each worker's process.
    only: names of the hosts wanted (with ``per="worker"``: addresses of workers); all by default.
    patience: after how many seconds without an answer a host counts as failed.
    on_failure: called with a host's name and an exception when it fails.
    others: as for Session; a process id as target is the same number on every host.

    Starts with the ``with`` statement or ``start()``.  Raises FleetError if no host can trace.
    """

    def __init__(
        self,
        client: Any,
        program: str,
        *,
        per: Literal["host", "worker"] = "host",
        only: Iterable[str] | None = None,
        patience: float = 30.0,
        on_failure: Callable[[str, BaseException], object] | None = None,
        **keywords: Any,
    ) -> None:
        self.program = program
        self.failures: dict[str, BaseException] = {}
        """Hosts that have failed, and why."""
        self.by_host: dict[str, Snapshot] = {}
        """The aggregations of each host as it sent them last."""
        self.drops: list[tuple[str, Drop]] = []
        """Drops reported, with the host."""
        self.faults: list[tuple[str, Fault]] = []
        """Faults reported, with the host."""
        self._client = client
        self._keywords = keywords
        self._patience = patience
        self._on_failure = on_failure
        self._addresses = places(client, per, None if only is None else set(only))
        self._agents: dict[str, Any] = {}
        self._futures: list[Any] = []
        self._finished: set[str] = set()
        self._events: list[HostEvent] = []
        self._lock = threading.RLock()

    # ---- life ---------------------------------------------------------------------------------

    def start(self) -> Fleet:
        """Compile and start everywhere.  Gives the fleet."""
        with self._lock:
            futures = {
                host: self._client.submit(
                    Agent,
                    self.program,
                    self._keywords,
                    actor=True,
                    workers=[address],
                    allow_other_workers=False,
                    pure=False,
                )
                for host, address in self._addresses.items()
            }
            self._futures = list(futures.values())
            self._agents = self._gather(futures)
            self._ask("start")
            if not self._agents:
                self.close()
                raise FleetError(self.failures)
        return self

    def stop(self) -> Snapshot:
        """End tracing everywhere.  Gives what all of it has counted."""
        with self._lock:
            self._take(self._ask("stop", [h for h in self._agents if h not in self._finished]))
            self._finished |= self._agents.keys()
            return self._merged()

    def close(self) -> None:
        """Leave nothing behind on any host."""
        with self._lock:
            failures = dict(self.failures)
            self._ask("close")
            self.failures = failures
            self._agents.clear()
            self._futures.clear()

    def __enter__(self) -> Fleet:
        if not self._agents:
            self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # ---- asking all ---------------------------------------------------------------------------

    def _fail(self, host: str, e: BaseException) -> None:
        self.failures[host] = e
        self._agents.pop(host, None)
        if self._on_failure is not None:
            self._on_failure(host, e)

    def _gather(self, futures: Mapping[str, Any]) -> dict[str, Any]:
        """The results of those that have one in time; the others have failed."""
        end = time.monotonic() + self._patience
        results = {}
        for host, future in futures.items():
            try:
                results[host] = future.result(timeout=max(end - time.monotonic(), 0.01))
            except Exception as e:
                self._fail(host, e)
        return results

    def _ask(self, method: str, hosts: Iterable[str] | None = None) -> dict[str, Any]:
        """All of them at the same time."""
        futures = {}
        for host in list(self._agents if hosts is None else hosts):
            try:
                futures[host] = getattr(self._agents[host], method)()
            except Exception as e:
                self._fail(host, e)
        return self._gather(futures)

    def _take(self, reports: Mapping[str, Report]) -> None:
        for host, report in reports.items():
            self.by_host[host] = report.snapshot
            self._events += [HostEvent(host, e) for e in report.events]
            self.drops += [(host, d) for d in report.drops]
            self.faults += [(host, f) for f in report.faults]
            if report.done:
                self._finished.add(host)

    def _merged(self) -> Snapshot:
        return sum(self.by_host.values(), Snapshot())

    # ---- what they say ------------------------------------------------------------------------

    @property
    def hosts(self) -> list[str]:
        """The hosts that trace, or have done so to the end."""
        return list(self._agents)

    @property
    def done(self) -> bool:
        """Has tracing ended on all hosts?"""
        return self._finished >= self._agents.keys()

    def snapshot(self) -> Snapshot:
        """The aggregations of all hosts as one."""
        with self._lock:
            self._take(self._ask("report", [h for h in self._agents if h not in self._finished]))
            return self._merged()

    def snapshots(self, interval: float = 1.0, timeout: float | None = None) -> Iterator[Snapshot]:
        """Merged snapshots, one every interval seconds, until tracing has ended on all hosts or
        timeout seconds have passed; the last one is complete."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            pause = interval if end is None else min(interval, end - time.monotonic())
            time.sleep(max(pause, 0))
            snapshot = self.snapshot()
            if self.done:
                yield snapshot
                return
            if end is not None and time.monotonic() >= end:
                yield self.stop()
                return
            yield snapshot

    def events(self) -> list[HostEvent]:
        """The events that have come with snapshots so far, with their hosts; each is given once.

        Clocks of hosts differ: the order is that of each host alone.
        """
        with self._lock:
            events, self._events = self._events, []
            return events

    def __repr__(self) -> str:
        return f"<Fleet hosts={len(self._agents)} failures={len(self.failures)}>"


def places(client: Any, per: str, only: set[str] | None) -> dict[str, str]:
    """Where agents go: names of hosts, or addresses, and a worker for each."""
    if per not in ("host", "worker"):
        raise ValueError("per must be 'host' or 'worker'")
    workers = client.scheduler_info(n_workers=-1)["workers"]
    found: dict[str, str] = {}
    for address in sorted(workers):
        name = address if per == "worker" else workers[address]["host"]
        if only is None or name in only:
            found.setdefault(name, address)
    if only is not None and (missing := only - found.keys()):
        raise ValueError(f"not in the cluster: {', '.join(sorted(missing))}")
    return found


def run(client: Any, program: str, seconds: float, **keywords: Any) -> Snapshot:
    """Trace everywhere for some time: the aggregations of all hosts as one.

    Warns of hosts that failed.  Other arguments are those of Fleet.
    """
    import warnings

    with Fleet(client, program, **keywords) as fleet:
        *_, snapshot = fleet.snapshots(min(seconds, 5.0), timeout=seconds)
        for host, e in fleet.failures.items():
            warnings.warn(f"host {host} failed: {e}", RuntimeWarning, stacklevel=2)
        return snapshot
