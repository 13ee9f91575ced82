"""The letter as bytes for the wire: Connect's encoder against the standard library's EmailMessage, rendered before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from benchmarks import guests, straightforward
from benchmarks.rows import Row
from benchmarks.sizes import Size
from benchmarks.stopwatch import rates
from connect.channels import mime
from connect.channels.form import EmailForm
from connect.channels.message import Email
from connect.channels.parts import EmailParts, UnsubscribeHeaders

_NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_SENDER = ("Café Meridian", "letters@meridian.example")
_FROM = "Café Meridian <letters@meridian.example>"
_ENCODINGS = {"8bit": "english", "base64": "greek", "quoted-printable": "english"}
"""Content-Transfer-Encoding → the letter that it suits."""


def rows(size: Size) -> Iterator[Row]:
    """For each encoding, with the subject, names, links and identifiers that every message has of its own."""
    for encoding, language in _ENCODINGS.items():
        people = rendered(language, 50)
        name = f"mime_{encoding.partition('-')[0]}"
        found = rates(
            {
                "EmailMessage": _everybody(people, lambda parts, at, cte=encoding: standard(parts, at, cte)),  # type: ignore[misc]
                "connect": _everybody(people, connects(encoding == "8bit")),
            },
            size,
        )
        base = found["EmailMessage"]
        yield Row(f"{name}_email_message", base, "messages/s of CPU")
        yield Row(name, found["connect"], "messages/s of CPU", f"{name}_email_message", found["connect"] / base)


def rendered(language: str, count: int) -> list[EmailParts]:
    """The letter for some guests, before it is put together."""
    letter = straightforward.Letter(language)
    return [_parts(letter, guest) for guest in guests.some(count)]


def _parts(letter: straightforward.Letter, guest: straightforward.Guest) -> EmailParts:
    scope = {"user": guest, "url": {"unsubscribe_link": straightforward.unsubscribe_link(guest)}}
    return EmailParts(
        sender=_FROM,
        to=str(guest["email"]),
        subject=letter.subject.render(**scope),
        html=letter.html.render(**scope),
        text=letter.text.render(**scope),
    )


Build = Callable[[EmailParts, int], bytes]


def _everybody(people: list[EmailParts], build: Build) -> Callable[[], int]:
    def work() -> int:
        for index, parts in enumerate(people):
            build(parts, index)
        return len(people)

    return work


def standard(parts: EmailParts, index: int, encoding: str) -> bytes:
    """With the standard library, as its documentation does it."""
    message = EmailMessage()
    message["From"] = formataddr(_SENDER)
    message["To"] = parts.to
    message["Subject"] = parts.subject
    message["Date"] = format_datetime(_NOW)
    message["Message-ID"] = f"<{index:032x}@meridian.example>"
    message["List-Unsubscribe"] = f"<https://meridian.example/off?t={index:064x}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(parts.text, cte=encoding)
    message.add_alternative(parts.html, subtype="html", cte=encoding)
    return message.as_bytes(policy=SMTP)


def connects(eight_bit: bool) -> Build:
    """As a run does it: put together, checked, encoded, with what is the same for everybody done once."""
    form = _form()

    def build(parts: EmailParts, index: int) -> bytes:
        return mime.encode(_filled(form, parts, index), date=_NOW, eight_bit=eight_bit)

    return build


def emails(people: list[EmailParts]) -> list[Email]:
    """The letter for these guests, ready for a provider."""
    form = _form()
    return [_filled(form, parts, index) for index, parts in enumerate(people)]


def _form() -> EmailForm:
    return EmailForm(EmailParts(sender=_FROM, to="", subject=""), frozenset({"to", "subject", "html", "text"}))


def _filled(form: EmailForm, parts: EmailParts, index: int) -> Email:
    unsubscribe = UnsubscribeHeaders(f"https://meridian.example/off?t={index:064x}", None)
    made = form.build(parts, message_key=index.to_bytes(16), correlation_id=f"{index:032x}", unsubscribe=unsubscribe)
    assert isinstance(made, Email)
    return made
