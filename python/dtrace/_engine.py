# SPDX-License-Identifier: Apache-2.0
"""Which libdtrace to use.

There is one extension module per engine, all made from the same sources: ``dtrace._embedded``
holds the engine for Linux, ``dtrace._system`` speaks to the libdtrace of the platform.  They are
imported when first asked for, so that importing ``dtrace`` is quick and works everywhere.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

# The module typing takes longer to import than an engine to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from . import _embedded

    class EngineModule(Protocol):
        """What an extension module offers."""

        ENGINE: str
        ENGINE_VERSION: str
        Consumer: type[_embedded.Consumer]
        Frame: type[_embedded.Frame]


ENVIRONMENT = "PYDTRACE_ENGINE"

modules = {"embedded": "dtrace._embedded", "system": "dtrace._system"}


def candidates(name: str) -> list[str]:
    """The engines to try for a name, best first."""
    if name == "auto":
        name = os.environ.get(ENVIRONMENT, "") or "auto"
    if name == "auto":
        return ["embedded", "system"] if sys.platform == "linux" else ["system"]
    if name not in modules:
        known = ", ".join(["auto", *modules])
        raise ValueError(f"no such engine: {name!r} (known: {known})")
    return [name]


def load(name: str = "auto") -> EngineModule:
    """The extension module of an engine; DTraceError if it is not there."""
    reasons = []
    for candidate in candidates(name):
        try:
            module: Any = import_module(modules[candidate])
            return module  # type: ignore[no-any-return]
        except ImportError as e:
            reasons.append(f"{candidate}: {e}")
    from ._errors import DTraceError

    raise DTraceError("DTrace is not available on this system (" + "; ".join(reasons) + ")")
