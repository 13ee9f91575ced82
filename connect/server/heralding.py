"""The user's endpoints are told for as long as the server runs: `webhooks` in connect.yml."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from connect.server.site import Site

_LINGERS = 1.0
"""Seconds in which the other parts, which end at the same time, may still have something to tell."""


class Heralding:
    """No routes: what happens elsewhere is told from here."""

    def __init__(self, site: Site) -> None:
        self._herald = site.herald

    def routes(self) -> APIRouter:
        return APIRouter()

    async def run(self, stop: asyncio.Event) -> None:
        async with self._herald.telling():
            await stop.wait()
            await asyncio.sleep(_LINGERS if self._herald.is_needed else 0)
