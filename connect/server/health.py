"""Whether the server lives, and whether it can do its work."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse

from connect.errors import ConnectError
from connect.server.site import Site


class Health:
    """`/livez`: the loop turns. `/readyz`: the ledger answers, and connect.yml is read."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/livez", self.live, methods=["GET"])
        router.add_api_route("/readyz", self.ready, methods=["GET"])
        return router

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def live(self) -> PlainTextResponse:
        return PlainTextResponse("ok")

    def ready(self) -> JSONResponse:
        """503 with the code of what is wrong, which is no secret."""
        try:
            self._site.ledger.now()
        except ConnectError as error:
            return JSONResponse({"ready": False, "because": [error.problems[0].code]}, 503)
        return JSONResponse({"ready": True})
