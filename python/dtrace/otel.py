# SPDX-License-Identifier: Apache-2.0
"""Aggregations as metrics of OpenTelemetry.  Needs its SDK: ``pip install pydtrace[otel]``.

    session = dtrace.trace("syscall:::entry { @calls[execname] = count() }")
    dtrace.otel.instrument(session, meter)

An aggregation becomes an observable instrument ``dtrace.NAME`` with an attribute for each part of
its keys: a counter for count(), an up-down counter for sum(), gauges for the others.  A
distribution becomes a counter ``dtrace.NAME.bucket`` with the attribute ``le``, the highest value
of a range; each range counts those below, too, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from ._aggregations import DISTRIBUTIONS, Aggregation
from ._metrics import Source, cumulative, label, metric_name
from ._session import Session


def attributes(agg: Aggregation, key: tuple[Any, ...]) -> dict[str, str | int]:
    return {
        name: part if isinstance(part, int) and abs(part) < 2**63 else label(part)
        for name, part in zip(agg.fields, key, strict=True)
    }


def observe(agg: Aggregation) -> Iterable[Observation]:
    """An observation for each row, of distributions one for each range."""
    for key, value in agg.items():
        names = attributes(agg, key)
        if agg.function not in DISTRIBUTIONS:
            yield Observation(value, names)
            continue
        for le, n in cumulative(value):
            yield Observation(n, {**names, "le": "+Inf" if le is None else str(le)})


def instrument(session: Session, meter: Meter | None = None, prefix: str = "dtrace") -> list[Any]:
    """Make an instrument for each aggregation of a session that has been started.

    They are read when the meter's provider collects; a session that is over keeps its last numbers.
    Gives the instruments.
    """
    meter = meter or get_meter("dtrace")
    source = Source(session, 0.05)
    made: list[Any] = []
    for name, agg in source.snapshot().items():
        full = metric_name("", agg)
        what = f"{prefix}.{full}"
        text = f"@{name} = {agg.function}()"
        callback = reader(source, name)
        if agg.function in DISTRIBUTIONS:
            made.append(meter.create_observable_counter(f"{what}.bucket", [callback], "1", text))
        elif agg.function == "count":
            made.append(meter.create_observable_counter(what, [callback], "1", text))
        elif agg.function == "sum":
            made.append(meter.create_observable_up_down_counter(what, [callback], "1", text))
        else:
            made.append(meter.create_observable_gauge(what, [callback], "1", text))
    return made


def reader(source: Source, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """The callback of one instrument."""

    def read(options: CallbackOptions) -> Iterable[Observation]:
        snapshot = source.snapshot()
        return list(observe(snapshot[name])) if name in snapshot else []

    return read
