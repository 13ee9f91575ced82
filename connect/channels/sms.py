"""Rendered strings become a text message, or the reason why they can not."""

from __future__ import annotations

from connect.channels.email import Bad
from connect.channels.fields import mended
from connect.channels.headers import unsafe
from connect.channels.message import Sms
from connect.channels.segments import segments
from connect.vocabulary import Reason

MAX_CHARACTERS = 1600
"""Ten segments or so; providers take no more in one message."""


def build_sms(number: str, body: str, sender: str, max_segments: int | None = None) -> Sms | Bad:
    """The text message for these parts. `number` was checked (`addresses.phone_number`); `sender` may be blank."""
    if unsafe(sender.strip()):
        return Bad(Reason.invalid_header, "from")
    text = mended(body)[0].strip()
    if len(text) > MAX_CHARACTERS:
        return Bad(Reason.content_too_large, "body")
    parts = segments(text)
    if max_segments is not None and parts > max_segments:
        return Bad(Reason.too_many_segments, "body")
    return Sms(number, text, sender.strip(), parts)
