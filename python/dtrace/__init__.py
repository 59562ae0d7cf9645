# SPDX-License-Identifier: Apache-2.0
"""DTrace for Python: run D programs on the live system and get their data as Python objects."""

from __future__ import annotations

# What is asked for is imported then: the command line starts without most of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._aggregations import Aggregation, Snapshot
    from ._consumer import Datum, DTraceConsumer, ProbeDict, Row, Value
    from ._distribution import Distribution
    from ._errors import (
        CompileError,
        Diagnostic,
        Drop,
        DropKind,
        DropWarning,
        DTraceError,
        DTraceWarning,
        Fault,
        FaultWarning,
        LoadError,
        Status,
    )
    from ._events import Event, Probe
    from ._provider import Provider, StaticProbe
    from ._session import CURRENT, Session, run, trace
    from ._tables import Events, Table, Tables

__all__ = [
    "CURRENT",
    "Aggregation",
    "CompileError",
    "DTraceConsumer",
    "DTraceError",
    "DTraceWarning",
    "Datum",
    "Diagnostic",
    "Distribution",
    "Drop",
    "DropKind",
    "DropWarning",
    "Event",
    "Events",
    "Fault",
    "FaultWarning",
    "LoadError",
    "Probe",
    "ProbeDict",
    "Provider",
    "Row",
    "Session",
    "Snapshot",
    "StaticProbe",
    "Status",
    "Table",
    "Tables",
    "Value",
    "run",
    "trace",
]

_homes = {
    "_aggregations": ("Aggregation", "Snapshot"),
    "_consumer": ("DTraceConsumer", "Datum", "ProbeDict", "Row", "Value"),
    "_distribution": ("Distribution",),
    "_errors": (
        "CompileError",
        "DTraceError",
        "DTraceWarning",
        "Diagnostic",
        "Drop",
        "DropKind",
        "DropWarning",
        "Fault",
        "FaultWarning",
        "LoadError",
        "Status",
    ),
    "_events": ("Event", "Probe"),
    "_provider": ("Provider", "StaticProbe"),
    "_session": ("CURRENT", "Session", "run", "trace"),
    "_tables": ("Events", "Table", "Tables"),
    "jupyter": ("load_ipython_extension",),
}
_modules = ("compat", "fleet", "jupyter", "otel", "plot", "prometheus", "stacks")


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        return import_module("importlib.metadata").version("pydtrace")
    if name in _modules:
        return import_module(f"{__name__}.{name}")
    for home, names in _homes.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_modules})
