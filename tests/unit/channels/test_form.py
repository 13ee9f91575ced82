"""A form gives what `build_email` gives, whichever fields are the same for everybody."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connect.channels.email import Bad, EmailForm, EmailParts, UnsubscribeHeaders, build_email
from connect.channels.form import FIELDS
from connect.channels.message import Attachment, Email, Mailbox
from connect.channels.mime import encode
from connect.identity import correlation_id
from connect.vocabulary import Reason

steady = settings(max_examples=150, deadline=None)
KEY = bytes(range(16))
CORRELATION = correlation_id("0123456789abcdef", KEY)
UNSUBSCRIBE = UnsubscribeHeaders("https://acme.example/u/abc", "stop@acme.example")
PARTS = EmailParts("Acme <hello@acme.example>", "Jo <jo@people.example>", "Hello", html="<p>Hi", text="Hi")

words = st.text(max_size=40) | st.sampled_from(
    ["", " ", "Grüße 👋", "日本語", "x\ny", "a" * 1100, "\ud800", "=?utf-8?q?x?="]
)
senders = st.sampled_from(["Acme <hello@acme.example>", "x@münchen.example", '"A, B" <a@b.example>', "", "bad", "a\nb"])
lists = st.sampled_from(["", "a@b.example", "A <a@b.example>, b@c.example", "bad", " ", "a@b.example," * 30])
files = st.builds(Attachment, words, st.sampled_from(["text/csv", "application/pdf", "bad"]), st.binary(max_size=200))
parts = st.builds(
    EmailParts,
    sender=senders,
    to=senders,
    subject=words,
    html=st.none() | words | words.map(lambda text: f"<html><body class=x>{text}</body>"),
    text=st.none() | words,
    cc=lists,
    bcc=lists,
    reply_to=lists,
    preheader=words,
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "X-B", "Bcc"]), words), max_size=2).map(tuple),
    attachments=st.lists(files, max_size=2).map(tuple),
)


def direct(whole: EmailParts) -> Email | Bad:
    return build_email(whole, message_key=KEY, correlation_id=CORRELATION, unsubscribe=UNSUBSCRIBE)


def filled(form: EmailForm, whole: EmailParts) -> Email | Bad:
    return form.build(whole, message_key=KEY, correlation_id=CORRELATION, unsubscribe=UNSUBSCRIBE)


@steady
@given(parts, parts, st.frozensets(st.sampled_from(sorted(FIELDS))))
@example(PARTS, replace(PARTS, html=None, text=None), frozenset({"html"}))
@example(replace(PARTS, text=None), PARTS, frozenset({"preheader"}))
def test_a_form_builds_what_its_parts_build(constant: EmailParts, person: EmailParts, varies: frozenset[str]) -> None:
    form = EmailForm(constant, varies)
    for whole in (constant, person):
        whole = replace(constant, **{name: getattr(whole, name) for name in varies})
        expected = direct(whole)
        given_others = replace(person, **{name: getattr(whole, name) for name in varies})

        found = filled(form, given_others)

        assert found == expected
        if isinstance(found, Email) and isinstance(expected, Email):
            plain = replace(expected)
            assert plain.prepared is None
            for eight_bit in (False, True):
                assert encode(found, eight_bit=eight_bit) == encode(plain, eight_bit=eight_bit)
                assert encode(expected, eight_bit=eight_bit) == encode(plain, eight_bit=eight_bit)


pages = st.sampled_from(
    ["", "https://acme.example/u/abc", "HTTPS://a.example/x=?y", "http://a.example/?t=" + "x" * 700]
) | st.integers(0, 20).map(lambda count: "https://a.example/" + "x" * count)
mailtos = st.sampled_from(
    ["", "stop@acme.example", "stop@acme.example?subject=a =?b", "stop@a.example?body=" + "x" * 890]
)
identities = st.sampled_from([CORRELATION, "a", "a b", "=?utf-8?q?x?=", "x" * 300, "é"])


@steady
@given(pages, mailtos, identities, st.sampled_from([PARTS, replace(PARTS, headers=(("X-A", "b"),))]))
@example("https://a.example/" + "x" * 10, "stop@acme.example", CORRELATION, PARTS)  # one line…
@example("https://a.example/" + "x" * 11, "stop@acme.example", CORRELATION, PARTS)  # …and two
def test_what_is_folded_early_is_as_if_folded_late(page: str, mailto: str, identity: str, whole: EmailParts) -> None:
    unsubscribe = UnsubscribeHeaders(page or None, mailto or None)
    for varies in (frozenset({"to"}), frozenset({"headers", "sender"})):
        form = EmailForm(whole, varies)
        email = form.build(whole, message_key=KEY, correlation_id=identity, unsubscribe=unsubscribe)
        assert isinstance(email, Email)

        assert encode(email) == encode(replace(email))


def test_what_does_not_vary_is_not_read() -> None:
    form = EmailForm(PARTS, frozenset({"to"}))

    found = filled(form, EmailParts("nobody", "al@people.example", "x\ny", html="<p>other"))

    assert found == direct(replace(PARTS, to="al@people.example"))


def test_a_constant_field_that_is_bad_is_told_every_time() -> None:
    form = EmailForm(replace(PARTS, subject="x\ny"), frozenset({"to"}))

    assert [filled(form, PARTS), filled(form, PARTS)] == [Bad(Reason.invalid_header, "subject")] * 2


def test_a_recipient_that_was_checked_is_taken_as_it_is() -> None:
    assert direct(replace(PARTS, to=Mailbox("jo@people.example", "Jo"))) == direct(PARTS)


def test_an_e_mail_with_other_fields_has_other_bytes() -> None:
    email = filled(EmailForm(PARTS, frozenset({"to"})), PARTS)
    assert isinstance(email, Email)

    other = replace(email, subject="Other", html="<p>Other", sender=Mailbox("x@y.example"))

    assert b"Subject: Other" in encode(other)
    assert b"<p>Other" in encode(other)
    assert b"From: x@y.example" in encode(other)


def test_forms_and_e_mails_can_be_pickled() -> None:
    form = EmailForm(PARTS, frozenset({"to", "html"}))
    email = filled(form, PARTS)
    assert isinstance(email, Email)

    again = filled(pickle.loads(pickle.dumps(form)), PARTS)
    copy = pickle.loads(pickle.dumps(email))

    assert again == email == copy
    assert isinstance(again, Email)
    assert encode(again) == encode(email) == encode(copy)
    assert "prepared" not in repr(email)


@pytest.mark.parametrize("varies", [frozenset(), frozenset({"attachments"})])
def test_attachments_are_in_every_e_mail(varies: frozenset[str]) -> None:
    file = Attachment("a.bin", "application/octet-stream", bytes(range(256)) * 600)
    form = EmailForm(replace(PARTS, attachments=(file,)), varies)
    person = replace(PARTS, attachments=(file,))

    first, second = filled(form, person), filled(form, person)

    assert isinstance(first, Email)
    assert isinstance(second, Email)
    assert encode(first) == encode(second) == encode(replace(first))
