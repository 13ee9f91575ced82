"""Requests to the user's endpoint: what is written, and what its answers mean."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from connect.channels.message import Outgoing, Request
from connect.errors import RunTrouble
from connect.providers.endpoint import HttpEndpoint, Settings
from connect.providers.interface import Account, Receipt, Status
from connect.redact import Secret
from connect.testing.api import Answer, ApiServer, Call
from connect.testing.messages import a_request

SECRET = "whsec_" + base64.b64encode(b"only for tests, nothing else").decode()


def endpoint(tmp_path: Path, **settings: object) -> HttpEndpoint:
    given = {"allow_private": True, **settings}
    return HttpEndpoint(Account("hooks", Settings.model_validate(given), tmp_path, 4, timedelta(seconds=5)))


async def sent(provider: HttpEndpoint, outgoing: Outgoing) -> Receipt:
    try:
        await provider.open()
        (receipt,) = await provider.send([outgoing])
        return receipt
    finally:
        await provider.close()


async def answered(tmp_path: Path, answer: Answer, *, personal: bool) -> Receipt:
    with ApiServer(lambda call: answer) as server:
        request = a_request(1, to=server.url if personal else "", personal=personal)
        return await sent(endpoint(tmp_path, url=server.url), request)


async def test_a_receiver_can_check_it_with_the_public_library(tmp_path: Path) -> None:
    taken: list[Call] = []
    with ApiServer(lambda call: Answer(200) if not taken.append(call) else Answer(500)) as server:  # type: ignore[func-returns-value]
        provider = endpoint(tmp_path, url=f"{server.url}/hook?a=1", signing_secret=Secret(SECRET))
        outgoing = a_request(1, body=json.dumps({"name": "Zoë 🎉"}, ensure_ascii=False).encode(), method="PUT")
        assert await sent(provider, outgoing) == Receipt(Status.accepted)
    (call,) = taken
    assert (call.method, call.path, call.query) == ("PUT", "/hook", {"a": "1"})
    assert Webhook(SECRET).verify(call.body, dict(call.headers)) == {"name": "Zoë 🎉"}
    assert call.headers["webhook-id"] == call.headers["idempotency-key"] == f"msg_{outgoing.key.hex()}"
    assert call.headers["x-connect-id"] == outgoing.correlation_id


async def test_the_contents_secret_and_headers_win(tmp_path: Path) -> None:
    other = "whsec_" + base64.b64encode(b"the secret of the content").decode()
    taken: list[Call] = []
    with ApiServer(lambda call: Answer(200) if not taken.append(call) else Answer(500)) as server:  # type: ignore[func-returns-value]
        settings = {
            "url": server.url,
            "signing_secret": Secret(SECRET),
            "headers": {"x-a": Secret("1"), "x-b": Secret("2")},
        }
        outgoing = a_request(1, signing_secret=Secret(other), headers=(("x-b", "3"),))
        await sent(endpoint(tmp_path, **settings), outgoing)
    Webhook(other).verify(taken[0].body, dict(taken[0].headers))
    assert (taken[0].headers["x-a"], taken[0].headers["x-b"]) == ("1", "3")


@pytest.mark.parametrize(
    ("status", "shared", "personal"),
    [
        (200, Status.accepted, Status.accepted),
        (204, Status.accepted, Status.accepted),
        (301, Status.config, Status.rejected_recipient),
        (400, Status.rejected_content, Status.rejected_content),
        (401, Status.config, Status.rejected_recipient),
        (402, Status.quota, Status.rejected_recipient),
        (404, Status.config, Status.rejected_recipient),
        (407, Status.config, Status.rejected_recipient),
        (410, Status.config, Status.rejected_recipient),
        (429, Status.throttled, Status.throttled),
        (500, Status.transient, Status.transient),
        (502, Status.ambiguous, Status.ambiguous),
        (503, Status.transient, Status.transient),
    ],
)
async def test_answers(tmp_path: Path, status: int, shared: Status, personal: Status) -> None:
    assert (await answered(tmp_path, Answer(status), personal=False)).status is shared
    assert (await answered(tmp_path, Answer(status), personal=True)).status is personal


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(call: Call) -> Answer:
        seen.append(call.path)
        return Answer(302, b"", {"location": "/elsewhere"})

    with ApiServer(answer) as server:
        receipt = await sent(endpoint(tmp_path, url=f"{server.url}/here"), a_request(1))
    assert (receipt.status, receipt.reason, seen) == (Status.config, "redirected", ["/here"])


async def test_503_that_names_a_time_is_a_wait(tmp_path: Path) -> None:
    receipt = await answered(tmp_path, Answer(503, b"", {"retry-after": "7"}), personal=False)
    assert (receipt.status, receipt.retry_after) == (Status.throttled, timedelta(seconds=7))


@pytest.mark.parametrize(("status", "expected"), [(429, Status.throttled), (503, Status.transient)])
async def test_one_persons_endpoint_does_not_stop_everybody_for_long(
    tmp_path: Path, status: int, expected: Status
) -> None:
    receipt = await answered(tmp_path, Answer(status, b"", {"retry-after": "86400"}), personal=True)
    assert (receipt.status, receipt.retry_after) == (expected, timedelta(minutes=1))


async def test_private_networks_are_out_of_reach_unless_that_is_said(tmp_path: Path) -> None:
    with ApiServer(lambda call: Answer(200)) as server:
        closed = endpoint(tmp_path, url=server.url, allow_private=False)
        mine, theirs = a_request(1), a_request(1, to=server.url, personal=True)
        assert await sent(closed, mine) == Receipt(Status.config, "private_address")
        assert await sent(closed, theirs) == Receipt(Status.rejected_recipient, "private_address")
        assert server.connections == 0
        message = mine.message
        assert isinstance(message, Request)
        assert (
            await sent(closed, replace(mine, message=replace(message, allow_private=True)))
        ).status is Status.accepted


async def test_a_content_without_a_url_needs_the_accounts(tmp_path: Path) -> None:
    assert await sent(endpoint(tmp_path), a_request(1)) == Receipt(Status.config, "no_endpoint")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"url": "ftp://acme.example"}, "http-url"),
        ({"url": "https://user:word@acme.example/"}, "http-url"),
        ({"signing_secret": Secret("not base64!")}, "http-signing-secret"),
        ({"headers": {"X-Key": Secret("word@\n")}}, "http-headers"),
        ({"ca_file": "nowhere.pem"}, "http-ca-file"),
        ({"ca_file": "empty.pem"}, "http-ca-file"),
    ],
)
async def test_settings_that_can_not_work(tmp_path: Path, settings: dict[str, object], code: str) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(RunTrouble) as raised:
        await endpoint(tmp_path, **settings).open()
    assert raised.value.problems[0].code == code
    assert "word@" not in str(raised.value)


@pytest.mark.parametrize("name", ["Host", "content-length", "Webhook-ID", "two words", "Ünï"])
def test_headers_that_are_not_the_accounts_to_give(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="header"):
        endpoint(tmp_path, headers={name: Secret("value")})


async def test_names_of_headers_have_no_case(tmp_path: Path) -> None:
    """Else a receiver gets both, and which of them counts is anybody's guess."""
    settings = {"Authorization": Secret("account"), "Content-Type": Secret("text/plain"), "X-Other": Secret("1")}
    with ApiServer(lambda call: Answer(200)) as server:
        provider = endpoint(tmp_path, url=server.url, headers=settings)
        await sent(provider, a_request(1, headers=(("authorization", "content"), ("X-OTHER", "2"))))
        (call,) = server.calls
    assert (call.headers["authorization"], call.headers["x-other"]) == ("content", "2")
    assert call.headers["content-type"] == "application/json"
    assert call.fields == len(call.headers)


async def test_nothing_is_written_once_it_is_closed(tmp_path: Path) -> None:
    with ApiServer(lambda call: Answer(200)) as server:
        provider = endpoint(tmp_path, url=server.url)
        await provider.open()
        await provider.close()
        assert await provider.send([a_request(1)]) == [Receipt(Status.transient, "client_closed")]
        assert server.connections == 0


async def test_check_says_what_answers(tmp_path: Path) -> None:
    with ApiServer(lambda call: Answer(405)) as server:
        provider = endpoint(tmp_path, url=server.url)
        assert "405" in await provider.check()
        await provider.close()
    with ApiServer(lambda call: Answer(200 if call.headers.get("x-key") == "right" else 403)) as server:
        for key in ("right", "wrong"):
            provider = endpoint(tmp_path, url=server.url, headers={"x-key": Secret(key)})
            if key == "right":
                assert "200" in await provider.check()
            else:
                with pytest.raises(RunTrouble) as raised:
                    await provider.check()
                assert raised.value.problems[0].code == "http-credentials"
            await provider.close()
    with pytest.raises(RunTrouble) as raised:
        await endpoint(tmp_path, url="http://127.0.0.1:9/").check()
    assert raised.value.problems[0].code == "http-unreachable"
