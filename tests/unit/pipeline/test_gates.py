"""Who is written to, gate by gate."""

from __future__ import annotations

import pytest

from connect.channels.message import Mailbox
from connect.pipeline import gates
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Mode, Outcome, Reason
from connect.warehouses.history import ALREADY_SENT, CAPPED, MET

EMAIL, SMS = Channel.email, Channel.sms


@pytest.mark.parametrize(
    ("flag", "reason"), [(0, None), (1, Reason.unsubscribed), (2, Reason.bounced), (3, Reason.complained)]
)
def test_opt_outs(flag, reason):
    assert gates.opted_out(flag) == (Ended(Outcome.skipped, reason) if reason else None)


@pytest.mark.parametrize(
    ("flags", "channels", "reason"),
    [
        (0, (EMAIL, SMS), None),
        (ALREADY_SENT, (EMAIL,), Reason.already_sent),
        (CAPPED, (EMAIL,), Reason.capped),
        (MET[EMAIL], (EMAIL,), Reason.already_sent),
        (MET[EMAIL], (SMS,), None),
        (MET[EMAIL], (EMAIL, SMS), Reason.already_sent),
        (MET[EMAIL] + CAPPED, (EMAIL,), Reason.already_sent),
        (MET[EMAIL] + CAPPED, (SMS,), Reason.capped),
    ],
)
def test_who_has_heard_before_and_on_which_channel_another_wave_has_met_them(flags, channels, reason):
    assert gates.heard_before(flags, channels) == (Ended(Outcome.skipped, reason) if reason else None)


@pytest.mark.parametrize("channel", [EMAIL, SMS])
@pytest.mark.parametrize("nothing", ["", " ", "\n\t "])
def test_no_address(channel, nothing):
    assert gates.address(channel, nothing) == Ended(Outcome.skipped, Reason.no_address)


@pytest.mark.parametrize(
    ("channel", "rendered", "address"),
    [
        (EMAIL, "ada@mail.example", Mailbox("ada@mail.example")),
        (EMAIL, "Ada Lovelace <ada@mail.example>", Mailbox("ada@mail.example", "Ada Lovelace")),
        (EMAIL, '"Lovelace, Ada" <ada@mail.example>', Mailbox("ada@mail.example", "Lovelace, Ada")),
        (SMS, "+61 412 345 678", "+61412345678"),
    ],
)
def test_one_good_address(channel, rendered, address):
    assert gates.address(channel, rendered) == address


@pytest.mark.parametrize(
    ("channel", "rendered", "reason"),
    [
        (EMAIL, "ada at mail.example", Reason.invalid_email),
        (EMAIL, "ada@", Reason.invalid_email),
        (EMAIL, "ada@mail.example\nbcc: eve@mail.example", Reason.invalid_email),
        (EMAIL, "a@mail.example, b@mail.example", Reason.too_many_recipients),
        (SMS, "0412 345 678", Reason.invalid_phone),
        (SMS, "call me", Reason.invalid_phone),
        (SMS, "+61412345678, +61412345679", Reason.too_many_recipients),
        (SMS, "+61412345678; +61412345679", Reason.too_many_recipients),
        (SMS, "+61412345678, home", Reason.invalid_phone),
    ],
)
def test_bad_addresses(channel, rendered, reason):
    assert gates.address(channel, rendered) == Ended(Outcome.refused, reason)


def test_live_lets_everyone_pass():
    gate = gates.ModeGate(Mode.live, {}, set())
    assert [gate(EMAIL) for _ in range(3)] == [None] * 3


def test_offline_lets_nobody_pass():
    gate = gates.ModeGate(Mode.offline, {EMAIL: "me@acme.example"}, set())
    assert gate(EMAIL) == gates.NOT_IN_THIS_MODE == Ended(Outcome.skipped, Reason.mode)


def test_test_mode_sends_one_copy_on_each_channel_that_has_a_recipient():
    gate = gates.ModeGate(Mode.test, {EMAIL: "me@acme.example"}, set())
    assert [gate(EMAIL), gate(SMS), gate(EMAIL)] == [None, gates.NOT_IN_THIS_MODE, gates.NOT_IN_THIS_MODE]


def test_a_copy_that_went_before_a_crash_does_not_go_again():
    assert gates.ModeGate(Mode.test, {EMAIL: "me@acme.example"}, {EMAIL})(EMAIL) == gates.NOT_IN_THIS_MODE
