# SPDX-License-Identifier: Apache-2.0
"""DTrace for Python: run D programs on the live system and get their data as Python objects."""

from __future__ import annotations

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

# Tracebacks and help() show the public names.
for _object in [globals()[_name] for _name in __all__]:
    if getattr(_object, "__module__", "").startswith("dtrace._"):
        _object.__module__ = __name__
del _object


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("pydtrace")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
