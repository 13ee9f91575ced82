"""Who is written to: each gate is a small pure function that lets a delivery pass (None) or ends it with a reason."""

from __future__ import annotations

from connect.channels.addresses import email_address, phone_number
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Mode, Outcome, Reason

# The flags of the wrapped query (connect.warehouses.wrapping).
_OPTED_OUT = {
    1: Ended(Outcome.skipped, Reason.unsubscribed),
    2: Ended(Outcome.skipped, Reason.bounced),
    3: Ended(Outcome.skipped, Reason.complained),
}
_INVALID = {Channel.email: Reason.invalid_email, Channel.sms: Reason.invalid_phone}
_CHECK = {Channel.email: email_address, Channel.sms: phone_number}

NO_ADDRESS = Ended(Outcome.skipped, Reason.no_address)
REACHED_ELSEWHERE = Ended(Outcome.skipped, Reason.reached_elsewhere)
DUPLICATE = Ended(Outcome.skipped, Reason.duplicate)
MISSING_KEY = Ended(Outcome.refused, Reason.missing_key)
NOT_IN_THIS_MODE = Ended(Outcome.skipped, Reason.mode)


def opted_out(flag: int) -> Ended | None:
    """Whether the person opted out of this channel, bounced for good, or complained."""
    return _OPTED_OUT.get(flag)


def address(channel: Channel, rendered: str) -> str | Ended:
    """The checked address of a delivery, or why there is none."""
    if not rendered.strip():
        return NO_ADDRESS
    checked = _CHECK[channel](rendered)
    return checked if checked is not None else Ended(Outcome.refused, _INVALID[channel])


class ModeGate:
    """Live lets everything pass; test lets one copy per run and channel pass; offline nothing."""

    def __init__(self, mode: Mode, already: set[Channel]) -> None:
        self._mode = mode
        self._copied = already

    def __call__(self, channel: Channel) -> Ended | None:
        if self._mode is Mode.live:
            return None
        if self._mode is Mode.test and channel not in self._copied:
            self._copied.add(channel)
            return None
        return NOT_IN_THIS_MODE
