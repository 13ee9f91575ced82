"""Messages as files for a developer to look at."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.channels.message import Device, Mailbox, Outgoing
from connect.errors import RunTrouble
from connect.providers.interface import Account, Receipt, Status
from connect.providers.outbox import Outbox, Settings, messages
from connect.providers.outbox_files import BCC_HEADER
from connect.redact import Secret
from connect.testing import an_email, an_sms
from connect.testing.messages import RUN_ID, a_push, a_request, an_attachment
from connect.vocabulary import Channel, Platform


def an_outbox(root: Path, path: str = "outbox") -> Outbox:
    return Outbox(Account("out", Settings(path=path), root, concurrency=2))


async def test_some_addresses_can_be_refused_and_some_never_answered(tmp_path: Path) -> None:
    settings = Settings(rejects=("*-1@mail.example",), loses=("person-2@*",))
    outbox = Outbox(Account("out", settings, tmp_path, concurrency=2))
    await outbox.open()
    receipts = await outbox.send([an_email(number) for number in range(3)])
    assert [(receipt.status, receipt.reason) for receipt in receipts] == [
        (Status.accepted, ""),
        (Status.rejected_recipient, "mailbox_unavailable"),
        (Status.undecidable, "no_answer"),
    ]
    assert {captured.to for captured in outbox.captured()} == {f"Person {n} <person-{n}@mail.example>" for n in (0, 2)}


async def test_tokens_and_urls_can_be_refused_and_lost_too(tmp_path: Path) -> None:
    tokens = [a_push(number).message.address for number in range(3)]
    settings = Settings(rejects=(tokens[0], "https://gone.example/*"), loses=(f"{tokens[1][:20]}*", "*/slow"))
    outbox = Outbox(Account("out", settings, tmp_path, concurrency=2))
    await outbox.open()
    urls = ("https://gone.example/7", "https://acme.example/slow", "https://acme.example/")
    batch = [*map(a_push, range(3)), *(a_request(number, to=url) for number, url in enumerate(urls))]
    assert [(receipt.status, receipt.reason) for receipt in await outbox.send(batch)] == [
        (Status.rejected_recipient, "unregistered"),
        (Status.undecidable, "no_answer"),
        (Status.accepted, ""),
        (Status.rejected_recipient, "refused"),
        (Status.undecidable, "no_answer"),
        (Status.accepted, ""),
    ]
    assert {captured.to for captured in outbox.captured()} == {*tokens[1:], *urls[1:]}


async def write(root: Path, *batch: Outgoing) -> list[Receipt]:
    outbox = an_outbox(root)
    await outbox.open()
    return await outbox.send(batch)


async def test_an_email_is_read_back_as_it_was(tmp_path: Path) -> None:
    await write(tmp_path, an_email(1, subject="Grüße, Zoë 🎉"))
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.run_id, captured.channel) == (RUN_ID, Channel.email)
    assert captured.subject == "Grüße, Zoë 🎉"
    assert captured.to == "Person 1 <person-1@mail.example>"
    assert captured.sender == "Acme <hello@acme.example>"
    assert captured.date == datetime(2026, 11, 20, 9, tzinfo=UTC), "when the run started"
    assert captured.text is not None
    assert captured.text.startswith("Dear person 1,")
    assert captured.html is not None
    assert "<p>Dear person 1,</p>" in captured.html
    assert captured.file.suffix == ".eml"


async def test_a_text_message_is_read_back_as_it_was(tmp_path: Path) -> None:
    await write(tmp_path, an_sms(1, body="Grüße 👋"))
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.channel, captured.to, captured.sender) == (Channel.sms, "+4915112000001", "Acme")
    assert captured.body == "Grüße 👋"


def on_disk(root: Path, kind: str) -> Any:
    (file,) = (root / "outbox" / RUN_ID).glob(f"*{kind}")
    return json.loads(file.read_bytes())


async def test_a_text_messages_parts_are_told(tmp_path: Path) -> None:
    await write(tmp_path, an_sms(1, segments=3))
    (captured,) = messages(tmp_path / "outbox")
    assert captured.segments == on_disk(tmp_path, ".json")["segments"] == 3


async def test_a_text_message_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "outbox" / RUN_ID
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"to": "+4915112000001", "from": "", "date": null, "body": "Hi"}')
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.body, captured.segments) == ("Hi", 0)


PUSH = {
    "device": Device("a-token", Platform.android, "fcm_token"),
    "title": "Grüße 🎉",
    "body": "There is\nnews",
    "data": (("order", "7"), ("more", "é")),
    "image": "https://acme.example/a.png",
    "badge": 0,
    "sound": "ping.caf",
    "url": "acme://orders/7",
    "ttl": timedelta(hours=6),
    "collapse_key": "news",
    "ios": {"aps": {"category": "NEWS"}},
    "android": {"priority": "high"},
}


async def test_a_push_message_is_read_back_as_it_was(tmp_path: Path) -> None:
    await write(tmp_path, a_push(1, **PUSH))
    assert on_disk(tmp_path, ".push.json") == {
        "to": "a-token",
        "platform": "android",
        "kind": "fcm_token",
        "title": "Grüße 🎉",
        "body": "There is\nnews",
        "data": {"order": "7", "more": "é"},
        "image": "https://acme.example/a.png",
        "badge": 0,
        "sound": "ping.caf",
        "url": "acme://orders/7",
        "ttl": 21600,
        "collapse_key": "news",
        "ios": {"aps": {"category": "NEWS"}},
        "android": {"priority": "high"},
        "date": "2026-11-20T09:00:00+00:00",
    }
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.channel, captured.to, captured.platform) == (Channel.push, "a-token", Platform.android)
    assert (captured.subject, captured.body) == ("Grüße 🎉", "There is\nnews")
    assert (captured.url, captured.image) == ("acme://orders/7", "https://acme.example/a.png")
    assert captured.data == (("order", "7"), ("more", "é"))
    assert dict(captured.options) == {
        "kind": "fcm_token",
        "badge": "0",
        "sound": "ping.caf",
        "ttl": "21600 s",
        "collapse_key": "news",
        "ios": '{\n  "aps": {\n    "category": "NEWS"\n  }\n}',
        "android": '{\n  "priority": "high"\n}',
    }


async def test_a_push_message_of_little_is_read_back(tmp_path: Path) -> None:
    await write(tmp_path, a_push(1, device=Device("a-token"), title="", data=()))
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.platform, captured.subject, captured.options) == (None, "", ())


async def test_a_request_is_read_back_as_it_was(tmp_path: Path) -> None:
    body = '{"name": "Zoë", "n": [1, 2.5]}'.encode()
    headers = (("X-Name", "Zoë"), ("Accept", "*/*"))
    await write(tmp_path, a_request(1, to="https://acme.example/in", body=body, method="PUT", headers=headers))
    assert on_disk(tmp_path, ".http.json") == {
        "to": "https://acme.example/in",
        "method": "PUT",
        "content_type": "application/json",
        "headers": [["X-Name", "Zoë"], ["Accept", "*/*"]],
        "signed": False,
        "allow_private": None,
        "body": {"name": "Zoë", "n": [1, 2.5]},
        "date": "2026-11-20T09:00:00+00:00",
    }
    (captured,) = messages(tmp_path / "outbox")
    assert (captured.channel, captured.to, captured.method) == (Channel.http, "https://acme.example/in", "PUT")
    assert captured.headers == (("Content-Type", "application/json"), *headers)
    assert captured.body == '{\n  "name": "Zoë",\n  "n": [\n    1,\n    2.5\n  ]\n}'


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"a=1&b=2", "a=1&b=2"),
        (b"", ""),
        (b'"text"', "text"),
        (b"12.50", "12.5"),
        (b"null", "null"),
        (b"[NaN]", "[NaN]"),
        (b"[1e999]", "[1e999]"),
        (b"\xff{", "\ufffd{"),
        (b"[" * 100_000, "[" * 100_000),
        (b'"\\ud83c"', "\ufffd"),
    ],
)
async def test_bodies_of_any_kind_are_shown(tmp_path: Path, body: bytes, shown: str) -> None:
    receipts = await write(tmp_path, a_request(1, body=body))
    assert [receipt.status for receipt in receipts] == [Status.accepted]
    (captured,) = messages(tmp_path / "outbox")
    assert captured.body == shown


async def test_secrets_of_a_request_are_in_no_file(tmp_path: Path) -> None:
    names = ("Authorization", "X-API-Key", "x-auth", "Cookie", "X-Access-Token", "X-Signature", "X-Shared-Secret")
    headers = tuple((name, f"hush-{number}") for number, name in enumerate(names))
    await write(tmp_path, a_request(1, headers=headers, signing_secret=Secret("hush-whsec")))
    (captured,) = messages(tmp_path / "outbox")
    assert "hush" not in captured.file.read_text()
    assert captured.headers[1:] == tuple((name, "***") for name in names)
    assert ("signed", "yes, with a secret of its own") in captured.options


async def test_messages_of_all_channels_are_kept_apart(tmp_path: Path) -> None:
    batch = [an_email(1), an_sms(1), a_push(1), a_request(1)]
    await write(tmp_path, *batch, *batch)
    assert sorted(captured.channel for captured in messages(tmp_path / "outbox")) == sorted(Channel)


async def test_blind_copies_are_shown_to_the_developer(tmp_path: Path) -> None:
    await write(tmp_path, an_email(1, bcc=(Mailbox("boss@acme.example"),), attachments=(an_attachment(),)))
    (captured,) = messages(tmp_path / "outbox")
    assert f"{BCC_HEADER}: boss@acme.example".encode() in captured.file.read_bytes()


async def test_each_message_has_a_file_and_each_run_a_folder(tmp_path: Path) -> None:
    later = [replace(an_email(n), correlation_id="c1.01lg030gehin6t3k." + "A" * 22) for n in range(3)]
    await write(tmp_path, *[an_email(n) for n in range(5)], *later)
    found = list(messages(tmp_path / "outbox"))
    assert [captured.run_id for captured in found] == [RUN_ID] * 5 + ["01lg030gehin6t3k"] * 3
    assert len({captured.file for captured in found}) == 8


async def test_a_run_id_that_is_none_can_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    await write(tmp_path, replace(an_email(1), correlation_id="c1.../../../../../xx." + "A" * 22))
    (captured,) = messages(tmp_path / "outbox")
    assert captured.run_id == "other"
    assert captured.date is None


async def test_files_are_for_their_owner_and_not_for_git(tmp_path: Path) -> None:
    await write(tmp_path, an_email(1))
    (captured,) = messages(tmp_path / "outbox")
    assert stat.S_IMODE(captured.file.stat().st_mode) == 0o600
    assert (tmp_path / "outbox" / ".gitignore").read_text() == "*\n"


async def test_half_a_file_is_never_read(tmp_path: Path) -> None:
    await write(tmp_path, an_email(1))
    (tmp_path / "outbox" / RUN_ID / ".half.eml.1.part").write_bytes(b"Subject: ha")
    assert len(list(messages(tmp_path / "outbox"))) == 1


def test_an_outbox_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(messages(tmp_path / "nowhere")) == []


async def test_a_folder_that_can_not_be_written_pauses_the_run(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(RunTrouble) as caught:
        await an_outbox(tmp_path).open()
    assert caught.value.problems[0].code == "outbox-not-writable"


async def test_a_folder_that_is_taken_away_is_a_matter_for_a_person(tmp_path: Path) -> None:
    outbox = an_outbox(tmp_path)
    await outbox.open()
    (tmp_path / "outbox" / RUN_ID).write_text("a file where the run's folder should be")
    (receipt,) = await outbox.send([an_email(1)])
    assert (receipt.status, receipt.reason) == (Status.config, "outbox_not_writable")
    assert "person" not in repr(receipt)
