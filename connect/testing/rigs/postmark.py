"""The rig of `postmark`: a local server that knows its API."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, ApiServer
from connect.testing.fakes.postmark import TOKEN, FakePostmark, failure
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

_PASSWORD = "only for tests"


class PostmarkRig:
    cannot: Mapping[Situation, str] = {Situation.throttled_until: "Postmark documents no Retry-After"}
    reports = frozenset(EventType)
    bounces = frozenset(Bounce)
    ages = False
    one_at_a_time = True

    def __init__(self, fake: FakePostmark, url: str, root: Path) -> None:
        self.adapter = catalog.load("postmark")
        self._fake, self._root = fake, root
        self._url = self._good_url = url
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(webhook_password=Secret(_PASSWORD)), self._root)

    def _settings(self, **fields: object) -> ProviderSettings:
        given = {"server_token": Secret(TOKEN), "endpoint_url": self._url, **fields}
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
                fake.refuse(address, 300, f"Invalid 'To' address: '{address}'. {words}")
            case Situation.bad_content:
                fake.refuse(address, 411, f"Forbidden attachment type. {words}")
            case Situation.quota:
                fake.refuse(address, 405, f"Not allowed to send: the credits are used up. {words}")
            case Situation.bad_credentials:
                fake.answer_all(failure(401, 10, f"The Server Token is not valid. {words}"))
            case Situation.throttled:
                fake.answer_all(failure(429, 429, f"Rate limit exceeded. {words}"))
            case Situation.transient:
                fake.answer_all(failure(503, 100, f"Maintenance. {words}"))
            case _:
                raise AssertionError(situation)

    def relent(self) -> None:
        self._url = self._good_url
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [_arrived(item) for item in self._fake.delivered]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (each,) = happened
        return self.saying(json.dumps(_record(each, at)).encode(), at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        credentials = base64.b64encode(f"connect:{_PASSWORD}".encode()).decode()
        headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}
        return Webhook(headers, content, "https://acme.example/webhooks/mail", at, Remembered())

    def forged(self, webhook: Webhook) -> Webhook:
        guess = base64.b64encode(b"connect:guessed").decode()
        return replace(webhook, headers={**webhook.headers, "authorization": f"Basic {guess}"})

    def unconfigured(self) -> ProviderSettings:
        return self._settings()


def _arrived(item: Mapping[str, Any]) -> Arrived:
    ((_, address),) = getaddresses([item["To"]])
    return Arrived(address, item["Subject"], item.get("TextBody"), item.get("HtmlBody"))


_RECORDS: dict[tuple[EventType, Bounce | None], dict[str, object]] = {
    (EventType.delivered, None): {"RecordType": "Delivery", "Details": "250 OK"},
    (EventType.opened, None): {"RecordType": "Open", "FirstOpen": True, "Platform": "Desktop", "ReadSeconds": 5},
    (EventType.clicked, None): {"RecordType": "Click", "ClickLocation": "HTML", "Platform": "Desktop"},
    (EventType.bounced, Bounce.hard): {"RecordType": "Bounce", "ID": 42, "Type": "HardBounce", "TypeCode": 1},
    (EventType.bounced, Bounce.soft): {"RecordType": "Bounce", "ID": 43, "Type": "SoftBounce", "TypeCode": 4096},
    (EventType.complained, None): {"RecordType": "SpamComplaint", "ID": 44, "Type": "SpamComplaint"},
    (EventType.unsubscribed, None): {
        "RecordType": "SubscriptionChange",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        "Origin": "Recipient",
    },
    (EventType.resubscribed, None): {
        "RecordType": "SubscriptionChange",
        "SuppressSending": False,
        "SuppressionReason": None,
        "Origin": "Recipient",
    },
}
_TIMES = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "SubscriptionChange": "ChangedAt",
}


def _record(each: Happened, at: datetime) -> dict[str, object]:
    """As the documentation's examples have it (postmarkapp.com/developer/webhooks)."""
    record = dict(_RECORDS[each.type, each.bounce])
    kind = str(record["RecordType"])
    whom = "Email" if kind in ("Bounce", "SpamComplaint") else "Recipient"
    record |= {
        "ServerID": 23,
        "MessageStream": "broadcast",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Tag": "news",
        "Metadata": {"connect_id": each.outgoing.correlation_id},
        whom: each.outgoing.message.address,
        _TIMES.get(kind, "ReceivedAt"): f"{at:%Y-%m-%dT%H:%M:%S}.1234567Z",
    }
    if each.link:
        record["OriginalLink"] = each.link
    return record


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakePostmark()
    with ApiServer(fake) as server, closing(PostmarkRig(fake, server.url, root)) as built:
        yield built
