"""The rig of `sendgrid`: a fake that takes requests apart, and webhooks signed as SendGrid does."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, ApiServer
from connect.testing.fakes.sendgrid import KEY, FakeSendGrid, error
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

_OURS = derive_private_key(0x5E9D, SECP256R1())
_THEIRS = derive_private_key(0xBAD, SECP256R1())


class SendGridRig:
    """A fake that takes requests apart, and webhooks signed as SendGrid does."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset(EventType)
    bounces = frozenset(Bounce)
    ages = True

    def __init__(self, server: ApiServer, fake: FakeSendGrid, root: Path) -> None:
        self.adapter = catalog.load("sendgrid")
        self._fake = fake
        self._root = root
        self._url = self._served = server.url
        self._key = KEY
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_public_key=verification_key(_OURS)), self._root)

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"api_key": Secret(self._key), "endpoint_url": self._url, **fields}
        return self.adapter.Settings.model_validate(given)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.bad_credentials:
                self._key = "SG.wrong"
            case Situation.broken_after_write:
                self._fake.refuse(DROP, address)
            case Situation.silent_after_write:
                self._fake.refuse(HANG, address)
            case Situation.throttled_until:
                answer = error(429, f"too many requests {words}", x_ratelimit_reset="4102444800")
                self._fake.refuse(answer, address)
            case _:
                status, said, field = _ERRORS[situation]
                self._fake.refuse(error(status, f"{said} {words}", field), address)

    def relent(self) -> None:
        self._url, self._key = self._served, KEY
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(each.address, each.request["subject"], each.content("text/plain"), each.content("text/html"))
            for each in self._fake.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        body = json.dumps([_entry(each, at) for each in happened]).encode() + b"\r\n"
        return signed(body, at, _OURS)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return signed(content, at, _OURS)

    def forged(self, webhook: Webhook) -> Webhook:
        return signed(webhook.body, webhook.at, _THEIRS)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()


_ERRORS: dict[Situation, tuple[int, str, str | None]] = {
    Situation.throttled: (429, "too many requests", None),
    Situation.quota: (401, "Maximum credits exceeded", None),
    Situation.bad_recipient: (400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
    Situation.bad_content: (400, "The content value must be a string at least one character in length.", "content.0"),
    Situation.transient: (503, "Service unavailable", None),
}


def verification_key(key: EllipticCurvePrivateKey) -> str:
    """As SendGrid shows it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def signed(body: bytes, at: datetime, key: EllipticCurvePrivateKey, seconds: str = "") -> Webhook:
    """A webhook with its signature: the same each time (RFC 6979)."""
    seconds = seconds or str(int(at.timestamp()))
    signature = key.sign(seconds.encode() + body, ECDSA(SHA256(), deterministic_signing=True))
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": seconds,
    }
    return Webhook(headers, body, "https://connect.acme.example/webhooks/mail", at, Remembered())


_NAMES: dict[EventType, str] = {
    EventType.delivered: "delivered",
    EventType.opened: "open",
    EventType.clicked: "click",
    EventType.bounced: "bounce",
    EventType.complained: "spamreport",
    EventType.unsubscribed: "unsubscribe",
    EventType.resubscribed: "group_resubscribe",
}


def _entry(happened: Happened, at: datetime) -> dict[str, Any]:
    """As the Event Webhook reference has it."""
    name = _NAMES[happened.type]
    entry = {
        "email": happened.outgoing.message.address,
        "timestamp": int(at.timestamp()),
        "event": name,
        "sg_event_id": hashlib.sha256(
            f"{name} {happened.bounce} {happened.outgoing.correlation_id}".encode()
        ).hexdigest(),
        "sg_message_id": "14c5d75ce93.recvd-5f54b5d587-pczjm-1-61BA9F60-5.0",
        "connect_id": happened.outgoing.correlation_id,
    }
    if happened.bounce is not None:
        entry |= {"type": "bounce" if happened.bounce is Bounce.hard else "blocked", "reason": "550 no such user"}
    if happened.link:
        entry |= {"url": happened.link}
    return entry


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeSendGrid()
    with ApiServer(fake) as server, closing(SendGridRig(server, fake, root)) as built:
        yield built
