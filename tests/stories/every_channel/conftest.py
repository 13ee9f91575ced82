"""A shop whose customers are reached by e-mail, text message, push and requests: an account in memory for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pytest

from connect.channels.message import Push, Request, Sms
from connect.providers import memory

PROJECT = """
name: shop
secret: ${CONNECT_SECRET}
mode: MODE
sources:
  shop: {url: "duckdb:///shop.duckdb"}
providers: PROVIDERS
channels: CHANNELS
unsubscribe: {url: "https://shop.example/leave?t={{ url.token }}"}
subscriptions: OPTOUTS
"""
ACCOUNTS = {"email": "mail", "sms": "texts", "push": "phones", "http": "hook"}

CAMPAIGN = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 10000}
message:
  content: CONTENT
policy: POLICY
"""

EMAIL = {
    "channel": "email",
    "from": "Shop <hello@shop.example>",
    "subject": "Hello {{ user.first_name }}",
    "text": "Good day, {{ user.first_name }}. {{ url.unsubscribe_link }}",
}
SMS = {"channel": "sms", "body": "Good day, {{ user.first_name }}"}
PUSH = {"channel": "push", "title": "Hello", "body": "Good day, {{ user.first_name }}"}
HTTP = {"channel": "http", "url": "https://hook.example/in", "body": {"name": "{{ user.first_name }}"}}
CONTENTS = {"email": EMAIL, "sms": SMS, "push": PUSH, "http": HTTP}

COLUMNS = "id text, email text, first_name text, phone_number text, channels text"
Content = Mapping[str, object]
Device = tuple[str, str]
"""(token, platform); a blank platform is left out."""


class House:
    """The shop, its accounts by channel, and what came to each."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.configure()

    def configure(
        self,
        *,
        mode: str = "live",
        providers: Mapping[str, Mapping[str, object]] | None = None,
        channels: Mapping[str, object] | None = None,
        optouts: str = "select id, address, status from opt_outs",
        writes: bool = False,
        more: str = "",
    ) -> None:
        """Write connect.yml; `providers` and `channels` beside, or in place of, one in memory for each channel.

        writes: opt-outs are in a table of Connect's own.
        """
        accounts = {name: {"type": "memory"} for name in ACCOUNTS.values()} | dict(providers or {})
        subscriptions = {"write": "connect_opt_outs"} if writes else {"sql": optouts}
        text = PROJECT.replace("MODE", mode).replace("OPTOUTS", json.dumps(subscriptions))
        text = text.replace("PROVIDERS", json.dumps(accounts))
        text = text.replace("CHANNELS", json.dumps(ACCOUNTS | dict(channels or {})))
        self.shop.write("connect.yml", text + more)

    def campaign(self, *content: Content, **policy: object) -> None:
        text = CAMPAIGN.replace("CONTENT", json.dumps(content)).replace("POLICY", json.dumps(policy))
        self.shop.write("campaigns/hello.yml", text)

    def people(self, *rows: Sequence[object]) -> None:
        """(id, email, first name, phone number, channels as JSON) of each."""
        self.shop.table("people", COLUMNS, rows)

    def crowd(self, count: int, devices: int = 2) -> None:
        """As many as `person` says, at once."""
        self.people()
        device = '{"type": "push", "address": "token-of-%s-N", "platform": "ios"}'
        phones = ", ".join(device.replace("N", str(number)) for number in range(1, devices + 1))
        rows = (
            "select 'id-' || n, 'anna' || n || '@mail.example', 'Anna' || n, '+6141' || lpad(n, 7, '0'), "
            f"replace('[{phones}]', '%s', n) from (select lpad(i::text, 5, '0') as n from range(1, {count + 1}) t(i))"
        )
        with duckdb.connect(self.shop.root / "shop.duckdb") as warehouse:
            warehouse.execute(f"insert into people {rows}")
        self.shop.cells |= {"@mail.example", "token-of-", "+61410000"}

    def person(self, number: int, devices: int = 2, platform: str = "ios") -> tuple[object, ...]:
        phones = [(self.token(number, one), platform) for one in range(1, devices + 1)]
        who = f"anna{number:05}"
        return (f"id-{number:05}", f"{who}@mail.example", who.title(), f"+6141{number:07}", self.channels(*phones))

    def token(self, number: int, device: int = 1) -> str:
        return f"token-of-{number:05}-{device}"

    def channels(self, *devices: Device) -> str:
        """The `channels` of a person with these devices, each of whose tokens is nobody's business."""
        self.shop.cells |= {token for token, _ in devices}
        return json.dumps(
            [
                {"type": "push", "address": token, **({"platform": platform} if platform else {})}
                for token, platform in devices
            ]
        )

    def run(self, *options: str) -> Any:
        return self.shop.run("hello", *options)

    def report(self, *options: str) -> Any:
        return self.shop.run("hello", "--json", *options)

    # What came of it

    def pushes(self, account: str = "phones") -> list[Push]:
        return [_a(Push, outgoing.message) for outgoing in memory.sent(account)]

    def tokens(self, account: str = "phones") -> list[str]:
        return sorted(push.device.address for push in self.pushes(account))

    def texts(self) -> list[Sms]:
        return [_a(Sms, outgoing.message) for outgoing in memory.sent("texts")]

    def requests(self) -> list[Request]:
        return [_a(Request, outgoing.message) for outgoing in memory.sent("hook")]

    def nothing_happened(self, *accounts: str) -> None:
        """Nothing was handed over, and no run has used up a fire time."""
        assert sum(memory.counts(account).messages for account in (*ACCOUNTS.values(), *accounts)) == 0
        assert self.shop.ledger == []


def _a(kind: type[Any], message: object) -> Any:
    assert isinstance(message, kind)
    return message


@pytest.fixture
def house(shop: Any) -> House:
    return House(shop)


@pytest.fixture
def contents() -> dict[str, dict[str, object]]:
    """A content for each channel."""
    return {channel: dict(content) for channel, content in CONTENTS.items()}
