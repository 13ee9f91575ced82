"""The rig of `mailjet`: a local Send API, and its webhooks."""

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
from connect.testing.fakes.mailjet import API_KEY, SECRET_KEY, FakeMailjet, error
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

USERNAME, PASSWORD, TOKEN = "mailjet", "only for tests", "also only for tests"


class MailjetRig:
    """A local Send API, and webhooks that bring both proofs."""

    cannot: Mapping[Situation, str] = {
        Situation.quota: "Mailjet documents no answer for a used-up quota: it holds such messages back"
    }
    reports = frozenset(EventType) - {EventType.resubscribed}
    bounces = frozenset(Bounce)
    ages = False

    def __init__(self, fake: FakeMailjet, server: ApiServer, root: Path) -> None:
        self.adapter = catalog.load("mailjet")
        self._fake, self._server, self._root = fake, server, root
        self._url = server.url
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(
            self._settings(webhook_username=USERNAME, webhook_password=PASSWORD, webhook_token=TOKEN), self._root
        )

    def unconfigured(self) -> ProviderSettings:
        return self._settings()

    def _settings(self, **fields: str) -> ProviderSettings:
        given = {"api_key": Secret(API_KEY), "secret_key": Secret(SECRET_KEY), "endpoint_url": self._url, **fields}
        return self.adapter.Settings.model_validate(given)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.broken_after_write:
                self._fake.answers[address] = DROP
            case Situation.silent_after_write:
                self._fake.answers[address] = HANG
            case Situation.bad_recipient:
                said = error("mj-0013", f'"{address}" is an invalid email address. {words}', related=["To[0].Email"])
                self._fake.errors[address] = [said]
            case Situation.bad_content:
                self._fake.errors[address] = [error("mj-0006", f"Subject is too long: {words}", related=["Subject"])]
            case _:
                self._fake.answers[address] = _answer(situation, words)

    def relent(self) -> None:
        self._url = self._server.url
        self._fake.relent()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(each["To"][0]["Email"], each["Subject"], each.get("TextPart"), each.get("HTMLPart"))
            for each in self._fake.delivered
        ]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        return self.saying(json.dumps([_event(each, at) for each in happened]).encode(), at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        url = f"https://connect.example/webhooks/mailjet?token={TOKEN.replace(' ', '+')}"
        return Webhook({"authorization": _basic(PASSWORD)}, content, url, at, Remembered())

    def forged(self, webhook: Webhook) -> Webhook:
        """With the token of somebody else's log, and a guessed password."""
        return replace(webhook, headers={"authorization": _basic("guessed")})


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"{USERNAME}:{password}".encode()).decode()


def _answer(situation: Situation, words: str) -> Answer:
    """An answer to a whole call."""
    code, status, headers = {
        Situation.throttled: ("mj-0020", 429, {}),
        Situation.throttled_until: ("mj-0020", 429, {"retry-after": "7"}),
        Situation.bad_credentials: ("mj-0015", 401, {}),
        Situation.transient: ("mj-0500", 500, {}),
    }[situation]
    return Answer(status, error(code, words, status), headers)


_EVENTS: dict[EventType, dict[str, Any]] = {
    EventType.delivered: {"event": "sent", "smtp_reply": "sent (250 2.0.0 OK)"},
    EventType.opened: {"event": "open", "ip": "127.0.0.1", "geo": "US", "agent": "Mozilla/5.0"},
    EventType.clicked: {"event": "click", "ip": "127.0.0.1", "geo": "FR", "agent": "Mozilla/5.0"},
    EventType.bounced: {"event": "bounce", "blocked": False, "error_related_to": "recipient"},
    EventType.complained: {"event": "spam", "source": "JMRPP"},
    EventType.unsubscribed: {"event": "unsub", "mj_list_id": 1, "ip": "127.0.0.1", "geo": "FR", "agent": "Mozilla/5.0"},
}


def _event(happened: Happened, at: datetime) -> dict[str, Any]:
    """As the Event API's documentation shows it."""
    said = {
        "time": int(at.timestamp()),
        "MessageID": 19421777835146490 + happened.outgoing.key[0],
        "email": happened.outgoing.message.address,
        "mj_campaign_id": 7257,
        "mj_contact_id": 4,
        "customcampaign": "",
        "CustomID": happened.outgoing.correlation_id,
        "Payload": "",
        **_EVENTS[happened.type],
    }
    if happened.bounce is not None:
        hard = happened.bounce is Bounce.hard
        said |= {"hard_bounce": hard, "error": "user unknown" if hard else "quota exceeded"}
    return said | ({"url": happened.link} if happened.link else {})


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeMailjet()
    with ApiServer(fake) as server, closing(MailjetRig(fake, server, root)) as built:
        yield built
