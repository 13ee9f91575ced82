"""Who is written to: each gate is a small pure function that lets a delivery pass (None) or ends it with a reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from connect.channels.addresses import email_address, mailboxes, phone_number
from connect.channels.http import http_url
from connect.channels.message import Mailbox
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Mode, Outcome, Reason
from connect.warehouses.history import ALREADY_SENT, CAPPED, MET

# The flags of the wrapped query (connect.warehouses.wrapping).
_OPTED_OUT = {
    1: Ended(Outcome.skipped, Reason.unsubscribed),
    2: Ended(Outcome.skipped, Reason.bounced),
    3: Ended(Outcome.skipped, Reason.complained),
}
_HEARD_BEFORE = {
    ALREADY_SENT: Ended(Outcome.skipped, Reason.already_sent),
    CAPPED: Ended(Outcome.skipped, Reason.capped),
}
NO_ADDRESS = Ended(Outcome.skipped, Reason.no_address)
REACHED_ELSEWHERE = Ended(Outcome.skipped, Reason.reached_elsewhere)
DUPLICATE = Ended(Outcome.skipped, Reason.duplicate)
MISSING_KEY = Ended(Outcome.refused, Reason.missing_key)
INVALID_DEVICE = Ended(Outcome.refused, Reason.invalid_device)
NO_PROVIDER = Ended(Outcome.refused, Reason.no_provider)
NOT_IN_THIS_MODE = Ended(Outcome.skipped, Reason.mode)


def opted_out(flag: int) -> Ended | None:
    """Whether the person opted out of this channel, bounced for good, or complained."""
    return _OPTED_OUT.get(flag)


def heard_before(flags: int, channels: Iterable[Channel]) -> Ended | None:
    """Whether the person has had this message, or as many as they may have, or was met on one of these channels."""
    if not flags:
        return None
    if any(flags & MET[channel] for channel in channels):
        return _HEARD_BEFORE[ALREADY_SENT]
    return _HEARD_BEFORE.get(flags % min(MET.values()))


def address(channel: Channel, rendered: str) -> Mailbox | str | Ended:
    """The checked address of a delivery, or why there is none: a mailbox, a number, or the URL of a request."""
    if not rendered.strip():
        return NO_ADDRESS
    return _CHECK[channel](rendered)


def _email(rendered: str) -> Mailbox | Ended:
    """Exactly one mailbox, with or without a name."""
    plain = email_address(rendered)
    if plain is not None:
        return Mailbox(plain)
    found = mailboxes(rendered)
    if not found:
        return Ended(Outcome.refused, Reason.invalid_email)
    return found[0] if len(found) == 1 else Ended(Outcome.refused, Reason.too_many_recipients)


def _phone(rendered: str) -> str | Ended:
    """Exactly one number."""
    number = phone_number(rendered)
    if number is not None:
        return number
    several = [part for part in rendered.replace(";", ",").split(",") if part.strip()]
    too_many = len(several) > 1 and all(phone_number(part) for part in several)
    return Ended(Outcome.refused, Reason.too_many_recipients if too_many else Reason.invalid_phone)


def _url(rendered: str) -> str | Ended:
    return http_url(rendered) or Ended(Outcome.refused, Reason.invalid_url)


_CHECK: dict[Channel, Callable[[str], Mailbox | str | Ended]] = {
    Channel.email: _email,
    Channel.sms: _phone,
    Channel.http: _url,
}


class ModeGate:
    """Live lets everything pass; test one copy per run and channel that has a test recipient; offline nothing."""

    def __init__(self, mode: Mode, test_channels: Collection[Channel], copied: Collection[Channel]) -> None:
        self._mode = mode
        self._to_copy = set(test_channels) - set(copied)

    def __call__(self, channel: Channel) -> Ended | None:
        if self._mode is Mode.live:
            return None
        if self._mode is Mode.test and channel in self._to_copy:
            self._to_copy.remove(channel)
            return None
        return NOT_IN_THIS_MODE
