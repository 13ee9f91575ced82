"""Daemons say that they are alive, by the ledger's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connect.ledger.owner import Owner
from connect.ledger.records import DaemonRecord
from connect.testing.ledgers import NOON
from connect.vocabulary import Mode


@pytest.fixture
def daemon() -> DaemonRecord:
    return DaemonRecord(str(Owner.here()), Mode.live, "1.0", started_at=NOON, beat_at=NOON, runs=0)


def test_the_last_beat_counts(ledger, daemon, clock):
    ledger.beat(daemon)
    clock.pass_time(seconds=10)
    ledger.beat(replace(daemon, runs=3))
    assert ledger.daemons() == [replace(daemon, runs=3, beat_at=clock.now())]


def test_a_wrong_clock_of_its_own_does_not_show(ledger, daemon, clock):
    ledger.beat(replace(daemon, beat_at=NOON + timedelta(days=1)))
    assert [each.beat_at for each in ledger.daemons()] == [clock.now()]
    assert ledger.now() == clock.now()


def test_who_leaves_is_not_missed(ledger, daemon):
    other = replace(daemon, owner="elsewhere 1 1", mode=Mode.test, started_at=NOON - timedelta(hours=1))
    ledger.beat(daemon)
    ledger.beat(other)
    assert ledger.daemons() == [other, daemon]
    ledger.leave(daemon.owner)
    ledger.leave(daemon.owner)
    assert ledger.daemons() == [other]


def test_who_has_said_nothing_for_a_day_is_forgotten(ledger, daemon, clock):
    ledger.beat(replace(daemon, owner="elsewhere 1 1"))
    clock.pass_time(hours=1)
    ledger.beat(daemon)
    clock.pass_time(hours=23, seconds=1)
    assert len(ledger.daemons()) == 2
    ledger.prune(timedelta(days=90))
    assert [each.owner for each in ledger.daemons()] == [daemon.owner]
