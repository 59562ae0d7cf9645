# SPDX-License-Identifier: Apache-2.0
"""DTrace for Python: run D programs on the live system and get their data as Python objects."""

from __future__ import annotations

# What is asked for is imported then: the command line starts without most of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._consumer import Datum, DTraceConsumer, Probe, Row, Value
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

__all__ = [
    "CompileError",
    "DTraceConsumer",
    "DTraceError",
    "DTraceWarning",
    "Datum",
    "Diagnostic",
    "Drop",
    "DropKind",
    "DropWarning",
    "Fault",
    "FaultWarning",
    "LoadError",
    "Probe",
    "Row",
    "Status",
    "Value",
]

_homes = {
    "_consumer": ("DTraceConsumer", "Datum", "Probe", "Row", "Value"),
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
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        return import_module("importlib.metadata").version("pydtrace")
    for home, names in _homes.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
