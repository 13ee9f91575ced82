"""`/metrics`: how things stand, in Prometheus's text format. `serve.metrics` turns it on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Lock

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connect.errors import ConnectError
from connect.ledger.records import Census
from connect.server import measures
from connect.server.site import Site

_MOST_CAMPAIGNS = 500
_FRESH = 2.0
"""Seconds in which the ledger is not asked again, however many ask."""


class Metrics:
    """One scrape at a time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._registry = CollectorRegistry()
        self._registry.register(_Standing(site))
        self._registry.register(site.speed)
        ProcessCollector(registry=self._registry)
        self._scraping = Lock()

    def routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/metrics", self.scrape, methods=["GET"])
        return router

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def scrape(self) -> Response:
        """404 where connect.yml does not ask for it."""
        if not self._site.project.serve.metrics:
            raise HTTPException(404)
        with self._scraping:
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_1_0_0)


class _Standing(Collector):
    """What is asked and counted for each scrape."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._asked_at = float("-inf")
        self._census: Census | None = None

    def collect(self) -> Iterator[Metric]:
        yield from measures.standing(self._now(), self._site.herald.waiting())
        yield from measures.counted(self._site.counters.read())

    def _now(self) -> Census | None:
        """None while the ledger is away: a scrape tells that, and does not fail."""
        now = self._site.clock.monotonic()
        if now - self._asked_at >= _FRESH:
            try:
                self._census = self._site.ledger.census(sorted(self._site.campaigns)[:_MOST_CAMPAIGNS])
            except ConnectError:
                self._census = None
            self._asked_at = now
        return self._census
