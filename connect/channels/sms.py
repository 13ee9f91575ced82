"""Rendered strings become a text message, or the reason why they can not."""

from __future__ import annotations

from connect.channels.addresses import phone_number
from connect.channels.email import Bad
from connect.channels.headers import unsafe
from connect.channels.message import Sms
from connect.vocabulary import Reason

MAX_CHARACTERS = 1600
"""Ten segments or so; providers take no more in one message."""


def build_sms(to: str, body: str, sender: str) -> Sms | Bad:
    """The text message for these parts. `to` is exactly one number; `sender` a number, a name or blank."""
    number = phone_number(to)
    if number is None:
        return Bad(_why_not(to), "to")
    if unsafe(sender.strip()):
        return Bad(Reason.invalid_header, "from")
    text = body.replace("\r\n", "\n").replace("\r", "\n").strip()
    if len(text) > MAX_CHARACTERS:
        return Bad(Reason.content_too_large, "body")
    return Sms(number, text, sender.strip())


def _why_not(to: str) -> Reason:
    """Why this is not one number: blank, several, or a bad one."""
    items = [item for item in to.replace(";", ",").split(",") if item.strip()]
    if not items:
        return Reason.no_address
    return Reason.too_many_recipients if len(items) > 1 and all(map(phone_number, items)) else Reason.invalid_phone
