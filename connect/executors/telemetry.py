"""Spans go to OpenTelemetry, where the environment says to: the only module that knows its package (extra `otel`).

`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_EXPORTER`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and the others mean
what https://opentelemetry.io/docs/languages/sdk-configuration/ says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connect.pipeline import tracing
from connect.pipeline.tracing import Value

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_PATIENCE = 5_000
"""Milliseconds that an end waits for the last spans to be taken."""
_provider: TracerProvider | None = None


@contextmanager
def traced(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Meanwhile spans are told, where the environment asks for it and the package is there."""
    global _provider
    processor = _processor(environment) if _provider is None else None
    if processor is None:
        yield
        return
    _provider = provider_of(processor)
    tracing.use(Told(_provider.get_tracer("connect")))
    try:
        yield
    finally:
        tracing.use(None)
        flush()
        _provider.shutdown()
        _provider = None


def flush() -> None:
    """What was told leaves now: who ends without more ado calls this before."""
    if _provider is not None:
        _provider.force_flush(_PATIENCE)


def _processor(environment: Mapping[str, str]) -> SpanProcessor | None:
    """What sends spans away; None where nobody asks for it, or the package is not here."""
    asked = any(environment.get(name) for name in _ENDPOINTS)
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    if not asked or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    except ModuleNotFoundError:  # others on this machine may be what the variables are for
        return None
    return BatchSpanProcessor(ConsoleSpanExporter() if exporter == "console" else OTLPSpanExporter())


def provider_of(processor: SpanProcessor) -> TracerProvider:
    """The sampler is the environment's, and so is the service's name where it gives one."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "connect"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


class Told:
    """A tracer of OpenTelemetry's, as the pipeline knows one."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Value]) -> Iterator[_Span]:
        from opentelemetry.trace import Status, StatusCode

        # An exception's text could quote a row: its type has to do.
        with self._tracer.start_as_current_span(
            name, attributes=_named(attributes), record_exception=False, set_status_on_exception=False
        ) as made:
            try:
                yield _Span(made)
            except BaseException as error:
                made.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def begin(self, name: str, attributes: Mapping[str, Value]) -> _Span:
        return _Span(self._tracer.start_span(name, attributes=_named(attributes)))

    def carried(self) -> dict[str, str]:
        from opentelemetry.propagate import inject

        carrier: dict[str, str] = {}
        inject(carrier)
        return carrier

    def follow(self, carried: Mapping[str, str]) -> None:
        from opentelemetry.context import attach
        from opentelemetry.propagate import extract

        attach(extract(carried))


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(f"connect.{name}", value)

    def end(self) -> None:
        self._span.end()


def _named(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {f"connect.{name}": value for name, value in attributes.items()}
