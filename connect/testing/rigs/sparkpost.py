"""The rig of `sparkpost`: local transmissions, and their webhooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer
from connect.testing.fakes.sparkpost import API_KEY, FakeSparkPost, error
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

USERNAME, PASSWORD = "sparkpost", "only for tests"


class SparkPostRig:
    """Local transmissions, and their webhooks."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset(EventType) - {EventType.resubscribed}
    bounces = frozenset(Bounce)
    ages = False

    def __init__(self, fake: FakeSparkPost, server: ApiServer, root: Path) -> None:
        self.adapter = catalog.load("sparkpost")
        self._fake, self._server, self._root = fake, server, root
        self._url = server.url
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_username=USERNAME, webhook_password=PASSWORD), self._root)

    def unconfigured(self) -> ProviderSettings:
        return self._settings()

    def _settings(self, **fields: str) -> ProviderSettings:
        return self.adapter.Settings.model_validate({"api_key": Secret(API_KEY), "endpoint_url": self._url, **fields})

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        if situation is Situation.broken_before_write:
            self._url = self._nobody.url
        else:
            self._fake.answers[outgoing.message.address] = _answer(situation, words)

    def relent(self) -> None:
        self._url = self._server.url
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(each["to"], each["subject"], each.get("text"), each.get("html")) for each in self._fake.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        body = json.dumps([_event(number, each, at) for number, each in enumerate(happened)]).encode()
        return self.saying(body, at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        headers = {"authorization": _basic(PASSWORD), "x-messagesystems-batch-id": "032d330540298f54f0e8bcc1373f3cfd"}
        return Webhook(headers, content, "https://connect.example/webhooks/sparkpost", at, Remembered())

    def forged(self, webhook: Webhook) -> Webhook:
        return replace(webhook, headers={**webhook.headers, "authorization": _basic("guessed")})


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"{USERNAME}:{password}".encode()).decode()


def _answer(situation: Situation, words: str) -> Answer:
    match situation:
        case Situation.broken_after_write:
            return DROP
        case Situation.silent_after_write:
            return HANG
        case Situation.throttled:
            return error(429, "", "Too many requests", words)
        case Situation.throttled_until:
            return error(429, "", "Too many requests", words, {"retry-after": "3"})
    status, code, message, description = _ERRORS[situation]
    return error(status, code, message, f"{description} {words}")


_ERRORS: dict[Situation, tuple[int, str, str, str]] = {
    Situation.quota: (420, "2101", "Exceed Sending Limit (hourly)", ""),
    Situation.bad_credentials: (401, "1303", "Unauthorized.", ""),
    Situation.bad_recipient: (
        400,
        "1902",
        "Message generation rejected",
        "recipient address was suppressed due to system policy",
    ),
    Situation.bad_content: (422, "3020", "template mime parsing error", ""),
    Situation.transient: (503, "1900", "Message generation module not available", ""),
}

_EVENTS: dict[EventType, tuple[str, str]] = {
    EventType.delivered: ("message_event", "delivery"),
    EventType.bounced: ("message_event", "bounce"),
    EventType.complained: ("message_event", "spam_complaint"),
    EventType.opened: ("track_event", "open"),
    EventType.clicked: ("track_event", "click"),
    EventType.unsubscribed: ("unsubscribe_event", "list_unsubscribe"),
}


def _event(number: int, happened: Happened, at: datetime) -> dict[str, Any]:
    """As the Webhooks documentation shows it."""
    kind, type = _EVENTS[happened.type]
    said = {
        "type": type,
        "event_id": str(92356927693813856 + number),
        "timestamp": str(int(at.timestamp())),
        "message_id": "000443ee14578172be22",
        "transmission_id": "65832150921904138",
        "campaign_id": "Example Campaign Name",
        "rcpt_to": happened.outgoing.message.address.lower(),
        "raw_rcpt_to": happened.outgoing.message.address,
        "rcpt_meta": {"connect_id": happened.outgoing.correlation_id},
        "rcpt_tags": [],
        "subject": "Summer deals are here!",
    }
    if happened.bounce is not None:
        said |= {"bounce_class": "10" if happened.bounce is Bounce.hard else "22", "error_code": "554"}
    if happened.link:
        said |= {"target_link_name": "Example Link Name", "target_link_url": happened.link}
    return {"msys": {kind: said}}


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeSparkPost()
    with ApiServer(fake) as server, closing(SparkPostRig(fake, server, root)) as built:
        yield built
