"""Events are counted once each, on every engine, also when several servers are told of them at once."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connect.ledger.records import EventCount, Named, NewRun, Reported, Spell
from connect.ledger.store import Ledger
from connect.testing.ledgers import ENGINES, NOON, LedgerRig, ledger_rig
from connect.testing.postgres import NoServer
from connect.vocabulary import Channel, Mode

RUNS = ("run0000000000001", "run0000000000002")
LINKS = ("", "https://shop.example/{{ user.product }}", "https://shop.example/")


@pytest.fixture(params=ENGINES)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerRig]:
    try:
        with ledger_rig(request.param, tmp_path) as rig:
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def ledger(rig: LedgerRig) -> Iterator[Ledger]:
    with closing(rig.open()) as ledger:
        begin_runs(ledger)
        yield ledger


def begin_runs(ledger: Ledger) -> None:
    for number, name in enumerate(RUNS):
        fire_time = NOON + timedelta(minutes=number)
        ledger.create_run(NewRun(name, Mode.live, f"c{number}", fire_time, True, "d", "{}", b"salt", b"secret"))


def named(*parts: object) -> tuple[bytes, ...]:
    return (hashlib.blake2b(repr(parts).encode(), digest_size=16).digest(),)


def reported(number: int, run: str = RUNS[0], at: datetime = NOON, **more: Any) -> Reported:
    """The event of this number; `to` is the delivery that it is about."""
    fields = {"type": "delivered", "bounce": "", "machine": False, "link": "", "to": number, **more}
    to, same = fields.pop("to"), tuple(fields.values())[:3]
    links = (named("l", run, to, *same, fields["link"]),) if fields["link"] else ()
    return Reported(
        named("event", number),
        at,
        at.date(),
        run,
        Channel.email,
        first=named("f", run, to, *same),
        first_of_link=links[0] if links else (),
        **fields,
    )


def totals(counts: Sequence[EventCount]) -> dict[tuple[str, str], tuple[int, int]]:
    return {(one.type, one.link): (one.count, one.firsts) for one in counts}


def test_an_event_counts_once_however_often_it_comes(ledger: Ledger) -> None:
    first, second = reported(1), reported(2)
    assert ledger.count_events([first, second, first]) == {first.names[0], second.names[0]}
    assert ledger.count_events([second, first]) == set()
    assert totals(ledger.events(RUNS[0])) == {("delivered", ""): (2, 2)}


def test_a_click_is_the_first_of_its_link_and_of_all_links(ledger: Ledger) -> None:
    clicks = [
        reported(number, type="clicked", to=to, link=link)
        for number, (to, link) in enumerate([(1, LINKS[1]), (1, LINKS[1]), (1, LINKS[2]), (2, LINKS[2]), (3, "")])
    ]
    ledger.count_events(clicks)
    assert totals(ledger.events(RUNS[0])) == {
        ("clicked", ""): (1, 3),  # clicks on no link that is known; people who clicked at all
        ("clicked", LINKS[1]): (2, 1),
        ("clicked", LINKS[2]): (2, 2),
    }


def test_of_those_that_come_together_the_earliest_is_the_first(ledger: Ledger) -> None:
    late, early = reported(1, at=NOON, to=7), reported(2, at=NOON - timedelta(days=1), to=7)
    ledger.count_events([late, early])
    assert [(one.day, one.count, one.firsts) for one in ledger.events(RUNS[0])] == [
        (early.day, 1, 1),
        (late.day, 1, 0),
    ]


def test_events_of_a_run_that_is_gone_are_remembered_and_not_counted(ledger: Ledger) -> None:
    gone, nobodys = reported(1, run="run0000000000009"), reported(2, run="")
    assert len(ledger.count_events([gone, nobodys])) == 2
    assert ledger.count_events([gone, nobodys]) == set()
    assert [ledger.events(name) for name in RUNS] == [[], []]


def test_what_was_counted_is_forgotten_after_seven_days(ledger: Ledger, rig: LedgerRig) -> None:
    event = reported(1)
    ledger.count_events([event])
    rig.clock.pass_time(days=7)
    ledger.forget_seen()
    assert ledger.count_events([event]) == set()
    rig.clock.pass_time(days=1)
    ledger.forget_seen()
    assert ledger.count_events([event]) == {event.names[0]}


def test_an_event_that_is_known_under_an_older_secret_counts_once(ledger: Ledger) -> None:
    """Under whichever secret of the ring it was counted."""
    before = reported(1)
    after = Reported((b"the newer secret", *before.names), NOON, NOON.date(), RUNS[0], type="delivered")
    ledger.count_events([before])
    assert ledger.count_events([after]) == set()


def test_servers_that_are_told_the_same_at_once_count_it_once(ledger: Ledger, rig: LedgerRig) -> None:
    events = [reported(number, run=RUNS[number % 2]) for number in range(700)]
    new: list[set[bytes]] = []

    def serve(mine: Sequence[Reported]) -> None:
        with closing(rig.open()) as own:
            new.append(own.count_events(mine))

    threads = [threading.Thread(target=serve, args=(order,)) for order in (events, events[::-1], events[200:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, new)) == len(events)
    counted = [one for name in RUNS for one in ledger.events(name)]
    assert sum(one.count for one in counted) == sum(one.firsts for one in counted) == len(events)


_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(RUNS),
        st.sampled_from(["opened", "clicked"]),
        st.booleans(),
        st.sampled_from(LINKS),
        st.integers(1, 4),
    ),
    max_size=40,
    unique_by=lambda event: event[0],
)


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(told=_EVENTS, cuts=st.lists(st.integers(1, 8), min_size=1), again=st.randoms())
def test_the_counts_are_those_of_a_plain_reading(tmp_path: Path, told: list[Any], cuts: list[int], again: Any) -> None:
    events = [
        reported(number, run, type=type, machine=machine, link=link if type == "clicked" else "", to=to)
        for number, run, type, machine, link, to in told
    ]
    clicks = {(one.run_id, one.machine, one.first) for one in events if one.type == "clicked"}
    by_link = {(one.run_id, one.machine, one.first, one.link) for one in events if one.type == "clicked" and one.link}
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    with ledger_rig("sqlite", folder) as rig, closing(rig.open()) as ledger:
        begin_runs(ledger)
        doubled = [*events, *events]
        again.shuffle(doubled)
        while doubled:
            cut = cuts[len(doubled) % len(cuts)]
            ledger.count_events(doubled[:cut])
            doubled = doubled[cut:]
        counted = [one for name in RUNS for one in ledger.events(name)]
    assert sum(one.count for one in counted) == len(events)
    assert sum(one.firsts for one in counted if one.type == "clicked" and not one.link) == len(clicks)
    assert sum(one.firsts for one in counted if one.link) == len(by_link)
    opens = {(one.run_id, one.machine, one.first) for one in events if one.type == "opened"}
    assert sum(one.firsts for one in counted if one.type == "opened") == len(opens)


def test_calls_are_forgotten_after_a_week_also_where_none_comes_any_more(ledger: Ledger, rig: LedgerRig) -> None:
    made = NewRun(
        "called", Mode.live, "c9", NOON, True, "d", "{}", b"salt", b"secret", named=Named(b"n" * 16, b"r" * 16)
    )
    ledger.create_run(made)
    rig.clock.pass_time(days=6)
    ledger.forget_seen()
    assert ledger.call(b"n" * 16) is not None
    rig.clock.pass_time(days=2)
    ledger.forget_seen()
    assert ledger.call(b"n" * 16) is None


def test_what_was_counted_is_known_under_whichever_secret(ledger: Ledger) -> None:
    old, new = reported(1), reported(2)
    ledger.count_events([old])
    turned = replace(old, names=(*named("a newer secret"), *old.names))
    assert ledger.counted([old, new]) == {old.names[0]}
    assert ledger.counted([turned, new]) == {turned.names[0]}
    assert ledger.counted([]) == set()
    many = [reported(number) for number in range(3, 1503)]
    ledger.count_events(many[::2])
    assert ledger.counted(many) == {event.names[0] for event in many[::2]}


def test_spells_are_put_forward_and_ended(rig: LedgerRig, ledger: Ledger) -> None:
    one, other = Spell("1" * 32, NOON, NOON + timedelta(minutes=1)), Spell("2" * 32, NOON, NOON + timedelta(minutes=2))
    later = replace(one, since=NOON + timedelta(seconds=1, microseconds=1), until=NOON + timedelta(minutes=3))
    ledger.keep_spells([one, other])
    ledger.keep_spells([later])
    with closing(rig.open()) as another:
        assert another.spells() == [other, later]
        another.end_spell(other.name)
    assert ledger.spells() == [later]
