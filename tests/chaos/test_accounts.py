"""The accounts of a trial: each promise that is broken is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import duckdb
import pytest

from benchmarks.chaos.accounts import Account, Doubts, Evidence, account, violations
from benchmarks.chaos.faults import Fault, dealt
from benchmarks.chaos.people import People, Standing
from benchmarks.chaos.scenario import ADAPTERS, FULL, POSTGRESQL, SQLITE, Scenario, chosen
from connect.identity import key_text, person_mark, position
from connect.ledger.records import Tally
from connect.testing.receivers import Received
from connect.vocabulary import Channel, Outcome, Reason

PLAIN = Scenario("http", False, 1, "skip")
SECRET, SALT = b"a secret", "salt"


def address(number: int) -> str:
    return f"person-{number}@mail.example"


def tally(outcome: Outcome, count: int, reason: str = "") -> Tally:
    return Tally(Channel.email, "", outcome, reason, count)


def evidence(
    *,
    scenario: Scenario = PLAIN,
    heard: dict[int, int] | None = None,
    doubt: set[int] | None = None,
    tallies: tuple[Tally, ...] | None = None,
    dropped: list[str] | None = None,
    other_bodies: int = 0,
) -> Evidence:
    """Ten people, of whom 1 and 2 were left in doubt by one kill, and 1 was reached."""
    heard = dict.fromkeys([1, *range(3, 11)], 1) if heard is None else heard
    people = People(Path(), set(range(1, 11)), present={number: address(number) for number in range(1, 11)})
    doubts = Doubts()
    doubts.leave({1, 2} if doubt is None else doubt)
    received = Received(
        {address(number): count for number, count in heard.items()},
        {str(number): address(number) for number in heard},
        0,
        other_bodies,
        dropped or [],
    )
    usual = (tally(Outcome.sent, 8), tally(Outcome.unknown, 2, Reason.in_doubt))
    return Evidence(
        scenario, Counter({"kill": 1}), people, doubts, received, list(usual if tallies is None else tallies)
    )


def told(found: Evidence) -> tuple[Account, list[str]]:
    return account(found), list(violations(found, account(found)))


def test_accounts_that_are_right() -> None:
    found, problems = told(evidence())
    assert problems == []
    assert (found.audience, found.sent, found.unknown, found.of_those_delivered, found.sum) == (10, 8, 2, 1, 10)
    assert (found.duplicates, found.lost, found.gone, found.bound) == (0, 0, 0, 16)


def test_who_hears_twice_is_a_duplicate() -> None:
    found, problems = told(evidence(heard={**dict.fromkeys([1, *range(3, 11)], 1), 5: 3}))
    assert found.duplicates == 2
    assert "2 duplicates" in problems


def test_resend_may_repeat_as_many_as_were_in_the_air() -> None:
    resend = replace(PLAIN, policy="resend")
    sent = (tally(Outcome.sent, 10),)
    everybody = dict.fromkeys(range(1, 11), 1)
    assert told(evidence(scenario=resend, heard={**everybody, 1: 17}, tallies=sent))[1] == []
    assert told(evidence(scenario=resend, heard={**everybody, 1: 18}, tallies=sent))[1] == ["17 duplicates"]


def test_who_never_hears_and_is_not_in_doubt_is_lost() -> None:
    found, problems = told(evidence(heard=dict.fromkeys([1, *range(3, 10)], 1)))
    assert found.lost == 1
    assert "1 are lost" in problems


def test_what_the_ledger_calls_sent_must_have_arrived() -> None:
    everybody_sent = (tally(Outcome.sent, 10),)
    found, problems = told(evidence(tallies=everybody_sent))
    assert found.lost == 1
    assert any("0 are unknown" in problem for problem in problems)


@pytest.mark.parametrize("count", [7, 9])
def test_a_sum_that_is_not_the_audience(count: int) -> None:
    _, problems = told(evidence(tallies=(tally(Outcome.sent, count), tally(Outcome.unknown, 2, Reason.in_doubt))))
    assert f"the run counted {count + 2} deliveries, and the audience was 10" in problems


def test_more_in_doubt_than_were_released() -> None:
    one_at_a_time = replace(PLAIN, bulk=1)
    crowd = set(range(1, 18))
    found = evidence(scenario=one_at_a_time, doubt=crowd, tallies=(tally(Outcome.unknown, 17, Reason.in_doubt),))
    problems = told(found)[1]
    assert "one fault left 17 in doubt, and the window is 16" in problems
    assert "17 unknown, and 16 are the most that 1 kills and drops may leave" in problems


def test_in_doubt_and_counted_as_sent() -> None:
    heard = dict.fromkeys(range(1, 11), 1)
    _, problems = told(evidence(heard=heard, tallies=(tally(Outcome.sent, 9), tally(Outcome.unknown, 1, "in_doubt"))))
    assert "1 are unknown, and 2 were left in doubt (perhaps 0 more)" in problems


def test_what_was_dropped_is_unknown_too() -> None:
    tallies = (tally(Outcome.sent, 7), tally(Outcome.unknown, 3, Reason.in_doubt))
    found, problems = told(evidence(dropped=[address(4)], tallies=tallies))
    assert (found.bound, problems) == (16 + 1, [])  # the receiver's doing, and no kill's


def test_strangers_other_bodies_and_failures() -> None:
    _, problems = told(evidence(heard={**dict.fromkeys([1, *range(3, 11)], 1), 99: 1}, other_bodies=2))
    assert "1 heard who were not in the audience" in problems
    assert "2 messages came again with the same key and another body" in problems
    failed = (tally(Outcome.sent, 7), tally(Outcome.failed, 1), tally(Outcome.unknown, 2, Reason.in_doubt))
    assert "1 deliveries are neither sent nor unknown" in told(evidence(tallies=failed))[1]


def mark(number: int) -> bytes:
    return person_mark(SECRET, key_text([str(number)]))


def test_churn_knows_whom_the_run_will_count(tmp_path: Path) -> None:
    people = People.settle(tmp_path / "shop.duckdb", 200)
    cursor = sorted(position(SALT, key_text([str(number)])) for number in range(1, 201))[99]
    behind = {number for number in range(1, 201) if position(SALT, key_text([str(number)])) <= cursor}
    doubtful = set(sorted(set(range(1, 201)) - behind)[:5])
    marks = {mark(number) for number in doubtful}
    people.churn(Standing(cursor, SALT, SECRET, marks, marks), Random(3))
    joined = set(people.present) - set(range(1, 201))
    assert len(joined) == 12
    assert people.left
    assert people.gone == people.left & doubtful
    assert people.gone | people.moved
    assert behind <= people.expected
    assert people.left & people.expected == people.left & (behind | doubtful)
    assert people.expected & joined == {n for n in joined if position(SALT, key_text([str(n)])) > cursor}
    with duckdb.connect(str(people.file)) as connection:
        assert dict(connection.execute("select id, email from people").fetchall()) == people.present
    assert {people.of(address) for address in people.present.values()} == set(people.present)


def test_churn_before_the_run_has_begun_changes_the_audience(tmp_path: Path) -> None:
    people = People.settle(tmp_path / "shop.duckdb", 100)
    people.churn(None, Random(3))
    assert people.expected == set(people.present)


def test_the_full_run_covers_what_is_promised() -> None:
    for ledger in (SQLITE, POSTGRESQL):
        of_ledger = [scenario for scenario in FULL if scenario.ledger == ledger]
        for idempotent in (True, False):
            kind = [s for s in of_ledger if s.idempotent is idempotent and s.policy == "skip"]
            assert {s.bulk for s in kind if s.receiver == "http"} == {1, 100, 1000}
        assert {scenario.receiver for scenario in of_ledger} == {"http", "smtp", *ADAPTERS}
    assert {scenario.churn for scenario in FULL} == {True, False}
    assert len({str(scenario) for scenario in FULL}) == len(FULL)


def test_scenarios_are_chosen_by_their_receiver_or_by_their_name() -> None:
    assert {scenario.receiver for scenario in chosen("resend")} == {"resend"}
    assert {scenario.policy for scenario in chosen("plain, resend")} == {"resend"}
    assert {scenario.receiver for scenario in chosen("plain, resend")} > {"http", "smtp"}
    assert chosen("") == FULL
    assert chosen("daemons") == []


def test_every_fault_is_dealt() -> None:
    assert set(dealt(10, Random(1))) == set(Fault)
    assert len(dealt(7, Random(1))) == 7
    assert dealt(10, Random(1)) == dealt(10, Random(1))


def test_a_call_that_changed_takes_its_mates_with_it(tmp_path: Path) -> None:
    """Whoever shared a call with somebody who left may stay unknown; whoever did not may not."""
    people = People.settle(tmp_path / "shop.duckdb", 200)
    calls = {mark(number): 1 + number % 20 for number in range(1, 201)}
    people.churn(Standing(None, SALT, SECRET, set(calls), set(calls), calls), Random(3))
    broken = {1 + number % 20 for number in people.gone | people.moved}
    assert people.gone | people.moved
    assert people.parted == {number for number in range(1, 201) if 1 + number % 20 in broken}


def test_whose_call_changed_may_be_unknown_and_nobody_else() -> None:
    whole = replace(PLAIN, idempotent=True, whole_calls=True)
    found = evidence(scenario=whole)
    assert "2 are unknown, and 0 were left in doubt (perhaps 0 more)" in told(found)[1]
    found.people.parted.update({1, 2})
    assert told(found)[1] == []
