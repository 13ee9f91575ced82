"""`/v/…`: a message in the browser, rendered again for whoever has its link. Nothing of it may run, or be kept."""

from __future__ import annotations

import asyncio
import html
from collections import OrderedDict

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from connect.channels.message import Email
from connect.clock import Clock
from connect.errors import OutsideError
from connect.identity import SealBroken
from connect.pipeline.viewing import Gone, Viewer
from connect.pipeline.visits import Kind, Visit, visit
from connect.server.notices import GONE, LATER, NOTHING, page
from connect.server.site import Site

_AT_ONCE = 4
"""Questions to a warehouse."""
_WAITING = 32
_WAIT = 10.0
"""Seconds."""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        # What e-mails bring along, from wherever it is.
        "img-src https: http: data:",
        "media-src https: http:",
        "style-src 'unsafe-inline' https:",
        "font-src https: data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No scripts, no storage, nothing of this address; links lead on as from any page.
        "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store, private",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}
_SOON = {"Retry-After": "60"}


class Viewing:
    """One question to the warehouse for each page; few at a time, and few for the same message."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._viewer = Viewer(site.ledger.run, site.doors.warehouse)
        self._turns, self._waiting = asyncio.Semaphore(_AT_ONCE), 0
        self._allowance = Allowance(site.clock)

    def routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/v/{token}", self.view, methods=["GET", "HEAD"], response_class=Response)
        return router

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def view(self, token: str, request: Request) -> Response:
        ring = self._site.project.secret
        try:
            found = visit(ring, Kind.view, token) if ring.secrets else None
        except SealBroken:
            found = None
        language = request.headers.get("accept-language", "")
        if found is None:
            return page(404, NOTHING, language)
        if request.method == "HEAD":  # who only looks whether there is something does not cost a question
            return HTMLResponse("", headers=_HEADERS)
        if self._waiting >= _WAITING or not self._allowance.takes(found.key):
            return page(429, LATER, language, _SOON)
        return await self._shown(found, language)

    async def _shown(self, found: Visit, language: str) -> Response:
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT):
                await self._turns.acquire()
        except TimeoutError:
            return page(503, LATER, language, _SOON)
        finally:
            self._waiting -= 1
        try:
            email = await asyncio.to_thread(self._viewer.email, self._site.project, self._site.campaigns, found)
        except Gone:
            return page(410, GONE, language)
        except OutsideError as error:
            self._site.log.trouble("view-failed", error)
            return page(503, LATER, language, _SOON)
        finally:
            self._turns.release()
        return HTMLResponse(document(email), headers=_HEADERS)


def document(email: Email) -> str:
    """The page of a message; its text where it has no page."""
    if email.html is not None:
        return email.html
    title = f"<!doctype html>\n<meta charset=utf-8>\n<title>{html.escape(email.subject)}</title>\n"
    return f'{title}<pre style="white-space:pre-wrap;font:inherit">{html.escape(email.text or "")}</pre>\n'


class Allowance:
    """So many views of one message in a minute, and of all of them in a second. Each costs the warehouse a question."""

    def __init__(self, clock: Clock, of_one: int = 10, of_all: int = 20, most: int = 10_000) -> None:
        self._clock, self._of_one, self._of_all, self._most = clock, of_one, of_all, most
        self._minutes: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        """Message key → the minute, and how many views it had in it."""
        self._second, self._in_it = 0, 0

    def takes(self, key: bytes) -> bool:
        now = int(self._clock.monotonic())
        if now != self._second:
            self._second, self._in_it = now, 0
        minute, views = self._minutes.pop(key, (0, 0))
        views = views + 1 if minute == now // 60 else 1
        self._minutes[key] = (now // 60, views)
        while len(self._minutes) > self._most:
            self._minutes.popitem(last=False)
        self._in_it += 1
        return views <= self._of_one and self._in_it <= self._of_all
