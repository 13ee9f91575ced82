"""`/c/…`: a link that was followed. `/o/….gif`: a message that was opened. No cookies; addresses are not looked at."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request, Response

from connect.identity import SealBroken
from connect.pipeline.machines import is_machine
from connect.pipeline.visitors import Visitors
from connect.pipeline.visits import Kind, Visit, visit
from connect.providers.events import EventType
from connect.server.notices import NOTHING, page
from connect.server.site import Site

_GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One point that nobody sees."""
_METHODS = ["GET", "HEAD"]


class Tracking:
    """Clicks are redirected at once, whatever becomes of counting them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.visitors = Visitors(site.intake.take, site.clock, self._lose)

    def routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/c/{token}", self.clicked, methods=_METHODS, response_class=Response)
        router.add_api_route("/o/{token}.gif", self.opened, methods=_METHODS, response_class=Response)
        return router

    async def run(self, stop: asyncio.Event) -> None:
        await self.visitors.run(stop)

    async def clicked(self, token: str, request: Request) -> Response:
        """302 to where the link leads; nowhere else, for that is sealed."""
        found = self._visit(Kind.click, token)
        target = location(found.url) if found else ""
        if found is None or not target:
            return page(404, NOTHING, request.headers.get("accept-language", ""))
        self._came(found, EventType.clicked, request)
        return Response(status_code=302, headers={"Location": target, "X-Robots-Tag": "noindex"})

    async def opened(self, token: str, request: Request) -> Response:
        """The picture, also for a token that is broken: nothing in a letter should look broken."""
        if found := self._visit(Kind.open, token):
            self._came(found, EventType.opened, request)
        # Webmail shows it from a page of its own.
        headers = {"Cross-Origin-Resource-Policy": "cross-origin", "X-Robots-Tag": "noindex"}
        return Response(_GIF, media_type="image/gif", headers=headers)

    def _came(self, found: Visit, kind: EventType, request: Request) -> None:
        machine, agent = is_machine(request.method, request.headers), request.headers.get("user-agent", "")
        self.visitors.came(found, kind, machine=machine, user_agent=agent)

    def _visit(self, kind: Kind, token: str) -> Visit | None:
        ring = self._site.project.secret
        try:
            return visit(ring, kind, token) if ring.secrets else None
        except SealBroken:
            return None

    def _lose(self, count: int, why: str) -> None:
        self._site.counters.add("visits_lost", times=count)
        self._site.log.warning("visits-lost", count=count, reason=why)


_MAY_STAND = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"<>\\^`{|}')


def location(url: str) -> str:
    """A URL as it can stand in a header: ASCII, what else is in it escaped as browsers do. Blank for what is none."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in ("http", "https"):
        return ""
    try:
        host = urlsplit(url).hostname or ""
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        return ""
    if not host:
        return ""
    if ascii_host != host:
        at = rest.lower().find(host)
        if at < 0 or len(rest.lower()) != len(rest):  # there are letters that are two in lower case
            return ""
        rest = rest[:at] + ascii_host + rest[at + len(host) :]
    return f"{scheme}://{quote(rest, safe=_MAY_STAND, errors='replace')}"
