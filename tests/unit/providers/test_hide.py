"""A provider's own words are kept, without whoever they name."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest

from connect.channels.message import Mailbox
from connect.providers.interface import hide
from connect.testing import an_email, an_sms
from connect.testing.messages import a_request

EMAIL = an_email(
    1,
    to=(Mailbox("zoe.quill@private.example", "Zoë Quill"),),
    cc=(Mailbox("boss@acme.example"),),
    subject="Zoë, your  offer",
    text="Dear Zoë,\nyour code is MINT-77.\n",
    headers=(("X-Code", "MINT-78"),),
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 5.1.1 <zoe.quill@private.example>: unknown", "550 5.1.1 <***>: unknown"),
        ("550 ZOE.QUILL@Private.Example unknown", "550 *** unknown"),
        ("user zoe.quill unknown at private.example", "user *** unknown at ***"),
        ("recipient zoe.quill=40private.example", "recipient ***=40private.example"),
        ("blocked for Zoë Quill", "blocked for ***"),
        ("dear Quill, no", "dear ***, no"),
        ('subject "Zoë, your offer" looks like spam', 'subject "***" looks like spam'),
        ("subject Zoë, your offer is spam", "subject *** is spam"),
        ("=?utf-8?b?Wm/DqywgeW91ciBvZmZlcg==?= is spam", "*** is spam"),
        ("see https://spam.example/?who=zoe.quill%40private.example now", "see *** now"),
        ('the words "your code is MINT-77" are spam', "the words *** are spam"),
        ("header MINT-78 is odd", "header *** is odd"),
        ("somebody@else.example bounced", "*** bounced"),
        ("two\r\nlines\tand   spaces", "two lines and spaces"),
        ("quillon is a word, and so is zoes", "quillon is a word, and so is zoes"),
    ],
)
def test_what_names_a_person_is_hidden(said: str, kept: str) -> None:
    assert hide(said, EMAIL) == kept


def test_a_phone_number_is_hidden_however_it_is_written() -> None:
    sms = an_sms(7)
    for written in ("+4915112000007", "4915112000007", "+49 1511 2000007", "49-151-12000007"):
        assert hide(f"to {written}: no route", sms) == "to ***: no route"


def test_long_words_are_cut_after_hiding() -> None:
    detail = hide("x " * 98 + "zoe.quill@private.example", EMAIL)
    assert len(detail) <= 200
    assert "zoe" not in detail


def test_an_empty_subject_or_name_hides_nothing_else() -> None:
    assert hide("all is well", an_email(1, subject="", to=(Mailbox("p@mail.example", ""),))) == "all is well"


@pytest.mark.parametrize("said", ["a\x1b[2Jb", "half \ud800 a character", "a \x00 b", "left \u202e right"])
def test_what_a_terminal_obeys_or_no_ledger_keeps_is_not_passed_on(said: str) -> None:
    assert hide(said, EMAIL).isprintable()
    assert "?" in hide(said, EMAIL)


def test_a_name_with_invisible_characters_is_hidden() -> None:
    couple = an_email(1, to=(Mailbox("p@mail.example", "\U0001f469\u200d\U0001f469 Zoë\u200b"),))
    assert hide("dear Zoë\u200b, no", couple) == "dear ***, no"


PERSON = {"name": "Zoe Quill", "phones": ["+4915112000007", 15112000008], "plan": {"note": "ends soon"}}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no customer Quill", "no customer ***"),
        ("ZOE QUILL: unknown", "***: unknown"),
        ("4915112000007 and 15112000008 are unknown", "*** and *** are unknown"),
        ("note ends soon is too long", "note *** is too long"),
        ("Cannot POST /people/zoe.quill", "Cannot POST /***/***"),
        ("no field plan", "no field plan"),
    ],
)
def test_what_an_endpoint_repeats_of_a_request_is_hidden(said: str, kept: str) -> None:
    body = json.dumps(PERSON).encode()
    assert hide(said, a_request(to="https://acme.example/people/zoe.quill", body=body)) == kept


def test_what_an_endpoint_repeats_of_a_form_is_hidden() -> None:
    assert hide("no customer Quill", a_request(body=urlencode({"name": "Zoe Quill"}).encode())) == "no customer ***"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("spam: your code is MINT-77, not sent", "spam: your code is ***, not sent"),
        ("odd word mint", "odd word ***"),
        ("CODE 77 is in it", "CODE *** is in it"),
        ("recipient zoe.quill%40private.example", "recipient ***%40private.example"),
        ("the code is not known", "the code is not known"),
    ],
)
def test_what_is_repeated_of_a_message_without_quotes_is_hidden(said: str, kept: str) -> None:
    assert hide(said, EMAIL) == kept


def test_what_is_repeated_of_others_in_the_same_call_is_hidden() -> None:
    other = an_email(2, to=(Mailbox("p@mail.example", "Ada Byron"),), text="You owe 731048291 for the engine.")
    said = "template Ada fails: you owe 731048291 for"
    assert hide(said, EMAIL) == said
    assert hide(said, EMAIL, other) == "template *** fails: you *** for"


def test_keys_are_hidden() -> None:
    key, correlation = EMAIL.key.hex(), EMAIL.correlation_id
    said = f"id msg_{key}, header {correlation}, tag {correlation.replace('.', '-')} refused"
    assert hide(said, EMAIL) == f"id msg_***, header ***, tag {correlation[:20].replace('.', '-')}*** refused"


@pytest.mark.parametrize("piece", ["x", "+", "@", "=?", "a:/", "((1", "'a"])
def test_a_page_without_spaces_takes_ten_times_as_long_as_a_tenth_of_it(piece: str) -> None:
    """An error page of a gateway is one long line often, and is looked at for each message of a call."""
    page = (piece * 20_000)[:20_000]
    short, long = (min(_seconds(page[:size], 60_000 // size) for _ in range(3)) for size in (2000, 20_000))
    assert long < 5 * short


def _seconds(page: str, times: int) -> float:
    """Of processor time, for so many pages."""
    began = time.process_time()
    for _ in range(times):
        hide(page, EMAIL)
    return time.process_time() - began
