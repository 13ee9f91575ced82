"""Spans of a run, as OpenTelemetry hears them: nested, without people, and nothing at all where nobody asks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connect.executors import telemetry
from connect.pipeline import tracing

Spans = Mapping[str, list[ReadableSpan]]


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = telemetry.provider_of(SimpleSpanProcessor(exporter))
    tracing.use(telemetry.Told(provider.get_tracer("connect")))
    yield exporter
    tracing.use(None)
    provider.shutdown()


def finished(exporter: InMemorySpanExporter) -> Spans:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("connect."): value for name, value in (span.attributes or {}).items()}


def test_without_a_tracer_a_span_is_nothing() -> None:
    assert tracing.span("run", campaign="weekly") is tracing.NOTHING
    assert tracing.Calls("mail").call(1) is tracing.NOTHING
    assert tracing.carried() == {}


def test_spans_are_inside_of_each_other(exporter: InMemorySpanExporter) -> None:
    with tracing.span("run", campaign="weekly"), tracing.span("read") as read:
        read.set("rows", 7)
    spans = finished(exporter)
    (run,), (inner,) = spans["run"], spans["read"]
    assert inner.parent is not None
    assert inner.parent.span_id == run.context.span_id
    assert (attributes(run), attributes(inner)) == ({"campaign": "weekly"}, {"rows": 7})
    assert run.resource.attributes["service.name"] == "connect"


def test_what_goes_wrong_is_told_by_its_kind_alone(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), tracing.span("run"):
        raise ValueError("of ada@example.com")
    (span,) = finished(exporter)["run"]
    assert span.status.description == "ValueError"
    assert span.events == ()
    assert "ada" not in span.to_json()


def test_calls_of_one_message_share_a_span(exporter: InMemorySpanExporter) -> None:
    calls = tracing.Calls("mail")
    for _ in range(tracing.TOGETHER + 5):
        with calls.call(1):
            pass
    with calls.call(30):
        pass
    calls.end()
    told = Counter((each["calls"], each["messages"]) for each in map(attributes, finished(exporter)["send"]))
    assert told == {(tracing.TOGETHER, tracing.TOGETHER): 1, (1, 30): 1, (5, 5): 1}


def test_another_process_goes_on_inside(exporter: InMemorySpanExporter) -> None:
    import contextvars

    with tracing.span("run"):
        carried = tracing.carried()

    def elsewhere() -> None:
        tracing.follow(json.loads(json.dumps(carried)))
        with tracing.span("render"):
            pass

    contextvars.Context().run(elsewhere)
    spans = finished(exporter)
    assert spans["render"][0].parent is not None
    assert spans["render"][0].parent.span_id == spans["run"][0].context.span_id


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "connect"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_told_where_nobody_asks(environment: dict[str, str]) -> None:
    with telemetry.traced(environment):
        assert tracing.span("run") is tracing.NOTHING
