"""Which text is an address, and the form it takes."""

from __future__ import annotations

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.addresses import _listed, _plain_address, email_address, mailboxes, normal, phone_number
from connect.channels.message import Mailbox
from connect.vocabulary import Channel

steady = settings(max_examples=100, deadline=None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jo@acme.example", "jo@acme.example"),
        ("  jo@acme.example\n", "jo@acme.example"),
        ("Jo.O'Neil+news@Acme.EXAMPLE", "Jo.O'Neil+news@acme.example"),
        ("INFO@acme.example", "info@acme.example"),
        ("jo@münchen.example", "jo@xn--mnchen-3ya.example"),
        ("josé@münchen.example", "josé@xn--mnchen-3ya.example"),
    ],
)
def test_an_address_in_the_form_smtp_wants(text: str, address: str) -> None:
    assert email_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jo",
        "jo@",
        "@acme.example",
        "jo@acme",
        "jo..jo@acme.example",
        ".jo@acme.example",
        "jo@acme..example",
        "jo@-acme.example",
        "jo@ab--cd.example",
        "jo@acme.example, al@acme.example",
        "Jo <jo@acme.example>",
        "jo@acme.example\nBcc: al@acme.example",
        "jo\x00@acme.example",
        "jo@[127.0.0.1]",
        '"jo"@acme.example',
        "jo@localhost",
        "jo@acme.test",
        "jo@" + "a" * 64 + ".example",
        "a" * 250 + "@acme.example",
        "jo@acme.example" * 100_000,
    ],
)
def test_text_that_is_no_address(text: str) -> None:
    assert email_address(text) is None


def library(text: str) -> str | None:
    try:
        found = validate_email(text, check_deliverability=False, allow_smtputf8=True)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


nearly_plain = st.from_regex(r"[A-Za-z0-9._+\-]{1,70}@[A-Za-z0-9.\-]{1,70}\.[A-Za-z]{1,26}", fullmatch=True)
roles_and_special = st.builds(
    "{}@{}.{}".format,
    st.sampled_from(["info", "Abuse", "WWW", "jo", "jo.info", "x" * 200]),
    st.sampled_from(["acme", "a-b", "a--b", "xn--mnchen-3ya", "xn--zzzz", "aa--b", "x" * 63, "x" * 64, "a" * 60]),
    st.sampled_from(["example", "com", "c0m", "co.uk", *SPECIAL_USE_DOMAIN_NAMES]),
)


@steady
@given(nearly_plain | roles_and_special | st.emails() | st.text())
@example("a" * 241 + "@acme.example")
@example("a" * 242 + "@acme.example")
def test_the_fast_path_accepts_only_what_the_library_returns(text: str) -> None:
    fast = _plain_address(text)

    assert fast is None or fast == library(text)


odd_addresses = st.sampled_from(
    ["jo@acme.example", '"jo x"@acme.example', "jo@acme.example.", "jo@münchen.example", "jo@a-.example", "", " "]
)


@steady
@given(
    st.sampled_from(["", "Jo", "Jo  Smith", "Jo\tS", "O'Neil", '"A, B"', "Zoë", "a:b", "\xa0", "x\\", "(c)", "\u200b"]),
    st.sampled_from([" ", "", "  ", "\t", "\xa0"]),
    st.sampled_from(["{}", "<{}>", "<{}> ", "< {}>", "<{}", "{}>", "<<{}>>", "<{}>, <{}>"]),
    odd_addresses | nearly_plain | roles_and_special | st.emails(),
)
def test_a_plain_mailbox_is_what_a_closer_look_finds(name: str, space: str, frame: str, address: str) -> None:
    text = name + space + frame.replace("{}", address)

    assert mailboxes(text) == _listed(text.strip())


def test_the_fast_path_is_taken_for_ordinary_addresses() -> None:
    for text in ("jo@acme.example", "jo.smith+news_1@mail.ac-me.co.uk", "A@B.com"):
        assert _plain_address(text) is not None


@steady
@given(st.emails() | roles_and_special)
def test_an_address_is_its_own_address(text: str) -> None:
    once = email_address(text)

    assert once is None or email_address(once) == once


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+61412345678", "+61412345678"),
        (" +61 412 345 678 ", "+61412345678"),
        ("+61\u00a0412\u2011345\u2013678", "+61412345678"),
        ("+61 (0) 412-345-678", "+61412345678"),
        ("+1 (202) 456-1111", "+12024561111"),
        ("+44.20.7031.3000", "+442070313000"),
    ],
)
def test_a_number_as_e164(text: str, number: str) -> None:
    assert phone_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0412345678",
        "61412345678",
        "+61",
        "+999123456789",
        "+61412345",
        "+1 800 FLOWERS",
        "+1 202 456 1111 ext 5",
        "+61412345678, +61412345679",
        "+61412345678\x00",
        "+" + "6" * 100_000,
        "+٦١٤١٢٣٤٥٦٧٨",
    ],
)
def test_text_that_is_no_number(text: str) -> None:
    assert phone_number(text) is None


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("", ()),
        (" \n", ()),
        (" , ,", ()),
        ("jo@acme.example", (Mailbox("jo@acme.example"),)),
        ("<jo@acme.example>", (Mailbox("jo@acme.example"),)),
        ("Acme <hello@acme.example>", (Mailbox("hello@acme.example", "Acme"),)),
        ("Zoë Müller<z@acme.example>", (Mailbox("z@acme.example", "Zoë Müller"),)),
        ("Dr. Jo O'Neil <jo@acme.example>", (Mailbox("jo@acme.example", "Dr. Jo O'Neil"),)),
        ('"Smith, Jo" <jo@acme.example>', (Mailbox("jo@acme.example", "Smith, Jo"),)),
        (r'"Jo \"J\" <x> \\" <jo@acme.example>', (Mailbox("jo@acme.example", 'Jo "J" <x> \\'),)),
        ("a@b.example, C <c@d.example>,", (Mailbox("a@b.example"), Mailbox("c@d.example", "C"))),
        ("山田 <y@acme.example>,\t山田 <z@acme.example>", None),
    ],
)
def test_a_list_of_mailboxes(text: str, boxes: tuple[Mailbox, ...] | None) -> None:
    assert mailboxes(text) == boxes


@pytest.mark.parametrize(
    "text",
    [
        "Acme",
        "Acme, Inc. <hello@acme.example>",
        "Acme (Sydney) <hello@acme.example>",
        "jo@acme.example (Jo)",
        "Friends: a@b.example, c@d.example;",
        "a@b.example; c@d.example",
        "a@b.example c@d.example",
        "Acme <a@b.example> <c@d.example>",
        "Acme <a@b.example",
        '"Acme <a@b.example>',
        'Acme "x" <a@b.example>',
        "al@acme.example <jo@acme.example>",
        "Acme <a@b.example>\r\nBcc: c@d.example",
        "Ac\nme <a@b.example>",
        "good@acme.example, bad",
        '"' * 50_000,
        "<" * 50_000,
    ],
)
def test_a_list_that_is_refused(text: str) -> None:
    assert mailboxes(text) is None


names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)


@steady
@given(st.lists(names, max_size=4))
def test_quoted_names_are_read_back_whatever_they_hold(written: list[str]) -> None:
    quoted = ['"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in written]

    found = mailboxes(", ".join(f"{name} <p{n}@acme.example>" for n, name in enumerate(quoted)))

    assert found == tuple(Mailbox(f"p{n}@acme.example", " ".join(name.split())) for n, name in enumerate(written))


@steady
@given(st.text())
def test_whatever_the_text_is_it_is_a_list_or_none(text: str) -> None:
    found = mailboxes(text)

    assert found is None or all(email_address(box.address) == box.address for box in found)


def test_one_identity_however_it_was_typed() -> None:
    assert normal(Channel.email, " Jo@Acme.example ") == normal(Channel.email, "jo@acme.EXAMPLE") == "jo@acme.example"
    assert normal(Channel.sms, "+61 412 345 678") == normal(Channel.sms, "+61412345678") == "+61412345678"
    assert normal(Channel.sms, " no number ") == "no number"
    assert normal(Channel.push, " Token ") == "Token"
