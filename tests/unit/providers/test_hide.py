"""A provider's own words are kept, without whoever they name."""

from __future__ import annotations

import pytest

from connect.channels.message import Mailbox
from connect.providers.interface import hide
from connect.testing import an_email, an_sms

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
