"""What providers post: proved to be theirs, and read.

    reading = Postbox(fetch, clock)
    events = await reading.read(account, parse_events, settings, headers, body, url)

What the network has to give is fetched here: certificates of SNS, and the answer that its topics are wanted. Both URLs
were checked by the adapter to be of AWS's own hosts.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from connect.clock import Clock
from connect.errors import OutsideError
from connect.providers.events import CertificateWanted, Confirmation, Event, ParseEvents, Webhook
from connect.providers.interface import ProviderSettings
from connect.providers.replays import Remembered

V = TypeVar("V")
Fetch = Callable[[str], Awaitable[bytes | None]]
"""The body behind a URL; None where it is not to be had."""

_MANY_BYTES = 4 << 10
"""Of a body that is read in another thread, so that nobody else waits for it: many come at once."""
_THREADS = 2
_MOST_CERTIFICATES = 16
_FRESH = timedelta(days=1)
_NOT_AGAIN = timedelta(seconds=30)
"""How long a certificate is not asked for again that was not to be had."""
_MOST_MISSING = 256
_MOST_FETCHES = 4
"""Certificates that are fetched at a time: whoever asks for one has proved nothing yet."""


@dataclass(frozen=True)
class Posted:
    """A request for one account."""

    parse: ParseEvents
    settings: ProviderSettings = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    """As the provider knows it."""


@dataclass(frozen=True)
class _Kept:
    pem: bytes = field(repr=False)
    at: datetime


class Postbox:
    """For one event loop. What it remembers is bounded, and in memory."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch, self._clock = fetch, clock
        self._replays = Remembered()
        self._threads = ThreadPoolExecutor(_THREADS, "postbox")
        self._certificates: OrderedDict[str, _Kept] = OrderedDict()
        self._missing: OrderedDict[str, datetime] = OrderedDict()
        """When they were not to be had. Apart, so that none pushes out a certificate."""
        self._fetching: dict[str, asyncio.Task[bytes | None]] = {}

    async def read(self, posted: Posted) -> Sequence[Event]:
        """The events of a genuine webhook. Raises EventsRefused, and OutsideError where it is to come again."""
        webhook = Webhook(posted.headers, posted.body, posted.url, self._clock.now(), self._replays)
        try:
            found = await self._parsed(posted, webhook)
        except CertificateWanted as wanted:
            pem = await self._certificate(wanted.url)
            found = await self._parsed(posted, replace(webhook, certificates={wanted.url: pem}))
        for each in found:
            if isinstance(each, Confirmation):
                await self._confirm(each)
        return [each for each in found if isinstance(each, Event)]

    async def _parsed(self, posted: Posted, webhook: Webhook) -> list[Event | Confirmation]:
        read = partial(posted.parse, webhook, posted.settings)
        if len(posted.body) <= _MANY_BYTES:
            return read()
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    async def _certificate(self, url: str) -> bytes:
        kept, now = self._certificates.get(url), self._clock.now()
        if kept is not None and now - kept.at <= _FRESH:
            return kept.pem
        missing = self._missing.get(url)
        recently = missing is not None and now - missing <= _NOT_AGAIN
        pem = None if recently else await self._fetched(url)
        if pem is None:
            raise OutsideError.of("certificate-unreachable", "the certificate of a webhook can not be fetched now")
        return pem

    async def _fetched(self, url: str) -> bytes | None:
        """Once for all who ask for it meanwhile."""
        if url not in self._fetching:
            if len(self._fetching) >= _MOST_FETCHES:
                raise OutsideError.of("certificate-unreachable", "too many certificates are being fetched now")
            self._fetching[url] = asyncio.create_task(self._fetch_and_keep(url))
        return await asyncio.shield(self._fetching[url])

    async def _fetch_and_keep(self, url: str) -> bytes | None:
        try:
            pem = await self._fetch(url)
        finally:
            del self._fetching[url]
        if pem is None:
            _put(self._missing, url, self._clock.now(), _MOST_MISSING)
        else:
            _put(self._certificates, url, _Kept(pem, self._clock.now()), _MOST_CERTIFICATES)
        return pem

    async def _confirm(self, confirmation: Confirmation) -> None:
        if await self._fetch(confirmation.url) is None:
            raise OutsideError.of("topic-not-confirmed", "a topic's subscription could not be confirmed now")


def _put(into: OrderedDict[str, V], url: str, value: V, most: int) -> None:
    """The latest at the end; the oldest goes where there are more than `most`."""
    into[url] = value
    into.move_to_end(url)
    if len(into) > most:
        into.popitem(last=False)
