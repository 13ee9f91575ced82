"""What a run sends is told to the user's endpoints: whom it was sent to, once it is durable, when it is for real."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from connect.channels.message import Outgoing
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing.api import Answer, ApiServer
from tests import processes

SCRIPTED = str(Path(__file__).with_name("scripted.py"))
SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
HOOKS = """
webhooks:
  crm: {{url: "{url}/hooks", signing_secret: "${{SIGNING}}", allow_private: true, events: [sent, failed]}}
"""


class Endpoint:
    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.hooks = HOOKS.format(url=server.url)

    @property
    def heard(self) -> list[dict[str, Any]]:
        """Everything that was told, verified."""
        return [Webhook(SECRET).verify(call.body, dict(call.headers)) for call in self.server.calls]

    @property
    def ids(self) -> list[str]:
        return [call.headers["webhook-id"] for call in self.server.calls]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("SIGNING", SECRET)
    with ApiServer(lambda call: Answer(204)) as server:
        yield Endpoint(server)


def fails(outgoing: Outgoing, attempt: int) -> Receipt | None:
    return Receipt(Status.rejected_recipient, "no_such_person") if "00002@" in outgoing.message.address else None


def test_each_delivery_that_is_sent_or_fails_is_told(house: Any, contents: Any, endpoint: Endpoint) -> None:
    house.configure(more=endpoint.hooks)
    house.campaign(contents["email"], contents["push"])
    house.people(*(house.person(number, devices=2) for number in (1, 2, 3)))
    memory.script("mail", fails)

    house.run()

    sent = {
        outgoing.key.hex(): outgoing.message.address for name in ("mail", "phones") for outgoing in memory.sent(name)
    }
    data = [one["data"] for one in endpoint.heard if one["type"] == "sent"]
    assert {one["message"]: one["user"]["address"] for one in data} == sent
    assert len(sent) == len(data) == 2 + 6
    assert Counter(one["user"]["id"] for one in data) == {"id-00001": 3, "id-00002": 2, "id-00003": 3}
    assert {(one["campaign"], one["target"], one["run"]) for one in data} == {("hello", "default", data[0]["run"])}
    (failed,) = (one["data"] for one in endpoint.heard if one["type"] == "failed")
    assert (failed["user"]["id"], failed["channel"], failed["reason"]) == ("id-00002", "email", "no_such_person")


def test_a_daemon_tells_too(house: Any, contents: Any, endpoint: Endpoint) -> None:
    house.configure(more=endpoint.hooks)
    house.campaign(contents["email"])
    house.people(*(house.person(number) for number in (1, 2, 3)))
    assert house.shop.connect("launch", "hello", "--yes").code == 0

    ended = house.shop.connect("daemon", "--once")

    assert ended.code == 0, ended.err
    assert {one["data"]["user"]["id"] for one in endpoint.heard} == {"id-00001", "id-00002", "id-00003"}


@pytest.mark.parametrize("mode", ["test", "offline"])
def test_what_is_not_for_real_is_not_told(house: Any, contents: Any, endpoint: Endpoint, mode: str) -> None:
    house.configure(mode=mode, more=endpoint.hooks)
    house.campaign(contents["email"])
    house.people(house.person(1))

    assert house.run().code == 0

    assert endpoint.heard == []


@pytest.mark.skipif(sys.platform != "linux", reason="as tests/acceptance/test_workers.py")
def test_what_several_processes_send_is_told(house: Any, contents: Any, endpoint: Endpoint) -> None:
    house.configure(more=endpoint.hooks)
    house.campaign(contents["email"])
    house.crowd(120)

    assert house.run("--workers", "2").code == 0

    told = {one["data"]["user"]["id"]: one["data"]["user"]["address"] for one in endpoint.heard}
    assert told == {f"id-{number:05}": f"anna{number:05}@mail.example" for number in range(1, 121)}


def test_a_run_that_was_killed_tells_each_message_under_one_id(house: Any, contents: Any, endpoint: Endpoint) -> None:
    slow = {"type": "memory", "concurrency": 2}
    house.configure(providers={"mail": slow}, more=endpoint.hooks)
    house.campaign(contents["email"])
    house.crowd(40)
    told = {**os.environ, "HEARD": f"{house.shop.root}.heard", "BATCH": "2"}
    command = ("run", "hello", "--yes")

    killed = processes.run(SCRIPTED, *command, folder=house.shop.root, environment={**told, "KILL_AT": "20"}, text=True)
    assert killed.returncode == -signal.SIGKILL
    processes.run(SCRIPTED, *command, folder=house.shop.root, environment={**told, "KILL_AT": "0"}, text=True)

    ids: dict[str, set[str]] = {}
    for one, name in zip(endpoint.heard, endpoint.ids, strict=True):
        assert one["type"] == "sent"
        ids.setdefault(one["data"]["message"], set()).add(name)
    assert all(len(names) == 1 for names in ids.values())
    # What was in the air when it was killed is unknown, and what only its memory held is lost.
    assert 20 <= len(ids) <= 40


def test_an_endpoint_that_is_down_is_nobodys_trouble(house: Any, contents: Any, endpoint: Endpoint) -> None:
    house.configure(more=endpoint.hooks.replace(endpoint.server.url, "http://127.0.0.1:1"))
    house.campaign(contents["email"])
    house.people(*(house.person(number) for number in range(1, 6)))

    ended = house.run()

    assert ended.code == 0
    assert "webhook crm: " in ended.err
    assert len(memory.sent("mail")) == 5
