"""What providers report is told to the user's own endpoints, once, however often it is reported; and measured."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from connect.identity import KeyRing, correlation_id, unsubscribe_token
from connect.pipeline.visits import head, open_token
from connect.providers.events import Bounce, EventType
from connect.redact import Secret
from connect.testing.api import Answer, ApiServer
from connect.testing.messages import RUN_ID, an_email
from connect.testing.providers import Happened
from tests.stories.providers_report.conftest import Shop

SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
HOOKS = 'webhooks: {{crm: {{url: "{url}", signing_secret: "${{SIGNING}}", allow_private: true}}}}\n'


def test_what_is_reported_is_told_once(shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    home, rig = shop
    monkeypatch.setenv("SIGNING", SECRET)
    happened = [
        Happened(EventType.delivered, an_email(1)),
        Happened(EventType.clicked, an_email(1), link="https://shop.example/offer/7"),
        Happened(EventType.bounced, an_email(2), Bounce.hard),
        Happened(EventType.complained, an_email(3)),
    ]
    webhook = rig.webhook(happened, datetime.now(UTC))
    with ApiServer(lambda call: Answer(204)) as endpoint:
        home.configure("serve: {", HOOKS.format(url=endpoint.url) + "serve: {metrics: true, ")
        with home.listening():
            home.run()
            for _ in range(3):
                assert home.post("sendgrid", webhook)[0] == 200
            measured = home.ask("GET", "/metrics")[2].decode()
    told = [Webhook(SECRET).verify(call.body, dict(call.headers)) for call in endpoint.calls]
    assert {(one["type"], one["data"]["message"]) for one in told} == {
        (each.type.value, each.outgoing.key.hex()) for each in happened
    }
    assert len(told) == 4
    by_type = {one["type"]: one["data"] for one in told}
    assert {(data["campaign"], data["run"]) for data in by_type.values()} == {(f"hello {RUN_ID}", RUN_ID)}
    assert by_type["bounced"]["bounce"] == "hard"
    assert by_type["bounced"]["user"]["address"] == an_email(2).message.address
    assert by_type["clicked"]["link"] == "https://shop.example/offer/7"
    for line in (
        'connect_webhooks_total{account="sendgrid",answer="taken"} 3.0',
        'connect_events_total{account="sendgrid",type="complained"} 1.0',
        'connect_requests_total{method="POST",route="/webhooks/{account}",status="200"} 3.0',
    ):
        assert line in measured
    assert [each for each in happened if each.outgoing.message.address in measured] == []


def test_what_people_do_on_our_own_pages_is_told(shop: tuple[Shop, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    home, _ = shop
    monkeypatch.setenv("SIGNING", SECRET)
    ring, key = KeyRing((Secret("a secret of these tests"),)), an_email(1).key
    claims = {"id": "7", "address": "ada@mail.example", "channel": "email", "topic": "offers"}
    page = "/u/" + unsubscribe_token(ring, key, {**claims, "correlation": correlation_id(RUN_ID, key)})
    picture = f"/o/{open_token(ring, head(RUN_ID, key, counts=True))}.gif"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with ApiServer(lambda call: Answer(204)) as endpoint:
        home.configure("serve: {", HOOKS.format(url=endpoint.url) + "serve: {")
        with home.listening():
            home.run()
            asked = [
                home.ask("POST", page, b"do=leave", form),
                home.ask("POST", page, b"do=back&of=offers", form),
                home.ask("GET", picture, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"}),
            ]
            assert [status for status, _, _ in asked] == [200] * 3
            while len(endpoint.calls) < 3:
                time.sleep(0.02)
    told = [Webhook(SECRET).verify(call.body, dict(call.headers)) for call in endpoint.calls]
    assert sorted(one["type"] for one in told) == ["opened", "resubscribed", "unsubscribed"]
    assert {(one["data"]["run"], one["data"]["message"]) for one in told} == {(RUN_ID, key.hex())}
