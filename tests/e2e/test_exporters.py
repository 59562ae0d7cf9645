# SPDX-License-Identifier: Apache-2.0
"""Running aggregations as metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import dtrace

PROGRAM = """
BEGIN
{
    @calls["b\\"a\\\\s\\nh", 7] = count(); @calls["cat", 7] = count(); @bytes = sum(-5);
    @least = min(3); @most = max(9); @avg = avg(10); @avg = avg(20); @dev = stddev(4);
    @q["x"] = quantize(1); @q["x"] = quantize(5); @q["x"] = quantize(5);
    @l = lquantize(5, 0, 10, 5); @norm = count(); normalize(@norm, 1); @stack[stack(1)] = count();
}
tick-1ms { @ticks = count() }
"""


@pytest.fixture
def session() -> Iterator[dtrace.Session]:
    with dtrace.trace(PROGRAM, engine="embedded") as s:
        ticked(s)
        yield s


def ticked(session: dtrace.Session, since: float = 0) -> None:
    """Wait for a tick more than there were."""
    while session.snapshot()["ticks"].value <= since:
        session.wait(0.01)


def test_prometheus(session: dtrace.Session) -> None:
    client = pytest.importorskip("prometheus_client")
    from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
    from prometheus_client.parser import text_string_to_metric_families

    from dtrace.prometheus import Collector

    registry = client.CollectorRegistry()
    registry.register(Collector(session))
    text = client.generate_latest(registry).decode()
    found: dict[str, Any] = {}
    types = {}
    for family in text_string_to_metric_families(text):
        types[family.name] = family.type
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    names = [name for name, _ in found]
    assert types["dtrace_calls"] == "counter" and types["dtrace_bytes"] == "gauge"
    assert types["dtrace_avg"] == "summary" and types["dtrace_q"] == "histogram"
    key = session["calls"].fields
    assert found["dtrace_calls_total", tuple(sorted(zip(key, ("cat", "7"), strict=True)))] == 1
    hostile = ('b"a\\s\\nh', "7")
    assert found["dtrace_calls_total", tuple(sorted(zip(key, hostile, strict=True)))] == 1
    assert found["dtrace_bytes", ()] == -5
    assert (found["dtrace_least", ()], found["dtrace_most", ()]) == (3, 9)
    assert (found["dtrace_avg_count", ()], found["dtrace_avg_sum", ()]) == (2, 30)
    q = session["q"].fields[0]
    steps = {dict(k)["le"]: v for (name, k), v in found.items() if name == "dtrace_q_bucket"}
    assert steps == {"0.0": 0, "1.0": 1, "3.0": 1, "7.0": 3, "15.0": 3, "+Inf": 3}
    assert found["dtrace_q_count", ((q, "x"),)] == 3
    assert found["dtrace_drops_total", ()] == found["dtrace_faults_total", ()] == 0
    assert "dtrace_ticks_total" in names and "dtrace_stack_total" in names
    ticks = found["dtrace_ticks_total", ()]
    ticked(session, ticks)
    assert registry.get_sample_value("dtrace_ticks_total") > ticks
    openmetrics(registry)
    session.close()
    assert registry.get_sample_value("dtrace_ticks_total") > ticks


def test_opentelemetry(session: dtrace.Session) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from dtrace import otel

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    made = otel.instrument(session, provider.get_meter("test"))
    assert len(made) == len(session.aggregations)
    data = reader.get_metrics_data()
    assert data is not None
    (resource,) = data.resource_metrics
    metrics = {m.name: m for scope in resource.scope_metrics for m in scope.metrics}

    def points(name: str) -> dict[Any, Any]:
        return {
            tuple(sorted(p.attributes.items())): p.value for p in metrics[name].data.data_points
        }

    key = session["calls"].fields
    assert points("dtrace.calls")[tuple(sorted(zip(key, ("cat", 7), strict=True)))] == 1
    assert points("dtrace.bytes") == {(): -5} and points("dtrace.avg") == {(): 15.0}
    assert points("dtrace.least") == {(): 3} and points("dtrace.most") == {(): 9}
    q = session["q"].fields[0]
    steps = {dict(k)["le"]: v for k, v in points("dtrace.q.bucket").items()}
    assert steps == {"0": 0, "1": 1, "3": 1, "7": 3, "15": 3, "+Inf": 3}
    assert all(dict(k)[q] == "x" for k in points("dtrace.q.bucket"))
    assert points("dtrace.ticks")[()] > 0
    provider.shutdown()
