"""An e-mail from rendered strings: what is refused, and what can not be injected."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.channels.email import (
    MAX_BYTES,
    MAX_RECIPIENTS,
    Bad,
    EmailParts,
    UnsubscribeHeaders,
    build_email,
    header_problem,
)
from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import encode
from connect.identity import correlation_id
from connect.vocabulary import Reason

KEY = bytes(range(16))
CORRELATION = correlation_id("0123456789abcdef", KEY)
PARTS = EmailParts("Acme <hello@acme.example>", "jo@people.example", "Hello", html="<p>Hi", text="Hi")


def build(parts: EmailParts, unsubscribe: UnsubscribeHeaders | None = None) -> Email | Bad:
    return build_email(parts, message_key=KEY, correlation_id=CORRELATION, unsubscribe=unsubscribe)


def built(parts: EmailParts, unsubscribe: UnsubscribeHeaders | None = None) -> Email:
    email = build(parts, unsubscribe)
    assert isinstance(email, Email)
    return email


def test_a_whole_e_mail() -> None:
    pdf = Attachment("a.pdf", "application/pdf", b"x")
    email = built(
        EmailParts(
            sender='"Acme, Inc." <hello@acme.example>',
            to="Zoë <zoe@people.example>",
            subject=" Hello \n",
            html="<p>Hi</p>\r\n",
            text="Hi\r\nthere",
            cc="a@people.example, B <b@people.example>",
            bcc="c@people.example",
            reply_to="help@acme.example",
            headers=(("X-Campaign", "trial"),),
            attachments=(pdf,),
        )
    )

    assert email == Email(
        sender=Mailbox("hello@acme.example", "Acme, Inc."),
        to=(Mailbox("zoe@people.example", "Zoë"),),
        subject="Hello",
        message_id=f"{CORRELATION}@acme.example",
        text="Hi\nthere",
        html="<p>Hi</p>\n",
        cc=(Mailbox("a@people.example"), Mailbox("b@people.example", "B")),
        bcc=(Mailbox("c@people.example"),),
        reply_to=(Mailbox("help@acme.example"),),
        headers=(("X-Campaign", "trial"), ("X-Connect-ID", CORRELATION)),
        attachments=(pdf,),
    )


def test_the_same_parts_give_the_same_bytes() -> None:
    assert encode(built(PARTS)) == encode(built(PARTS))


@pytest.mark.parametrize(
    ("field", "value", "reason", "blamed"),
    [
        ("to", "", Reason.no_address, "to"),
        ("to", " \n", Reason.no_address, "to"),
        ("to", "nobody", Reason.invalid_email, "to"),
        ("to", "a@people.example, b@people.example", Reason.too_many_recipients, "to"),
        ("to", "Jo <x@evil.example>, <jo@people.example>", Reason.too_many_recipients, "to"),
        ("to", "jo@people.example\r\nBcc: x@evil.example", Reason.invalid_header, "to"),
        ("sender", "", Reason.invalid_email, "from"),
        ("sender", "Acme", Reason.invalid_email, "from"),
        ("sender", "Ac\nme <hello@acme.example>", Reason.invalid_header, "from"),
        ("cc", "a@people.example, nobody", Reason.invalid_email, "cc"),
        ("bcc", "nobody", Reason.invalid_email, "bcc"),
        ("reply_to", "nobody", Reason.invalid_email, "reply_to"),
        ("cc", "a@people.example," * 50, Reason.too_many_recipients, "cc"),
        ("bcc", "a@people.example," * 1000, Reason.too_many_recipients, "bcc"),
        ("subject", "Hello\r\nBcc: x@evil.example", Reason.invalid_header, "subject"),
        ("subject", "Hello\nthere", Reason.invalid_header, "subject"),
        ("subject", "Hello\x00there", Reason.invalid_header, "subject"),
        ("subject", "Hello\ud800there", Reason.invalid_header, "subject"),
        ("preheader", "Hello\nthere", Reason.invalid_header, "preheader"),
        ("headers", (("X-A", "x\r\nBcc: x@evil.example"),), Reason.invalid_header, "headers"),
        ("headers", (("X-A: b\r\nBcc", "x@evil.example"),), Reason.invalid_header, "headers"),
        ("headers", (("Bcc", "x@evil.example"),), Reason.invalid_header, "headers"),
        ("attachments", (Attachment("a\nb", "text/csv", b""),), Reason.invalid_header, "attachments"),
        ("attachments", (Attachment("", "text/csv", b""),), Reason.invalid_header, "attachments"),
        ("attachments", (Attachment("a", "text/csv\r\nX: y", b""),), Reason.invalid_header, "attachments"),
        ("attachments", (Attachment("a", "text/csv", bytes(MAX_BYTES)),), Reason.content_too_large, "attachments"),
        ("text", "a" * MAX_BYTES, Reason.content_too_large, "html"),
        ("html", "é" * (MAX_BYTES // 2), Reason.content_too_large, "html"),
    ],
)
def test_why_there_is_no_e_mail(field: str, value: object, reason: Reason, blamed: str) -> None:
    assert build(replace(PARTS, **{field: value})) == Bad(reason, blamed)


def test_as_many_recipients_as_a_provider_takes() -> None:
    most = replace(PARTS, cc="a@people.example," * 20, bcc="b@people.example," * (MAX_RECIPIENTS - 21))

    assert isinstance(build(most), Email)
    assert build(replace(most, cc=most.cc + "c@people.example")) == Bad(Reason.too_many_recipients, "cc")


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab@.,;:<>\"'()\\\r\n \x85\u2028é") | st.characters()))
def test_data_adds_no_header_and_no_recipient(value: str) -> None:
    parts = EmailParts(
        f"{value} <hello@acme.example>", f'"{value}" <jo@people.example>', value, text=value, headers=(("X-A", value),)
    )
    email = build(parts)
    if isinstance(email, Bad):
        return

    message = message_from_bytes(encode(email), policy=policy.default)

    assert message.keys() == [
        *("From", "To", "Subject", "Message-ID", "X-A", "X-Connect-ID"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    ]
    assert [address.addr_spec for address in message["To"].addresses] == ["jo@people.example"]
    assert [address.addr_spec for address in message["From"].addresses] == ["hello@acme.example"]


def test_a_name_can_not_replace_the_address_it_stands_before() -> None:
    sneaky = 'x" <x@evil.example>, "y'

    assert build(replace(PARTS, to=f'"{sneaky}" <jo@people.example>')) == Bad(Reason.too_many_recipients, "to")


def test_a_bad_value_is_in_no_refusal() -> None:
    assert "evil" not in repr(build(replace(PARTS, headers=(("X-A: b\r\nBcc", "x@evil.example"),))))


def test_text_is_made_from_html_with_its_links() -> None:
    parts = replace(PARTS, text=None, html='<p>Buy <a href="https://acme.example/">socks</a></p>', preheader="Psst")

    assert built(parts).text == "Buy socks <https://acme.example/>\n"
    assert built(replace(parts, text="")).text == ""
    assert built(replace(parts, html=None, text="Hi")).html is None


def test_the_message_id_takes_the_senders_domain_in_ascii() -> None:
    assert built(replace(PARTS, sender="x@münchen.example")).message_id == f"{CORRELATION}@xn--mnchen-3ya.example"


HIDDEN_FIRST = "<div style="


@pytest.mark.parametrize(
    ("page", "before"),
    [
        ("<p>Hi", ""),
        ('<html><BODY class="a>b">\n<p>Hi', '<html><BODY class="a>b">'),
        ("<!--[if mso]><body class=x><![endif]--><body><p>", "<!--[if mso]><body class=x><![endif]--><body>"),
        ("<!doctype html><html><head></head><p>Hi", "<!doctype html><html><head></head>"),
        ("<!DOCTYPE html><p>Hi", "<!DOCTYPE html>"),
        ("<bodyguard>Hi", ""),
    ],
)
def test_the_preheader_is_hidden_at_the_start_of_the_body(page: str, before: str) -> None:
    email = built(replace(PARTS, html=page, preheader="3 < 4 & more"))

    assert email.html is not None
    assert email.html.startswith(before + HIDDEN_FIRST)
    assert email.html.endswith(page[len(before) :])
    assert ">3 &lt; 4 &amp; more&zwnj;" in email.html
    assert "display:none" in email.html


def test_without_a_preheader_the_page_is_as_it_was() -> None:
    assert built(PARTS).html == PARTS.html


@pytest.mark.parametrize(
    ("url", "mailto", "headers"),
    [
        (None, None, ()),
        (
            "https://acme.example/u?t=abc",
            None,
            (
                ("List-Unsubscribe", "<https://acme.example/u?t=abc>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ),
        ),
        (
            "https://acme.example/u?t=?é x",
            "stop@acme.example?subject=stop it",
            (
                (
                    "List-Unsubscribe",
                    "<https://acme.example/u?t=%3F%C3%A9%20x>, <mailto:stop@acme.example?subject=stop%20it>",
                ),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ),
        ),
        (None, "mailto:stop@acme.example", (("List-Unsubscribe", "<mailto:stop@acme.example>"),)),
        ("http://localhost/u", None, (("List-Unsubscribe", "<http://localhost/u>"),)),
    ],
)
def test_one_click_only_where_there_is_an_https_page(
    url: str | None, mailto: str | None, headers: tuple[tuple[str, str], ...]
) -> None:
    email = built(PARTS, UnsubscribeHeaders(url, mailto))

    assert email.headers == (*headers, ("X-Connect-ID", CORRELATION))
    message = message_from_bytes(encode(email), policy=policy.default)
    assert [(name, message[name]) for name, _ in headers] == list(headers)


@pytest.mark.parametrize(
    "unsubscribe",
    [
        UnsubscribeHeaders("https://acme.example/u\r\nBcc: x@evil.example", None),
        UnsubscribeHeaders("javascript:alert(1)", None),
        UnsubscribeHeaders("https://", None),
        UnsubscribeHeaders("https://[x", None),
        UnsubscribeHeaders("https://acme.example/" + "a" * 900, None),
        UnsubscribeHeaders(None, "nobody"),
        UnsubscribeHeaders(None, "stop@acme.example>, <https://evil.example"),
    ],
)
def test_an_unsubscribe_target_that_is_refused(unsubscribe: UnsubscribeHeaders) -> None:
    assert build(PARTS, unsubscribe) == Bad(Reason.invalid_header, "unsubscribe")


def test_a_url_can_not_close_its_brackets() -> None:
    email = built(PARTS, UnsubscribeHeaders("https://acme.example/>, <https://evil.example/", None))

    assert dict(email.headers)["List-Unsubscribe"] == "<https://acme.example/%3E,%20%3Chttps://evil.example/>"


@pytest.mark.parametrize("name", ["X-Campaign", "x-a", "Feedback-ID", "Precedence", "Auto-Submitted", "List-ID"])
def test_a_header_that_a_content_may_have(name: str) -> None:
    assert header_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("From", "to", "CC", "Bcc", "Subject", "Reply-To", "Message-ID", "Date", "MIME-Version", "Sender"),
        *("Content-Type", "Content-Disposition", "List-Unsubscribe", "list-unsubscribe-post", "DKIM-Signature"),
        *("Return-Path", "Received", "Resent-To", "X-Connect-ID", "", "X A", "X:A", "Ü", "X\r\nBcc", "X\n", "a" * 71),
    ],
)
def test_a_header_that_a_content_may_not_have(name: str) -> None:
    assert header_problem(name)


def test_a_header_with_a_field_of_its_own_is_told_which() -> None:
    assert "`reply_to`" in str(header_problem("Reply-To"))
