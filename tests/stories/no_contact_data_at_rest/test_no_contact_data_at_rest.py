"""People go through a run and leave nothing behind: not in the ledger, not in output, not in a temporary file.

Every column of every person is planted with values that occur nowhere else. What becomes of a person is said by a word
in their address, so that every outcome happens; then every byte that was written is searched, in every form.
"""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import struct
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from connect.testing.smtp import DROP, HANG, At, SmtpServer
from tests.stories.no_contact_data_at_rest.house import ROLES, House


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: SmtpServer) -> House:
    return House.with_smtp(tmp_path, server)


def test_through_every_outcome(house):
    house.people()
    house.campaign("letter")
    reasons = house.reasons("letter")
    assert reasons == {
        "sent": 7 + 4,  # by e-mail; and those by SMS whose e-mail address is no use
        "skipped skip_tag: not for them": 1,
        "skipped reached_elsewhere": 16,
        "skipped no_address": 4,
        "skipped unsubscribed": 2,
        "skipped bounced": 1,
        "skipped complained": 2,
        "skipped duplicate": 2,
        "refused missing_key": 2,
        "refused invalid_email": 1,
        "refused invalid_phone": 1,
        "refused invalid_header": 1,
        "refused too_many_recipients": 1,
        "refused content_too_large": 1,
        "refused null_value": 1,
        "refused render_error": 1,
        "failed mailbox_unavailable": 1,
        "failed rejected_content": 1,
        "unknown in_doubt": 2,
    }
    assert house.found() == set()


def test_every_command(house):
    house.people("quota")
    for name in ("letter", "other"):
        house.campaign(name)
    assert house.reasons("letter", "--mode", "test")["sent"] == 1
    assert house.reasons("letter", "--mode", "offline")["sent"] == 0
    house.reasons("letter")
    house.reasons("letter", "--again")
    run = json.loads(house.run("runs", "list", "--json").stdout)[0]["id"]
    commands = [
        ("validate",),
        ("validate", "--json"),
        ("show", "letter"),
        ("preview", "letter", "--real"),
        ("run", "letter", "--yes"),
        ("run", "other"),
        ("runs", "list"),
        ("runs", "show", run),
        ("runs", "show", run, "--json"),
        ("report", "letter"),
        ("report", "letter", "--json"),
        ("doctor",),
        ("outbox",),
    ]
    for command in commands:
        done = house.run(*command)
        assert b"Traceback (most recent call last)" not in done.stderr
    assert house.found() == set()


def test_opt_outs_by_hand_and_from_a_file(house, tmp_path):
    """Who is meant stands on the command line, in the user's file and in the user's warehouse, and nowhere else."""
    house.people()
    house.campaign("letter")
    house.opt_outs_written()
    with duckdb.connect(str(house.project / "shop.duckdb"), read_only=True) as shop:
        people = shop.execute("select id, email, phone_number from people where role = 'sent'").fetchall()
    (one, his, number), (two, hers, _), (three, *_) = people
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(f"id,address,status,at\n{three},,unsubscribed,2026-01-01\n,{hers},bounced,2026-01-01\n")
    bad.write_text(f"{one},{his}\n")
    worse = tmp_path / "worse.csv"
    worse.write_text(f'id,address,channel,at\n,{number} {one},{two},{hers}\n,"{his}\n')
    commands = {
        ("init", "--yes"): 0,
        ("unsubscribe", one, his): 0,
        ("unsubscribe", number.replace(" ", ""), "--reason", "by phone"): 0,
        ("unsubscribe", two, "--channel", "email", "--json"): 0,
        ("unsubscribe", hers, "--channel", "sms"): 2,
        ("unsubscribe", one, two): 2,
        ("import", str(bad), "--yes"): 2,
        ("import", str(worse), "--yes"): 2,
        ("import", str(good)): 2,
        ("import", str(good), "--yes"): 0,
        ("show", one, his): 0,
        ("show", two, hers, "--json"): 0,
        ("resubscribe", hers): 2,
        ("resubscribe", two): 0,
    }
    for arguments, code in commands.items():
        done = house.run("subscriptions", *arguments)
        assert (arguments[0], done.returncode) == (arguments[0], code), done.stderr.decode()
    assert house.run("doctor", "--grants").returncode == 0
    assert house.reasons("letter")["skipped unsubscribed"] >= 2
    assert house.found() == set()


def test_a_provider_that_raises_with_an_address_in_its_words(house):
    house.people("explode")
    house.campaign("letter")
    done = house.run("run", "letter", "--yes", WHEN="explode")
    assert done.returncode == 3
    assert b"error[internal]: ValueError" in done.stderr
    assert b"scripted.py" in done.stderr  # --debug shows where
    assert house.found() == set()
    assert b"paused" in house.run("runs", "list").stdout
    house.reasons("letter")
    assert house.found() == set()


@pytest.mark.parametrize("when", ["quota", "credentials"])
def test_a_run_that_pauses(house, when):
    house.people(when)
    house.campaign("letter")
    assert house.run("run", "letter", "--yes", WHEN=when).returncode == 3
    assert b"paused" in house.run("runs", "list").stdout
    assert house.found() == set()
    house.reasons("letter")
    assert house.found() == set()


def test_a_run_that_is_killed_and_one_that_is_stopped(house):
    house.people("hang")
    house.campaign("letter")
    house.interrupted("letter", signal.SIGKILL, WHEN="hang")
    assert house.found() == set()
    assert house.reasons("letter")["unknown in_doubt"] >= 1
    assert house.found() == set()
    house.campaign("other")
    house.interrupted("other", signal.SIGINT, signal.SIGINT, WHEN="hang")
    assert b"stopped" in house.run("runs", "list").stdout
    assert house.found() == set()
    assert house.reasons("other")["unknown in_doubt"] >= 1
    assert house.found() == set()


def test_a_query_that_chokes_on_a_cell(house):
    house.people()
    house.campaign("letter", sql="select *, cast(email as integer) as number from people")
    assert house.run("run", "letter", "--yes").returncode == 3
    assert b"error[" in house.said[-1][1]
    house.run("validate")
    house.run("runs", "list")
    assert house.found() == set()


def test_a_message_sent_without_a_campaign(house):
    house.people()
    (house.project / "messages" / "note.yml").write_text(
        "transactional: true\ncontent:\n  - channel: email\n    from: hello@acme.example\n    subject: A note\n"
        '    text: "Dear {{ user.first_name }}"\n'
    )
    person = ("id=Kunde-01zQ7-Zaunkoenig", "email=Kanarie-sent-01zQ7@Vogelhaus.example", "first_name=Gwendolyn01zQ7")
    assert house.run("send", "note", *person, "--yes").returncode == 0
    lost = ("id=Kunde-02zQ7-Zaunkoenig", "email=Kanarie-explode-02zQ7@Vogelhaus.example", "first_name=Gwendolyn02zQ7")
    assert house.run("send", "note", *lost, "--yes", WHEN="explode").returncode == 3
    assert house.found() == set()


ANSWERS: dict[str, tuple[At, str, int | None]] = {
    "failed": (At.rcpt, "550 5.1.1 <{0}> unknown here, see https://acme.example/?e={0}", None),
    "unwanted": (At.end, "554 5.6.0 will not take this for {0}", None),
    "unknown": (At.end, DROP, None),
    "taken": (At.end, DROP, None),
    "retried": (At.rcpt, "450 4.2.1 <{0}> is busy", 1),
    "throttled": (At.rcpt, "451 4.7.1 too much mail for {0}", 1),
}


def spellings(address: str) -> tuple[str, ...]:
    """As it may stand in the envelope: a domain is written in lower case."""
    return address, address.lower(), address.replace("vogelhaus", "Vogelhaus")


def test_over_smtp(house, server):
    house.people()
    house.campaign("letter", provider="mail", sql="select * from people where role <> 'enormous'")
    for number, role in enumerate(ROLES, start=1):
        address = f"Kanarie-{role}-{number:02}zQ7@vogelhaus.example"
        at, reply, times = ANSWERS.get(role, (None, "", None))
        for spelled in spellings(address) if at else ():
            server.answer(at, reply.format(spelled), spelled, times)
    reasons = house.reasons("letter")
    assert reasons["sent"] >= 6, reasons
    assert reasons["unknown in_doubt"] == 2
    assert sum(count for reason, count in reasons.items() if reason.startswith("failed")) == 2
    assert len(server.messages) == reasons["sent"]
    assert all(message.encrypted for message in server.messages)
    assert house.found() == set()
    for again in ("doctor", "report", "runs"):
        house.run(*{"report": ("report", "letter"), "runs": ("runs", "list")}.get(again, (again,)))
    assert house.found() == set()


def test_over_smtp_with_wrong_credentials_a_pause_and_a_kill(house, server):
    house.people()
    house.campaign("letter", provider="mail", sql="select * from people where role = 'sent'", in_doubt="resend")
    assert house.run("run", "letter", "--yes", SMTP_PASSWORD="wrong").returncode == 3
    for number in (1, 2, 3):
        address = f"Kanarie-sent-{number:02}zQ7@vogelhaus.example"
        for spelled in spellings(address):
            server.answer(At.end, f"454 4.7.0 Throttling failure: Daily message quota exceeded for {spelled}", spelled)
    assert house.run("run", "letter", "--yes").returncode == 3
    assert b"provider-quota" in house.said[-1][1]
    assert house.found() == set()
    server.forget_answers()
    server.answer(At.end, HANG, times=1)
    house.interrupted("letter", signal.SIGKILL, ready=server.hanging)
    assert house.found() == set()
    assert house.reasons("letter") == {"sent": 3}
    assert house.found() == set()


# The search itself

VALUE = "Kanarie+sent-01zQ7@Vogelhaus.example"
PLANTED = {
    "raw": VALUE.encode(),
    "lower": VALUE.lower().encode(),
    "upper": VALUE.upper().encode(),
    "utf-16": VALUE.encode("utf-16-le"),
    "url": quote(VALUE, safe="").encode(),
    "url in lower case": quote(VALUE, safe="").lower().encode(),
    "every byte as in a url": "".join(f"%{byte:02x}" for byte in VALUE.encode()).encode(),
    **{f"base64 behind {n}": base64.b64encode(b"x" * n + VALUE.encode() + b"tail") for n in range(6)},
    **{f"base64 for urls behind {n}": base64.urlsafe_b64encode(b"x" * n + VALUE.encode() + b"?>") for n in range(3)},
    "base64 of the lower case": base64.b64encode(VALUE.lower().encode()),
    "hex": VALUE.encode().hex().encode(),
    "hex in capitals": VALUE.encode().hex().upper().encode(),
    "hex of the lower case": VALUE.lower().encode().hex().encode(),
    **{f"{name} digest": hashlib.new(name, VALUE.encode()).digest() for name in ("md5", "sha1", "sha256")},
    **{f"{name} hex": hashlib.new(name, VALUE.encode()).hexdigest().encode() for name in ("md5", "sha1", "sha256")},
    **{
        f"{name} of the lower case": hashlib.new(name, VALUE.lower().encode()).hexdigest().upper().encode()
        for name in ("md5", "sha1", "sha256")
    },
}


@pytest.mark.parametrize("form", PLANTED)
def test_the_search_finds_what_is_planted(house, form):
    house.canaries.add("email", VALUE)
    assert house.found() == set()
    (house.temporary / "spilled.bin").write_bytes(b"\0before" + PLANTED[form] + b"after\0")
    assert {hit.column for hit in house.found()} == {"email"}


@pytest.mark.parametrize(
    ("value", "planted"),
    [
        (731_048_291_557_301, struct.pack("<q", 731_048_291_557_301)),
        (731_048_291_557_301, b"731048291557301"),
        (Decimal("4815162342.0173"), b"4815162342.0173"),
        (datetime(1957, 3, 15, 15, 9, 26, 535801), b"1957-03-15T15:09:26.535801"),
        ("Österreicher-01zQ7 & Co", rb"\xd6sterreicher-01zQ7 & Co"),
        ("Österreicher-01zQ7 & Co", b"\\u00d6sterreicher-01zQ7 & Co"),
    ],
)
def test_the_search_finds_other_kinds_of_values(house, value, planted):
    house.canaries.add("cell", value)
    (house.home / "cache").write_bytes(planted)
    assert {hit.column for hit in house.found()} == {"cell"}


def test_the_search_looks_everywhere_but_into_the_users_own_files(house):
    house.people()
    assert house.found() == set()
    for place in (house.project / ".connect" / "state.db-wal", house.temporary / "a" / "b", house.home / ".cache"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"Kanarie-sent-01zQ7@Vogelhaus.example")
        assert house.found() != set()
        place.unlink()
    (house.temporary / "Kunde-01zQ7-Zaunkoenig").touch()
    assert house.found() != set()
    (house.temporary / "Kunde-01zQ7-Zaunkoenig").unlink()
    house.said.append(("log", b"Gwendolyn01zQ7"))
    assert house.found() != set()
    assert house.found() == set()
