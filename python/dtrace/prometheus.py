# SPDX-License-Identifier: Apache-2.0
"""Aggregations as metrics of Prometheus.  Needs prometheus_client: ``pip install pydtrace[prometheus]``.

    session = dtrace.trace("syscall:::entry { @calls[execname] = count() }")
    prometheus_client.REGISTRY.register(Collector(session))
    prometheus_client.start_http_server(9100)

An aggregation becomes a metric ``dtrace_NAME`` with a label for each part of its keys:

==============  ===========================================================================
count           a counter
sum, min, max   gauges
avg             a summary: its ``_count`` and ``_sum`` are exact
stddev          a gauge
distributions   a histogram; its ``_sum`` is an estimate from the middles of the ranges
==============  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)

from ._aggregations import DISTRIBUTIONS, Aggregation
from ._metrics import Source, cumulative, labels, metric_name
from ._session import Session


class Collector:
    """A collector for a registry of prometheus_client; each scrape reads the aggregations anew.

    The session has to have been started; when it is over, its last numbers stay.
    """

    def __init__(self, session: Session, prefix: str = "dtrace") -> None:
        self._source = Source(session, 0.0)
        self._prefix = prefix

    def describe(self) -> Iterable[Any]:
        """Nothing is known before tracing: registering must not ask."""
        return []

    def collect(self) -> Iterable[Any]:
        """The metrics as they are now."""
        for agg in self._source.snapshot().values():
            yield family(agg, metric_name(self._prefix, agg))
        session, prefix = self._source.session, self._prefix
        yield CounterMetricFamily(
            f"{prefix}_drops", "Drops reported: data was lost.", value=session.drops
        )
        yield CounterMetricFamily(
            f"{prefix}_faults", "Faults reported: clauses were left early.", value=session.faults
        )


def family(agg: Aggregation, name: str) -> Any:
    """One metric with all its rows."""
    keys = ", ".join(e or "?" for e in agg.expressions)
    text = f"@{agg.name}[{keys}] = {agg.function}()" if keys else f"@{agg.name} = {agg.function}()"
    names = agg.fields
    made: Any
    if agg.function in DISTRIBUTIONS:
        made = HistogramMetricFamily(name, text, labels=names)
        for key, d in agg.items():
            steps = [("+Inf" if le is None else str(float(le)), n) for le, n in cumulative(d)]
            made.add_metric(labels(key), steps, sum_value=d.mean * d.total)
    elif agg.function == "avg":
        made = SummaryMetricFamily(name, text, labels=names)
        for key, (count, total) in agg.states.items():
            made.add_metric(labels(key), count_value=count, sum_value=total / agg.normal(key))
    else:
        kind = CounterMetricFamily if agg.function == "count" else GaugeMetricFamily
        made = kind(name, text, labels=names)
        for key, value in agg.items():
            made.add_metric(labels(key), value)
    return made
