"""`connect webhooks`: what there is, and a sample for one of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from connect.cli.main import main
from connect.testing.api import Answer, ApiServer, Call

SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
TOKEN = "a-token-in-the-url"
PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
webhooks:
  crm: {{url: "{url}/${{TOKEN}}", signing_secret: "${{SIGNING}}", allow_private: true}}
  public: {{url: "https://127.0.0.1:9/", signing_secret: "${{SIGNING}}", events: [bounced], enabled: false}}
"""
Connect = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    def answer(call: Call) -> Answer:
        status = 401 if call.json["type"] == "failed" else 200
        return Answer(status, b"said\x1b[2J by the endpoint", {"x-request": "7"})

    with ApiServer(answer) as running:
        yield running


@pytest.fixture
def connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: ApiServer
) -> Connect:
    (tmp_path / "connect.yml").write_text(PROJECT.format(url=server.url))
    for name, value in {"CONNECT_SECRET": "a secret of this test", "SIGNING": SECRET, "TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["connect", "webhooks", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        written = capsys.readouterr()
        assert isinstance(left.value.code, int)
        assert SECRET not in written.out + written.err
        assert TOKEN not in written.out + written.err
        return left.value.code, written.out, written.err

    return run


def test_endpoints_are_listed(connect: Connect) -> None:
    code, out, _ = connect("list")
    assert code == 0
    assert "crm" in out
    assert "everything" in out
    assert "public  https://127.0.0.1:9/  (not enabled)\n    bounced" in out
    found = json.loads(connect("list", "--json")[1])
    assert [(one["name"], one["enabled"]) for one in found] == [("crm", True), ("public", False)]


def test_a_sample_is_signed_and_says_that_it_is_one(connect: Connect, server: ApiServer) -> None:
    code, out, _ = connect("test", "crm", "--event", "bounced")
    assert code == 0
    (call,) = server.calls
    told = Webhook(SECRET).verify(call.body, dict(call.headers))
    assert (told["type"], told["test"], told["data"]["bounce"]) == ("bounced", True, "hard")
    assert "answered 200 in" in out
    assert "x-request: 7" in out
    assert "said" in out
    assert "\x1b" not in out


def test_a_refusal_says_what_to_look_at_and_where(connect: Connect) -> None:
    code, out, err = connect("test", "crm", "--event", "failed")
    assert code == 3
    assert "answered 401" in out
    assert "connect.yml:5:3: error[webhook-not-taken]" in err
    assert "signing_secret" in err


def test_an_endpoint_of_this_machine_is_not_asked(connect: Connect) -> None:
    code, _, err = connect("test", "public")
    assert code == 3
    assert "`allow_private: true` if that is meant" in err


def test_one_that_there_is_not_gets_the_nearest_name(connect: Connect) -> None:
    code, _, err = connect("test", "crn")
    assert code == 2
    assert "error[unknown-webhook]" in err
    assert "did you mean `crm`?" in err


def test_machines_read_json(connect: Connect) -> None:
    code, out, _ = connect("test", "crm", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["taken"], told["status"], told["headers"]["x-request"]) == (True, 200, "7")
