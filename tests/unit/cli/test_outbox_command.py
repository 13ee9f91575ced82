"""`connect outbox` over messages of every channel."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from connect.channels.message import Device, Outgoing
from connect.cli import pages
from connect.providers.interface import Account
from connect.providers.outbox import Outbox, Settings
from connect.testing.messages import RUN_ID, a_push, a_request, an_email, an_sms
from connect.vocabulary import Platform
from tests.unit.cli.conftest import Club

TOKEN = "dGVzdDpBUEE5MWI" * 8


@pytest.fixture
def captured(club: Club) -> Club:
    batch = [
        an_email(1),
        an_sms(1, body="Your trial\nends", segments=1),
        a_push(
            1,
            device=Device(TOKEN, Platform.android, "fcm_token"),
            title="On its [bold]way[/]",
            body="Alex picked it up\nat five",
            url="acme://orders/7",
            ttl=timedelta(hours=6),
            data=(("order", "7"),),
        ),
        a_request(1, to="https://hooks.example/in", body=b'{"a": [1]}', headers=(("Authorization", "Bearer hush"),)),
        a_request(2, body=b"x" * 100),
    ]
    asyncio.run(capture(club.root, batch))
    return club


async def capture(root: Path, batch: list[Outgoing]) -> None:
    outbox = Outbox(Account("outbox", Settings(), root, concurrency=2))
    await outbox.open()
    await outbox.send(batch)


def test_every_message_is_a_line_with_its_file(captured: Club) -> None:
    listed = captured.connect("outbox")
    assert listed.code == 0
    said = " ".join(listed.out.split())
    assert f"{RUN_ID} email Person 1 <person-1@mail.example> Offer number 1" in said
    assert "sms +4915112000001 Your trial ends" in said
    assert f"push android {TOKEN[:19]}… On its [bold]way[/]: Alex picked it up at five" in said
    assert 'http POST https://hooks.example/in { "a": [ 1 ] }' in said
    assert f"http POST (the account’s endpoint) {'x' * 59}…" in said
    assert said.count(".push.json") == 1
    assert said.count(".http.json") == 2
    assert "5 messages" in said


def test_as_json_everything_is_told(captured: Club) -> None:
    told = captured.connect("outbox", "--json").json
    email, sms, push, request, own = told
    assert email.keys() == {"run", "channel", "from", "to", "subject", "file"}
    assert (sms["body"], sms["segments"]) == ("Your trial\nends", 1)
    assert {name: push[name] for name in push.keys() - {"file"}} == {
        "run": RUN_ID,
        "channel": "push",
        "from": "",
        "to": TOKEN,
        "subject": "On its [bold]way[/]",
        "platform": "android",
        "body": "Alex picked it up\nat five",
        "url": "acme://orders/7",
        "image": "",
        "data": {"order": "7"},
        "options": {"kind": "fcm_token", "ttl": "21600 s"},
    }
    assert request["method"] == "POST"
    assert request["headers"] == [["Content-Type", "application/json"], ["Authorization", "***"]]
    assert request["body"] == '{\n  "a": [\n    1\n  ]\n}'
    assert own["to"] == ""


def test_the_page_shows_them_all(captured: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[str] = []
    monkeypatch.setattr(pages, "serve", served.append)
    assert captured.connect("outbox", "--open").code == 0
    (page,) = served
    for part in (
        '<p class="title">On its [bold]way[/]</p>',
        "acme://orders/7",
        "<dt>order</dt><dd>7</dd>",
        "<h2>POST https://hooks.example/in</h2>",
        "<dt>Authorization</dt><dd>***</dd>",
        '<span class="key">&quot;a&quot;</span>: [',
        "1 segment",
    ):
        assert part in page
    assert "hush" not in page
