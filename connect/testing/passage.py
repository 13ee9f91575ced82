"""Somebody between an adapter and its rig's server, who looks at calls and answers, and may give answers of his own.

    with Line("sendgrid", tmp_path) as line:
        line.say(Said(502, (), b"<html>"))
        receipts = line.send(line.batch)

For tests in which is said what no server of a provider would say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from connect.channels.message import Outgoing
from connect.providers.interface import Account, Provider, Receipt
from connect.testing import rigs
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.messages import MAKE
from connect.testing.providers import ProviderRig, Situation
from connect.vocabulary import Channel

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """A reply."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)


class Passage:
    """What `ApiServer` answers with: hands calls on to a server and keeps what that says; or says something else."""

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self.kept: list[Said] = []
        """What the server has said."""
        self.instead: Said | None = None
        self.calls: list[Call] = []

    def __call__(self, call: Call) -> Answer:
        self.calls.append(call)
        said = self.instead or self._handed_on(call)
        return Answer(said.status, said.body, dict(said.headers))

    def _handed_on(self, call: Call) -> Said:
        with closing(HTTPConnection(self._behind.hostname or "", self._behind.port, timeout=5)) as connection:
            target = call.path + (f"?{urlencode(call.query)}" if call.query else "")
            connection.request(call.method, target, call.body, dict(call.headers))
            reply = connection.getresponse()
            headers = {name.lower(): value for name, value in reply.getheaders() if name.lower() not in _OF_A_WAY}
            said = Said(reply.status, tuple(sorted(headers.items())), reply.read())
        self.kept.append(said)
        return said


_OF_A_WAY = {"connection", "content-length", "date", "server", "transfer-encoding"}
"""Fields that are about the way from a server to here."""


class Line:
    """An open provider of the catalog, at whose other end anything can be said. Calls go over the loop of its own."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self._root = name, root
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.rig = rig = self._stack.enter_context(rigs.rig(self.name, self._root))
        self.batch = [
            _message(rig, _channel(rig), number) for number in range(min(3, rig.adapter.capabilities.max_batch))
        ]
        """As many as go in one call, at most three; the last one is in trouble where there is any."""
        self.passage = Passage(getattr(rig.account().settings, self._setting))
        self._url = self._stack.enter_context(ApiServer(self.passage)).url
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._provider = rig.adapter(self._account())
        self._stack.callback(lambda: self._run(self._provider.close()))
        self._run(self._provider.open())
        self.genuine = _OF_APNS if self._is_apns else self._collected()
        """What the provider says in each situation."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def batches(self) -> list[list[Outgoing]]:
        """What there is to send: several messages, and one of each channel."""
        return [self.batch, *([_message(self.rig, each, 2)] for each in sorted(self.rig.adapter.capabilities.channels))]

    def say(self, said: Said | None) -> None:
        """Of everything from now on; None is what the rig's server says."""
        self.passage.instead = said
        self.passage.calls.clear()
        if said is None:
            self.rig.relent()
        elif self._is_apns:
            self.rig.reply(said.status, dict(said.headers), said.body[:_FRAME])  # type: ignore[attr-defined]

    def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        receipts = self._run(self._provider.send(batch))
        assert len(receipts) == len(batch)
        return receipts

    def check(self) -> str:
        return self._run(self._provider.check())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    @property
    def _is_apns(self) -> bool:
        """HTTP/2 is spoken to its own server only, which says what it is told."""
        return hasattr(self.rig, "reply")

    @property
    def _setting(self) -> str:
        return "url" if self.name == "http" else "endpoint_url"

    def _account(self) -> Account:
        """The rig's, as it is arranged, with its provider here."""
        account = replace(self.rig.account(), timeout=timedelta(seconds=5))
        here = {} if self._is_apns else {self._setting: self._url}
        return replace(account, settings=account.settings.model_copy(update=here))

    def _collected(self) -> list[Said]:
        known = self._account().settings
        for situation in (None, *Situation):
            if situation in _NO_ANSWER or situation in self.rig.cannot:
                continue
            if situation is not None:
                self.rig.arrange(situation, self.batch[-1], "no such user")
            account = self._account()
            for batch in (self.batch, self.batch[-1:]):
                if account.settings == known:
                    self.send(batch)
                else:
                    self._run(sent_once(self.rig.adapter(account), batch))
            self.rig.relent()
        assert len({said.status for said in self.passage.kept}) > 1
        return list(dict.fromkeys(self.passage.kept))


async def sent_once(provider: Provider, batch: Sequence[Outgoing]) -> list[Receipt]:
    """What a provider makes of a batch, that is opened and closed for it."""
    try:
        await provider.open()
        return await provider.send(batch)
    finally:
        await provider.close()


_FIRST = (Channel.email, Channel.push, Channel.sms, Channel.http)


def _channel(rig: ProviderRig) -> Channel:
    return next(channel for channel in _FIRST if channel in rig.adapter.capabilities.channels)


def _message(rig: ProviderRig, channel: Channel, number: int) -> Outgoing:
    make: Mapping[Channel, Callable[[int], Outgoing]] = getattr(rig, "make", MAKE)
    return make[channel](number)


_NO_ANSWER = {Situation.broken_before_write, Situation.broken_after_write, Situation.silent_after_write}
_FRAME = 16_000
_OF_APNS = [
    Said(200, (), b""),
    Said(400, (), b'{"reason": "BadDeviceToken"}'),
    Said(403, (), b'{"reason": "InvalidProviderToken"}'),
    Said(410, (), b'{"reason": "Unregistered", "timestamp": 1700000000000}'),
    Said(429, (), b'{"reason": "TooManyRequests"}'),
    Said(503, (), b'{"reason": "ServiceUnavailable"}'),
]
