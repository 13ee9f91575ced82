"""The rig of `resend`: a local server that knows its API, and Svix's signature."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from connect.channels.message import Email, Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.providers.signatures import standard_signature
from connect.redact import Secret
from connect.testing.api import DROP, HANG, ApiServer
from connect.testing.fakes.resend import KEY, FakeResend, failure
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

_SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
_GUESSED = Secret("whsec_Z3Vlc3NlZCBieSBzb21lYm9keSBlbHNl")


class ResendRig:
    cannot: Mapping[Situation, str] = {}
    reports = frozenset(
        {EventType.delivered, EventType.opened, EventType.clicked, EventType.bounced, EventType.complained}
    )
    bounces = frozenset(Bounce)
    ages = True
    one_at_a_time = True

    def __init__(self, fake: FakeResend, url: str, root: Path) -> None:
        self.adapter = catalog.load("resend")
        self._fake, self._root = fake, root
        self._url = self._good_url = url
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_secret=_SECRET), self._root)

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"api_key": Secret(KEY), "endpoint_url": self._url, **fields}
        return self.adapter.Settings.model_validate(given)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address, fake = outgoing.message.address, self._fake
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.broken_after_write:
                fake.answer_all(DROP)
            case Situation.silent_after_write:
                fake.answer_all(HANG)
            case Situation.bad_recipient:
                fake.refuse(address, f"Invalid `to` field. The email address needs to follow the format. {words}")
            case Situation.bad_content:
                fake.refuse(address, f"Attachment must have either a `content` or `path`. {words}")
            case _:
                fake.answer_all(_failure(situation, words))

    def relent(self) -> None:
        self._url = self._good_url
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [_arrived(item) for item in self._fake.delivered]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (each,) = happened
        body = json.dumps(_report(each, at)).encode()
        return _signed(body, at, _SECRET)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return _signed(content, at, _SECRET)

    def forged(self, webhook: Webhook) -> Webhook:
        return _signed(webhook.body, webhook.at, _GUESSED)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()


_FAILURES: dict[Situation, tuple[int, str, str, dict[str, str]]] = {
    Situation.throttled: (429, "rate_limit_exceeded", "Too many requests.", {}),
    Situation.throttled_until: (429, "rate_limit_exceeded", "Too many requests.", {"retry-after": "1"}),
    Situation.quota: (429, "daily_quota_exceeded", "You have reached your daily email sending quota.", {}),
    Situation.bad_credentials: (403, "invalid_api_key", "API key is invalid.", {}),
    Situation.transient: (503, "service_unavailable", "Try again later.", {}),
}


def _failure(situation: Situation, words: str) -> Any:
    status, name, said, headers = _FAILURES[situation]
    return failure(status, name, f"{said} {words}", headers)


def _arrived(item: Mapping[str, Any]) -> Arrived:
    ((_, address),) = getaddresses(item["to"])
    return Arrived(address, item["subject"], item["text"] or None, item.get("html"))


_TYPES = {
    EventType.delivered: "email.delivered",
    EventType.opened: "email.opened",
    EventType.clicked: "email.clicked",
    EventType.bounced: "email.bounced",
    EventType.complained: "email.complained",
}
_BOUNCES = {
    Bounce.hard: {"type": "Permanent", "subType": "General", "message": "The mailbox does not exist."},
    Bounce.soft: {"type": "Transient", "subType": "MailboxFull", "message": "The mailbox is full."},
}


def _report(each: Happened, at: datetime) -> dict[str, Any]:
    """As the documentation's examples have it (resend.com/docs/webhooks/event-types)."""
    email = each.outgoing.message
    assert isinstance(email, Email)
    when = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data: dict[str, Any] = {
        "created_at": when,
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Acme <hello@acme.example>",
        "to": [f"{email.to[0].name} <{email.address}>"],
        "subject": email.subject,
        "tags": {"category": "news", "connect_id": each.outgoing.correlation_id.replace(".", "-")},
    }
    if each.link:
        data["click"] = {"ipAddress": "192.0.2.1", "link": each.link, "timestamp": when, "userAgent": "Mozilla/5.0"}
    if each.bounce:
        data["bounce"] = _BOUNCES[each.bounce]
    return {"type": _TYPES[each.type], "created_at": when, "data": data}


def _signed(body: bytes, at: datetime, secret: Secret) -> Webhook:
    seconds = int(at.timestamp())
    name = f"msg_{hashlib.sha256(body).hexdigest()[:24]}"
    headers = {
        "svix-id": name,
        "svix-timestamp": str(seconds),
        "svix-signature": standard_signature(secret, name, seconds, body),
    }
    return Webhook(headers, body, "https://acme.example/webhooks/mail", at, Remembered())


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeResend()
    with ApiServer(fake) as server, closing(ResendRig(fake, server.url, root)) as built:
        yield built
