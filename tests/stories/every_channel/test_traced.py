"""A run of several processes, followed with OpenTelemetry: one trace, and nobody in it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connect.testing.api import Answer, ApiServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as tests/acceptance/test_workers.py")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer(lambda call: Answer(200)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield server


def spans(collector: ApiServer) -> list[Any]:
    found = []
    for call in collector.calls:
        assert call.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(call.body).resource_spans:
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def test_reads_renderings_and_calls_are_inside_of_their_run(house: Any, contents: Any, collector: ApiServer) -> None:
    house.campaign(contents["email"])
    house.crowd(250)

    assert house.run("--workers", "2").code == 0

    told = spans(collector)
    (run,) = (span for span in told if span.name == "run")
    assert {span.trace_id for span in told} == {run.trace_id}
    assert Counter(span.name for span in told).keys() == {"run", "read", "render", "send"}
    about = {each.key: each.value for each in run.attributes}
    assert about["connect.campaign"].string_value == "hello"
    assert about["connect.state"].string_value == "completed"
    assert _sum(told, "read", "rows") == _sum(told, "render", "rows") == _sum(told, "send", "messages") == 250
    written = b"".join(call.body for call in collector.calls)
    assert [cell for cell in house.shop.cells if cell.encode() in written] == []


def _sum(told: list[Any], name: str, attribute: str) -> int:
    return sum(
        int(each.value.int_value)
        for span in told
        if span.name == name
        for each in span.attributes
        if each.key == f"connect.{attribute}"
    )
