# SPDX-License-Identifier: Apache-2.0
"""``--format json``: an object per line.  docs/cli.md has the schema."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from .run import Output

if TYPE_CHECKING:
    from .._embedded import Consumer, _ProbeDescription
    from .._errors import Drop, Fault

FIELDS = ("provider", "module", "function", "name")


def plain(value: Any) -> Any:
    """A datum as JSON has it."""
    if isinstance(value, str):
        # What is no text came by way of surrogates.
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def line(type_: str, /, **fields: Any) -> str:
    return json.dumps({"type": type_, **fields}, separators=(",", ":"), allow_nan=False) + "\n"


def buckets(value: Any) -> Any:
    """A distribution as objects; other values as they are."""
    if not isinstance(value, list):
        return plain(value)
    return [{"low": low, "high": high, "count": n} for (low, high), n in value]


class Lines(Output):
    """Records as the extension writes them, everything else from here."""

    def work(self) -> bool:
        return self.c.show_json()

    def end(self) -> None:
        for number, name, function, _, keys, value in self.c.rows():
            self.c.put(
                line(
                    "aggregation",
                    id=number,
                    name=name,
                    function=function,
                    key=plain(keys),
                    value=buckets(value),
                )
            )
        self.c.put(line("end", status=self.c.exit_status, signal=self.c.caught or None))

    def drop(self, drop: Drop) -> None:
        self.c.put(
            line(
                "drop",
                kind=getattr(drop.kind, "name", str(drop.kind)).lower(),
                cpu=drop.cpu if drop.cpu >= 0 else None,
                count=drop.drops,
                total=drop.total,
                message=drop.message,
            )
        )

    def fault(self, fault: Fault) -> None:
        self.c.put(
            line(
                "error",
                probe={k: plain(v) for k, v in fault.probe.items()},
                cpu=fault.cpu,
                action=fault.action,
                fault=fault.fault,
                address=fault.address,
                message=plain(fault.message),
            )
        )

    def process(self, pid: int, message: str) -> None:
        status = self.c.ended(pid)
        self.c.put(
            line(
                "process",
                pid=pid,
                status=os.WEXITSTATUS(status)
                if status is not None and os.WIFEXITED(status)
                else None,
                signal=os.WTERMSIG(status)
                if status is not None and os.WIFSIGNALED(status)
                else None,
                message=plain(message),
            )
        )


def list_probes(c: Consumer, pattern: _ProbeDescription) -> None:
    """For -l: the probes with what -v says about them."""
    for probe in c.probes(pattern):
        name, arguments, types = c.probe_info(probe)
        c.put(
            line(
                "probe",
                id=probe[0],
                **dict(zip(FIELDS, map(plain, probe[1:]), strict=True)),
                stability=name,
                argument_stability=arguments,
                arguments=types,
            )
        )


def show_features(
    c: Consumer, rows: list[tuple[str, bool, str | None, str | None, str | None]]
) -> None:
    """For --features."""
    for name, available, use, instead, refusal in rows:
        c.put(
            line(
                "feature",
                name=name,
                available=available,
                use=use,
                instead=instead or None,
                refusal=refusal or None,
            )
        )
