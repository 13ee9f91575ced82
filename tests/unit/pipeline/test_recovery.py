"""What a worker that died left behind, taken up by the next one."""

from __future__ import annotations

from dataclasses import replace

from connect.identity import mark_of
from connect.ledger.records import Intent
from connect.pipeline.deliveries import Ended
from connect.pipeline.recovery import Recovered, how_it_ended
from connect.vocabulary import Channel, Outcome, Reason

DOUBTFUL = Intent(b"a" * 16, 1, Channel.email, "mail", 1)
SETTLED = Intent(b"b" * 16, 2, Channel.sms, "texts", 2, Outcome.failed, "mailbox_full")


MARK_A, MARK_B = mark_of(DOUBTFUL.key), mark_of(SETTLED.key)


def test_each_is_taken_once():
    recovered = Recovered([DOUBTFUL, SETTLED])
    assert recovered.take(MARK_A, Channel.email, DOUBTFUL.key) is DOUBTFUL
    assert recovered.take(MARK_A, Channel.email, DOUBTFUL.key) is None
    assert recovered.take(b"c" * 8, Channel.email, b"c" * 16) is None
    assert recovered
    recovered.take(MARK_B, Channel.sms, None)
    assert not recovered


def test_a_person_is_known_again_under_another_address():
    recovered = Recovered([DOUBTFUL, SETTLED])
    assert recovered.channels_of(MARK_A) == {Channel.email}
    assert recovered.take(MARK_A, Channel.sms, None) is None  # of another channel it says nothing
    assert recovered.take(MARK_A, Channel.email, b"a" * 8 + b"z" * 8) is DOUBTFUL


def test_the_same_address_is_taken_before_another():
    other = replace(DOUBTFUL, key=MARK_A + b"z" * 8)
    recovered = Recovered([DOUBTFUL, other])
    assert recovered.take(MARK_A, Channel.email, other.key) is other
    assert recovered.take(MARK_A, Channel.email, None) is DOUBTFUL


def test_how_many_are_in_doubt():
    assert Recovered([DOUBTFUL, SETTLED]).in_doubt() == 1


def test_those_who_were_not_met_again_count_as_settled_or_as_gone():
    recovered = Recovered([DOUBTFUL, SETTLED])
    assert recovered.gone() == [
        (DOUBTFUL, Ended(Outcome.unknown, Reason.gone)),
        (SETTLED, Ended(Outcome.failed, "mailbox_full")),
    ]
    assert recovered.gone() == []


def test_channels_are_those_of_everyone_left():
    recovered = Recovered([DOUBTFUL, SETTLED])
    assert recovered.channels() == {Channel.email, Channel.sms}
    recovered.take(MARK_B, Channel.sms, SETTLED.key)
    assert recovered.channels() == {Channel.email}
    assert Recovered().channels() == set()


def test_a_stored_outcome_stands_and_without_one_it_is_in_doubt():
    assert how_it_ended(SETTLED) == Ended(Outcome.failed, "mailbox_full")
    assert how_it_ended(DOUBTFUL) is None
