"""`POST /webhooks/{account}`: what providers report about messages of this account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from connect import wiring
from connect.errors import ConnectError
from connect.pipeline.postbox import Fetch, Postbox
from connect.providers.events import LARGEST, EventsRefused
from connect.providers.http import Client, Options, Unanswered
from connect.server.problems import Refused
from connect.server.site import Site

ROOM = 64 << 20
"""Bytes of large bodies that are read at a time, of all requests together."""
ROOM_OF_ONE = 16 << 20
"""Of these, those of one client's address."""
SMALL = 256 << 10
"""Bytes of a body that is read whatever else is: nearly all are smaller, and large ones must not shut them out."""

REFUSALS: Mapping[str, tuple[str, int, str]] = {
    "bad_signature": ("webhook-bad-signature", 401, "this webhook is not proved to be the provider's"),
    "not_configured": ("webhook-not-configured", 403, "this account's settings do not say how webhooks are proved"),
    "replayed": ("webhook-replayed", 403, "this signature has come with another body"),
    "too_old": ("webhook-too-old", 403, "this webhook was signed too long ago, or clocks differ"),
    "wrong_topic": ("webhook-wrong-topic", 403, "this topic is none of the account's"),
    "wrong_certificate": ("webhook-wrong-certificate", 403, "this certificate is none of the provider's"),
    "unreadable": ("webhook-unreadable", 400, "this is not what the provider's webhooks look like"),
    "too_large": ("webhook-too-large", 413, f"a webhook may bring {LARGEST:,} bytes"),
}
"""Why a webhook is refused → the code, the status and the words of the answer."""

_HINT = "docs/webhooks.md: what each provider has to be told, and which settings prove it"
_QUIET = 60.0
"""Seconds in which a refusal is logged once, whatever comes."""


class Webhooks:
    """Proves, reads, and hands on to the intake; answers when that is durable."""

    def __init__(self, site: Site, fetch: Fetch | None = None) -> None:
        self._site = site
        self._fetcher = _Fetcher()
        self._postbox = Postbox(fetch or self._fetcher, site.clock)
        self._grumbled: dict[tuple[str, str], float] = {}
        self._reading: Counter[str] = Counter()
        """Bytes of large bodies, of each client's address."""

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_route("/webhooks/{account}", self.posted, methods=["POST"], include_in_schema=False)
        router.add_route("/webhooks/{account}", self.looked_at, methods=["GET"], include_in_schema=False)
        return router

    async def run(self, stop: asyncio.Event) -> None:
        await self._site.intake.run(stop)
        await self._fetcher.close()

    async def looked_at(self, request: Request) -> Response:
        """Some providers, and people, look whether somebody is there."""
        self._account(request.path_params["account"])
        return PlainTextResponse("webhooks are to be POSTed here")

    async def posted(self, request: Request) -> Response:
        name = request.path_params["account"]
        try:
            posted = self._account(name)
            body = await self._body(request)
            events = await self._postbox.read(posted(_headers(request), body, self._url(request)))
            await self._site.intake.take(name, events)
        except EventsRefused as refused:
            raise self._refused(name, refused.reason) from None
        except ConnectError as error:
            raise self._later(name, error) from None
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        self._count(name, "taken")
        return PlainTextResponse("ok")

    def _account(self, name: str) -> wiring.Reported:
        """Raises Refused where there is no such account, or its provider reports nothing."""
        try:
            found = wiring.reports_of(self._site.project, name)
        except ConnectError as error:  # its extra is not installed
            raise self._later(name, error) from None
        if found is None:
            self._count("", "unknown_account")
            raise Refused(
                404, "unknown-account", "there is no account of this name whose provider reports anything", _HINT
            )
        return found

    async def _body(self, request: Request) -> bytes:
        """Raises Refused where too many large ones are read at a time: none of them is proved yet."""
        client = request.client.host if request.client else ""
        chunks, size, counted = [], 0, 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > SMALL:
                    self._reading[client] += size - counted
                    counted = size
                    self._check_room(client)
            return b"".join(chunks)
        finally:
            self._reading[client] -= counted
            self._reading += Counter()  # forgets who reads nothing

    def _check_room(self, client: str) -> None:
        if self._reading[client] > ROOM_OF_ONE or self._reading.total() > ROOM:
            raise Refused(503, "too-busy", "too much is read at this moment", headers={"Retry-After": "5"})

    def _url(self, request: Request) -> str:
        """As the provider knows it: some sign it. What proxies say is in the scope, where they are trusted."""
        raw = request.scope.get("raw_path") or request.url.path.encode()
        query = request.scope["query_string"]
        path = raw.partition(b"?")[0].decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        base = self._site.project.serve.base_url or f"{request.url.scheme}://{request.url.netloc}"
        return base + path

    def _refused(self, account: str, reason: str) -> Refused:
        self._count(account, reason)
        self._grumble(account, reason)
        code, status, said = REFUSALS.get(reason, REFUSALS["unreadable"])
        challenge = {"WWW-Authenticate": 'Basic realm="webhooks"'} if status == 401 else {}
        return Refused(status, code, said, _HINT, challenge)

    def _later(self, account: str, error: ConnectError) -> Refused:
        """Who reports is to try again; why is for the log alone."""
        code = error.problems[0].code
        self._count(account, "later")
        self._grumble(account, code, error)
        said = "this can not be written now: please report it again"
        return Refused(503, code, said, headers={"Retry-After": "5"})

    def _count(self, account: str, answer: str) -> None:
        self._site.counters.add("webhooks", account=account, answer=answer)

    def _grumble(self, account: str, reason: str, error: ConnectError | None = None) -> None:
        """Once a minute for each account and reason."""
        now = asyncio.get_running_loop().time()
        if now - self._grumbled.get((account, reason), -_QUIET) < _QUIET:
            return
        self._grumbled[account, reason] = now
        if error is not None:
            self._site.log.trouble("webhook-not-taken", error, account=account)
        else:
            self._site.log.warning("webhook-refused", account=account, reason=reason, hint=_HINT)


def _headers(request: Request) -> dict[str, str]:
    """Those of one name together."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class _Fetcher:
    """The one HTTP client, made when it is needed first."""

    def __init__(self) -> None:
        self._client: Client | None = None

    async def __call__(self, url: str) -> bytes | None:
        if self._client is None:
            options = Options(timedelta(seconds=8), connections=2, largest_answer=64 << 10, public_only=True)
            self._client = Client(options)
        try:
            reply = await self._client.request("GET", url, b"", {"accept": "*/*"})
        except Unanswered:
            return None
        return reply.body if reply.status == 200 else None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
