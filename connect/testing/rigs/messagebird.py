"""The rig of `messagebird`: a fake of Bird's Channels API, and webhooks signed as Bird signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer
from connect.testing.fakes.messagebird import CHANNEL, KEY, WORKSPACE, FakeBird, id_of, refusal, text_of
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

SIGNING_KEY = "only for tests: a signing key"
URL = "https://hooks.acme.example/webhooks/texts"


class MessageBirdRig:
    """A fake of the Channels API."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset({EventType.delivered, EventType.bounced})
    bounces = frozenset(Bounce)
    ages = False  # within a day: see the adapter's
    one_at_a_time = True

    def __init__(self, server: ApiServer, fake: FakeBird, root: Path) -> None:
        self.adapter = catalog.load("messagebird")
        self._fake, self._root = fake, root
        self._server_url = self._url = server.url
        self._key = KEY
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_secret=Secret(SIGNING_KEY)), self._root)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"access_key": Secret(self._key), "workspace_id": WORKSPACE, "channel_id": CHANNEL}
        return self.adapter.Settings.model_validate({**given, "endpoint_url": self._url, **fields})

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        match situation:
            case Situation.bad_credentials:
                self._key = "wrong"
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case _:
                self._fake.arranged[outgoing.message.address] = _answer(situation, words)

    def relent(self) -> None:
        self._url, self._key = self._server_url, KEY
        self._fake.arranged.clear()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(message["receiver"]["contacts"][0]["identifierValue"], None, text_of(message))
            for message in self._fake.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (each,) = happened
        to = each.outgoing.message.address
        message: dict[str, object] = {
            "id": id_of(to, 0),
            "channelId": CHANNEL,
            "receiver": {"contacts": [{"identifierKey": "phonenumber", "identifierValue": to}]},
            "reference": each.outgoing.correlation_id,
            "direction": "outgoing",
            "status": "delivered" if each.type is EventType.delivered else "delivery_failed",
            "lastStatusAt": at.isoformat().replace("+00:00", "Z"),
        }
        if each.bounce:
            message |= _FAILURES[each.bounce]
        body = json.dumps({"service": "channels", "event": "sms.outbound", "payload": message}).encode()
        return signed(body, SIGNING_KEY, at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return signed(content, SIGNING_KEY, at)

    def forged(self, webhook: Webhook) -> Webhook:
        return replace(webhook, headers=signed(webhook.body, "guessed", webhook.at).headers)


def signed(body: bytes, key: str, at: datetime, url: str = URL) -> Webhook:
    """What docs.bird.com describes under verifying a webhook subscription."""
    seconds = str(int(at.timestamp()))
    text = b"\n".join((seconds.encode(), url.encode(), hashlib.sha256(body).digest()))
    headers = {
        "content-type": "application/json",
        "messagebird-request-timestamp": seconds,
        "messagebird-signature": base64.b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest()).decode(),
    }
    return Webhook(headers, body, url, at, Remembered())


_FAILURES: dict[Bounce, dict[str, object]] = {
    Bounce.hard: {
        "reason": "details: unknown subscriber; reason: unknown_subscriber; code: 1",
        "details": "unknown_subscriber",
        "failure": {"code": 15005, "source": {"name": "sms-messagebird", "code": "1"}},
    },
    Bounce.soft: {
        "reason": "details: system failure; reason: received_network_error; code: 34",
        "details": "received_network_error",
        "failure": {"code": 15001, "source": {"name": "sms-messagebird", "code": "34"}},
    },
}
"""The examples of docs.bird.com."""


def _answer(situation: Situation, words: str) -> Answer:
    number = {".receiver.contacts[0].identifierValue": [words]}
    text = {".body.text.text": [words]}
    return {
        Situation.throttled: refusal(429, "TooManyRequests", words),
        Situation.throttled_until: refusal(429, "TooManyRequests", words, {"retry-after": "7"}),
        Situation.quota: refusal(402, "PaymentRequired", f"Not enough balance: {words}"),
        Situation.bad_recipient: refusal(422, "InvalidPayload", f"Validation failed: {words}", details=number),
        Situation.bad_content: refusal(422, "InvalidPayload", f"Validation failed: {words}", details=text),
        Situation.transient: refusal(503, "ServiceUnavailable", words),
        Situation.broken_after_write: DROP,
        Situation.silent_after_write: HANG,
    }[situation]


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeBird()
    with ApiServer(fake.answer) as server, closing(MessageBirdRig(server, fake, root)) as built:
        yield built
