"""People with several devices: whom the harness knows by which key, and what it expects to be counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import duckdb
import pytest

from benchmarks.chaos.accounts import Doubts, Evidence, account, violations
from benchmarks.chaos.devices import Devices
from benchmarks.chaos.people import Standing, ahead, key_of
from benchmarks.chaos.scenario import FCM, Scenario
from connect.channels.devices import devices
from connect.identity import message_key, position
from connect.ledger.records import Tally
from connect.testing.receivers import DEAD, Received
from connect.vocabulary import Channel, Outcome, Reason

SECRET, SALT = b"a secret", "salt"


@pytest.fixture
def people(tmp_path: Path) -> Devices:
    return Devices.settle(tmp_path / "shop.duckdb", 300)


def in_warehouse(people: Devices) -> dict[int, list[str]]:
    """Person → tokens, as a run reads them."""
    with duckdb.connect(str(people.file)) as connection:
        rows = connection.execute("select id, channels, device_token, platform from people").fetchall()
    found = {person: devices(*cells) for person, *cells in rows}
    assert not any(each.bad for each in found.values())
    return {person: [device.address for device in each.devices] for person, each in found.items()}


def keys(people: Devices, devices: set[int]) -> set[bytes]:
    """Of the deliveries to the tokens that these devices have now."""
    now = {people.of(token): token for tokens in people.present.values() for token in tokens}
    return {message_key(SECRET, key_of(device // 4), "push", now[device]) for device in devices}


def test_what_is_in_the_warehouse_is_what_is_expected(people: Devices) -> None:
    assert in_warehouse(people) == people.present
    assert Counter(len(tokens) for tokens in people.present.values()).keys() == {0, 1, 2, 3}
    assert len(people.expected) == sum(max(1, len(tokens)) for tokens in people.present.values())
    assert 290 < len(people.expected) < 310
    assert people.expected - people.without == {people.of(token) for each in people.present.values() for token in each}
    assert len(people.without) == sum(not tokens for tokens in people.present.values())
    dead = {people.of(token) for tokens in people.present.values() for token in tokens if token.startswith(DEAD)}
    assert people.dead == dead != set()


def test_a_device_is_known_by_its_key_and_not_by_its_persons(people: Devices) -> None:
    several = next(person for person, tokens in people.present.items() if len(tokens) == 3)
    assert people.of_keys(keys(people, {several * 4 + 1}), SECRET) == {several * 4 + 1}
    assert people.of_keys(set(), SECRET) == set()


def test_churn_knows_which_deliveries_the_run_will_count(people: Devices) -> None:
    before = dict(people.present)
    cursor = sorted(position(SALT, key_of(person)) for person in before)[60]
    standing = Standing(cursor, SALT, SECRET, set(), set())
    known = {person for person in before if not ahead(key_of(person), standing)}
    behind = {device for device in people.expected if device // 4 in known}
    doubtful = set(sorted(people.expected - people.without - behind)[:30])
    doubt = keys(people, doubtful)
    people.churn(Standing(cursor, SALT, SECRET, doubt, doubt), Random(3))

    left, joined = before.keys() - people.present.keys(), people.present.keys() - before.keys()
    renewed = {person for person in before.keys() & people.present.keys() if before[person] != people.present[person]}
    assert in_warehouse(people) == people.present
    assert left
    assert len(joined) == 12
    assert all(before[person][1:] == people.present[person][1:] for person in renewed)
    assert {len(before[person]) for person in renewed} >= {0, 1}
    assert people.gone == {device for device in doubtful if device // 4 in left}
    assert people.moved == {device for device in doubtful if device // 4 in renewed and device % 4 == 0}
    assert people.gone | people.moved
    assert behind <= people.expected
    ahead_now = {
        person * 4 + place
        for person, tokens in people.present.items()
        if ahead(key_of(person), standing)
        for place in (range(len(tokens)) if tokens else [3])
    }
    assert people.expected == behind | ahead_now | people.gone
    assert people.of_keys(doubt, SECRET) == doubtful, "known by a token that they had"


PUSH = Scenario(FCM, False, 1, "skip")


def evidence(*, skipped: int = 1, failed: int = 1, sent: int = 3, twice: bool = False) -> Evidence:
    """Five deliveries: one without a device, one to a dead one, and three that arrive."""
    tokens = {4: "device-1-0-0", 8: f"{DEAD}device-2-0-0", 12: "device-3-0-0", 13: "device-3-1-0"}
    people = Devices(Path(), {*tokens, 19}, tokens={number: {token} for number, token in tokens.items()})
    heard = {token: 1 for token in tokens.values() if not token.startswith(DEAD)}
    heard["device-3-1-0"] += twice
    tallies = [
        Tally(Channel.push, "", Outcome.sent, "", sent),
        Tally(Channel.push, "", Outcome.skipped, Reason.no_address, skipped),
        Tally(Channel.push, "", Outcome.failed, Reason.unregistered, failed),
    ]
    return Evidence(PUSH, Counter({"kill": 1}), people, Doubts(), Received(heard, {}, 0, 0, []), tallies)


def told(found: Evidence) -> list[str]:
    return list(violations(found, account(found)))


def test_accounts_of_devices() -> None:
    right = evidence()
    assert told(right) == []
    assert (account(right).audience, account(right).otherwise, account(right).sum) == (5, 2, 5)
    assert told(evidence(twice=True)) == ["1 duplicates"]
    assert "0 are skipped, and 1 have no address" in told(evidence(skipped=0))
    assert "0 have failed, and 1 addresses are dead" in told(evidence(failed=0, sent=4))


def test_a_dead_device_that_is_in_doubt_has_not_failed() -> None:
    found = evidence(failed=0)
    found.tallies.append(Tally(Channel.push, "", Outcome.unknown, Reason.in_doubt, 1))
    found.doubts.leave({8})
    assert told(found) == []
