"""The rig of `vonage`: a fake of the Messages API, and message statuses signed as Vonage signs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import jwt

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer
from connect.testing.fakes.vonage import KEY, SECRET, FakeVonage, code, problem, uuid_of
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

SIGNATURE_SECRET = "only for tests: the signature secret of an account"


class VonageRig:
    """A fake of the Messages API."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset({EventType.delivered, EventType.bounced})
    bounces = frozenset(Bounce)
    ages = True
    one_at_a_time = True

    def __init__(self, server: ApiServer, fake: FakeVonage, root: Path) -> None:
        self.adapter = catalog.load("vonage")
        self._fake, self._root = fake, root
        self._server_url = self._url = server.url
        self._secret = SECRET
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_secret=Secret(SIGNATURE_SECRET)), self._root)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"api_key": KEY, "api_secret": Secret(self._secret), "endpoint_url": self._url, **fields}
        return self.adapter.Settings.model_validate(given)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        match situation:
            case Situation.bad_credentials:
                self._secret = "wrong"
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case _:
                self._fake.arranged[outgoing.message.address.lstrip("+")] = _answer(situation, words)

    def relent(self) -> None:
        self._url, self._secret = self._server_url, SECRET
        self._fake.arranged.clear()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [Arrived("+" + message["to"], None, message["text"]) for message in self._fake.delivered]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (each,) = happened
        to = each.outgoing.message.address.lstrip("+")
        status: dict[str, object] = {
            "message_uuid": uuid_of(to, 0),
            "to": to,
            "from": "Acme",
            "timestamp": at.isoformat().replace("+00:00", "Z"),
            "status": "delivered" if each.type is EventType.delivered else "rejected",
            "client_ref": each.outgoing.correlation_id,
            "channel": "sms",
        }
        if each.bounce:
            number = _BOUNCES[each.bounce]
            status |= {"error": {"type": code(number), "title": number, "detail": f"could not reach {to}"}}
        return _signed(json.dumps(status).encode(), SIGNATURE_SECRET, at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        return _signed(content, SIGNATURE_SECRET, at)

    def forged(self, webhook: Webhook) -> Webhook:
        return _signed(webhook.body, "guessed by somebody who is not Vonage at all", webhook.at)


def _signed(body: bytes, secret: str, at: datetime) -> Webhook:
    """What developer.vonage.com/en/getting-started/concepts/webhooks describes."""
    claims = {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": KEY,
    }
    headers = {
        "content-type": "application/json",
        "authorization": "Bearer " + jwt.encode(claims, secret, algorithm="HS256"),
    }
    return Webhook(headers, body, "https://hooks.acme.example/webhooks/texts", at, Remembered())


_BOUNCES = {Bounce.hard: 1190, Bounce.soft: 1180}


def _answer(situation: Situation, words: str) -> Answer:
    low_balance = "https://developer.vonage.com/api-errors#low-balance"
    return {
        Situation.throttled: problem(429, code(1000), f"Throttled: {words}"),
        Situation.throttled_until: problem(429, code(1000), f"Throttled: {words}", {"retry-after": "7"}),
        Situation.quota: problem(402, low_balance, f"Low balance: {words}"),
        Situation.bad_recipient: problem(422, code(1170), f"Invalid or missing MSISDN: {words}"),
        Situation.bad_content: problem(422, code(1020), f"Invalid params: {words}"),
        Situation.transient: problem(500, code(1030), f"Internal error: {words}"),
        Situation.broken_after_write: DROP,
        Situation.silent_after_write: HANG,
    }[situation]


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeVonage()
    with ApiServer(fake.answer) as server, closing(VonageRig(server, fake, root)) as built:
        yield built
