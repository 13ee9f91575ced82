"""What goes between processes as columns comes back equal."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime

import pytest

from connect.executors import flat
from connect.ledger.records import Call, Intent
from connect.pipeline.books import Composed, Settlement
from connect.pipeline.deliveries import Ended
from connect.vocabulary import Channel, Outcome

SETTLED = [
    Settlement(3, 7, Channel.email, b"k" * 16, Outcome.sent, "", "mail", "ann@x.example"),
    Settlement(4, 0, Channel.sms, b"l" * 16, Outcome.failed, "mailbox_full"),
]
CALLS = [Call(1, Channel.email, "mail", [b"k", b"l"], [5, 6]), Call(3, Channel.sms, "text", [b"m"], [9])]
INTENTS = [
    Intent(b"k", 1, Channel.email, "mail", 4),
    Intent(b"l", 2, Channel.sms, "text", 5, Outcome.sent, "", datetime(2026, 11, 22, tzinfo=UTC), 2),
]


@pytest.mark.parametrize(
    ("there", "back", "values"),
    [
        (flat.settlements, flat.to_settlements, SETTLED),
        (flat.settlements, flat.to_settlements, []),
        (flat.calls, flat.to_calls, CALLS),
        (flat.calls, flat.to_calls, []),
        (flat.intents, flat.to_intents, INTENTS),
        (flat.intents, flat.to_intents, []),
    ],
)
def test_lists(there, back, values):
    assert back(pickle.loads(pickle.dumps(there(values)))) == values


def test_what_was_composed():
    ended = [(1, Channel.email, Ended(Outcome.skipped, "unsubscribed"), 2, b"k", "mail")]
    one = Composed(3, 50, [1, 0], ended, [b"m"], Counter({"null_value": 2}), more=4, elsewhere=5)
    assert all(getattr(one, each.name) for each in fields(one)), "a field that this test does not tell from nothing"
    back = flat.to_composed(pickle.loads(pickle.dumps(flat.composed(one))))
    assert back == one
    assert isinstance(back.problems, Counter)
