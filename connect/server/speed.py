"""How many requests are answered, and how fast: by route, never by what stands in a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPMethod

from prometheus_client import Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connect.clock import Clock
from connect.pipeline.counters import Counters
from connect.server.guard import App, Message, Receive, Scope, Send

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset(HTTPMethod)


class Speed(Collector):
    """Of the requests of one server."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock, self._counters = clock, counters
        said = "From the first byte of a request to the first byte of its answer."
        self._seconds = Histogram("connect_request_seconds", said, ["route"], buckets=_BUCKETS, registry=None)

    def collect(self) -> Iterator[Metric]:
        for metric in self._seconds.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

    def around(self, app: App) -> App:
        """The application, measured."""

        async def measured(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began = self._clock.monotonic()

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._answered(scope, message["status"], self._clock.monotonic() - began)
                await send(message)

            await app(scope, receive, sending)

        return measured

    def _answered(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = _route(scope), scope["method"]
        self._seconds.labels(route).observe(seconds)
        known = method if method in _METHODS else "other"
        self._counters.add("requests", route=route, method=known, status=str(status))


def _route(scope: Scope) -> str:
    """As it is written in the code: `/u/{token}`. A path may hold a token, and anybody may ask for any."""
    if "route" in scope:
        route: str = scope["route"].path
        return route
    return _without_values(scope["path"], scope["path_params"]) if "endpoint" in scope else "none"


def _without_values(path: str, values: Mapping[str, object]) -> str:
    """FastAPI does not say which of Starlette's own routes has answered."""
    for name, value in reversed(list(values.items())):
        before, found, after = path.rpartition(str(value))
        if not found:  # it was converted, and is written otherwise
            return "none"
        path = f"{before}{{{name}}}{after}"
    return path
