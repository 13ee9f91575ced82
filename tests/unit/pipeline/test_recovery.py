"""What a worker that died left behind, taken up by the next one."""

from __future__ import annotations

from connect.ledger.records import Intent
from connect.pipeline.deliveries import Ended
from connect.pipeline.recovery import Recovered, how_it_ended
from connect.vocabulary import Channel, Outcome, Reason

DOUBTFUL = Intent(b"a" * 16, 1, Channel.email, "mail", 1)
SETTLED = Intent(b"b" * 16, 2, Channel.sms, "texts", 2, Outcome.failed, "mailbox_full")


def test_each_is_taken_once():
    recovered = Recovered([DOUBTFUL, SETTLED])
    assert DOUBTFUL.key in recovered
    assert recovered.take(DOUBTFUL.key) is DOUBTFUL
    assert recovered.take(DOUBTFUL.key) is None
    assert DOUBTFUL.key not in recovered
    assert recovered.take(b"c" * 16) is None


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
    recovered.take(SETTLED.key)
    assert recovered.channels() == {Channel.email}
    assert Recovered().channels() == set()


def test_a_stored_outcome_stands_and_without_one_it_is_in_doubt():
    assert how_it_ended(SETTLED) == Ended(Outcome.failed, "mailbox_full")
    assert how_it_ended(DOUBTFUL) is None
