"""Who has left has left, whatever clock a return went by; and who says it again is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.ledger.store import Ledger
from connect.pipeline.lasting import AGAIN, Lasting, latest, overtaken
from connect.pipeline.lately import Lately, scope_of
from connect.pipeline.sealing import drain, sealed
from connect.pipeline.subscriptions import Change, record, writable
from connect.project.project import Project
from connect.testing.ledgers import HandClock
from connect.vocabulary import Channel, SubscriptionStatus
from tests.unit.pipeline.test_desk import LEFT, ledger, project  # noqa: F401 - fixtures

NOW = datetime(2026, 11, 22, 9, 0, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BACK = replace(LEFT, status=SubscriptionStatus.subscribed, source="command")


def again(*back: datetime, left: Change = LEFT) -> list[Change]:
    return overtaken(latest([left]), {scope_of(left): back}, NOW)


def test_a_return_that_is_dated_later_than_now_is_overtaken() -> None:
    (found,) = again(LEFT.at - SECOND, NOW + SECOND)
    assert found == replace(LEFT, at=NOW + SECOND + timedelta(microseconds=1), reason=AGAIN)


def test_a_return_so_soon_was_not_said_after_it() -> None:
    assert [one.at for one in again(LEFT.at + SECOND / 10)] == [LEFT.at + SECOND / 10 + timedelta(microseconds=1)]


def test_who_came_back_stays() -> None:
    assert again(LEFT.at + SECOND) == again(LEFT.at) == again(LEFT.at - SECOND) == []


def test_what_was_written_again_is_not_looked_after_again() -> None:
    assert again(NOW + SECOND, left=replace(LEFT, at=NOW, reason=AGAIN)) == []
    assert latest([LEFT, replace(LEFT, at=NOW, reason=AGAIN), LEFT])[scope_of(LEFT)].reason == AGAIN


@pytest.fixture
def lasting(project: Project, ledger: Ledger) -> Lasting:  # noqa: F811
    clock = SystemClock()
    return Lasting(project, ledger, clock, Lately(ledger, project.secret, clock))


def test_a_skewed_row_on_record_and_a_skewed_one_that_waits(
    project: Project,  # noqa: F811
    ledger: Ledger,  # noqa: F811
    lasting: Lasting,
) -> None:
    ahead, now = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC)
    others = [replace(BACK, at=ahead, id="8"), replace(BACK, at=ahead, channel=Channel.sms, address="+61412345678")]
    warehouse = wiring.open_warehouse(project, "shop")
    record(warehouse, writable(project), [replace(BACK, at=ahead), *others, replace(BACK, at=now - SECOND, id="9")])
    ledger.hold(sealed(project.secret, [replace(BACK, at=ahead, id="10")]))
    left = [replace(LEFT, at=now, id=id) for id in ("7", "9", "10", "11")]
    ledger.note_taken(sealed(project.secret, left))
    opened: list[str] = []

    def open_warehouse() -> object:
        opened.append("shop")
        return wiring.open_warehouse(project, "shop")

    def look() -> list[tuple[str | None, datetime, str]]:
        found = lasting.look(open_warehouse)  # type: ignore[arg-type]
        return sorted((one.id, one.at - timedelta(microseconds=1), one.source) for one in found)

    assert look() == [("10", ahead, "page"), ("7", ahead, "page")]
    assert look() == [("10", ahead, "page"), ("7", ahead, "page")]  # until it is durable
    ledger.note_taken(sealed(project.secret, lasting.look(open_warehouse)))  # type: ignore[arg-type]
    lasting.done()
    assert look() == []
    lasting.done()
    assert look() == []
    assert len(opened) == 4  # nothing has come: nothing is opened


def test_who_says_it_again_is_known_by_every_process(project: Project, ledger: Ledger) -> None:  # noqa: F811
    here, there = (Lately(ledger, project.secret, SystemClock()) for _ in range(2))
    assert not here.repeats(LEFT)
    here.came([LEFT])
    assert not here.repeats(LEFT)  # itself
    assert here.repeats(replace(LEFT, at=NOW))
    assert not here.repeats(replace(LEFT, at=NOW, topic="news"))
    assert not there.repeats(replace(LEFT, at=NOW))
    ledger.note_taken(sealed(project.secret, [LEFT]))
    there.look()
    assert there.repeats(replace(LEFT, at=NOW))
    ledger.hold(sealed(project.secret, [replace(BACK, at=LEFT.at + SECOND)]))
    there.look()
    assert not there.repeats(replace(LEFT, at=NOW))
    drain(ledger, project.secret, writable(project), lambda: wiring.open_warehouse(project, "shop"))


def test_what_was_said_is_forgotten_after_half_an_hour(project: Project, ledger: Ledger) -> None:  # noqa: F811
    clock = HandClock()
    lately = Lately(ledger, project.secret, clock)
    lately.came([LEFT])
    clock.pass_time(minutes=31)
    lately.came([replace(LEFT, id="8")])
    assert not lately.repeats(replace(LEFT, at=NOW))
    assert lately.repeats(replace(LEFT, id="8", at=NOW))
