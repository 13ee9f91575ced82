"""The rig of `mailgun`: a fake that takes forms apart, and webhooks signed as Mailgun does."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from connect.channels.message import Email, Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, ApiServer
from connect.testing.fakes.mailgun import DOMAIN, KEY, FakeMailgun, said
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

SIGNING_KEY = "signing-key-only-for-tests"


class MailgunRig:
    """A fake that takes forms apart, and webhooks signed as Mailgun does."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset(EventType) - {EventType.resubscribed}
    bounces = frozenset(Bounce)
    ages = True
    one_at_a_time = True

    def __init__(self, server: ApiServer, fake: FakeMailgun, root: Path) -> None:
        self.adapter = catalog.load("mailgun")
        self._fake = fake
        self._root = root
        self._url = self._served = server.url
        self._key = KEY
        self._nobody = Nobody()
        self._replays = Remembered()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_secret=Secret(SIGNING_KEY)), self._root)

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"api_key": Secret(self._key), "domain": DOMAIN, "endpoint_url": self._url, **fields}
        return self.adapter.Settings.model_validate(given)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.bad_credentials:
                self._key = "wrong"
            case Situation.broken_after_write:
                self._fake.refuse(DROP, address)
            case Situation.silent_after_write:
                self._fake.refuse(HANG, address)
            case _:
                status, words_of_mailgun = _ERRORS[situation]
                self._fake.refuse(said(status, f"{words_of_mailgun} {words}"), address)

    def relent(self) -> None:
        self._url, self._key = self._served, KEY
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(each.address, each.one("subject"), each.one("text"), each.one("html"))
            for each in self._fake.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (only,) = happened
        return signed({"event-data": event_data(only, at)}, at, SIGNING_KEY, self._replays)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        """The last `signature` of an object is the one that counts."""
        proof = json.dumps(_proof(content, at, SIGNING_KEY)).encode()
        body = content.rstrip()[:-1] + b', "signature": ' + proof + b"}"
        return Webhook(_HEADERS, body, _URL, at, self._replays)

    def forged(self, webhook: Webhook) -> Webhook:
        again = signed(json.loads(webhook.body), webhook.at, "not the signing key", self._replays)
        return replace(webhook, body=again.body)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()


_NOT_ALLOWED = f"Domain {DOMAIN} is not allowed to send:"
_ERRORS: dict[Situation, tuple[int, str]] = {
    Situation.throttled: (429, "Too Many Requests"),
    Situation.throttled_until: (429, f"{_NOT_ALLOWED} request limit exceeded, try again after 120 seconds"),
    Situation.quota: (400, f"{_NOT_ALLOWED} recipient limit exceeded"),
    Situation.bad_recipient: (400, "'to' parameter is not a valid address. please check documentation"),
    Situation.bad_content: (400, "Need at least one of 'text' or 'html' parameters specified"),
    Situation.transient: (503, "Service Unavailable"),
}


def signed(content: Mapping[str, object], at: datetime, key: str, replays: Remembered) -> Webhook:
    """A webhook with its signature, which covers a time and a token that follows from the content."""
    data = json.dumps(content.get("event-data"), sort_keys=True).encode()
    body = json.dumps({**content, "signature": _proof(data, at, key)}).encode()
    return Webhook(_HEADERS, body, _URL, at, replays)


_HEADERS = {"content-type": "application/json", "user-agent": "mailgun/treq-22.4.0"}
_URL = "https://connect.acme.example/webhooks/mail"


def _proof(data: bytes, at: datetime, key: str) -> dict[str, str]:
    seconds, token = str(int(at.timestamp())), hashlib.sha256(data).hexdigest()[:50]
    signature = hmac.new(key.encode(), (seconds + token).encode(), "sha256").hexdigest()
    return {"timestamp": seconds, "token": token, "signature": signature}


_FAILED = {Bounce.hard: ("bounce", "605"), Bounce.soft: ("old", "602")}


def event_data(happened: Happened, at: datetime) -> dict[str, Any]:
    """As documentation.mailgun.com has it under Events: structure."""
    message = happened.outgoing.message
    assert isinstance(message, Email)
    name = "failed" if happened.type is EventType.bounced else happened.type.value
    data: dict[str, Any] = {
        "event": name,
        "id": hashlib.sha256(f"{name} {happened.bounce} {happened.outgoing.correlation_id}".encode()).hexdigest()[:22],
        "timestamp": at.timestamp(),
        "recipient": message.address,
        "user-variables": {"connect_id": happened.outgoing.correlation_id},
        "message": {"headers": {"message-id": message.message_id, "to": message.address}},
    }
    if happened.bounce is not None:
        reason, code = _FAILED[happened.bounce]
        data |= {"severity": "permanent", "reason": reason, "delivery-status": {"code": int(code), "message": ""}}
    if happened.link:
        data |= {"url": happened.link, "client-info": {"client-type": "browser", "bot": ""}}
    return data


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeMailgun()
    with ApiServer(fake) as server, closing(MailgunRig(server, fake, root)) as built:
        yield built
