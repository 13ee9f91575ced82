"""Messages as files for a developer to look at."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connect.channels.message import Mailbox, Outgoing
from connect.errors import RunTrouble
from connect.providers.interface import Account, Receipt, Status
from connect.providers.outbox import BCC_HEADER, Outbox, Settings, messages
from connect.testing import an_email, an_sms
from connect.testing.messages import RUN_ID, an_attachment
from connect.vocabulary import Channel


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
