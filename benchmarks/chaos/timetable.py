"""What four daemons must have done, worked out from the clock alone; and what they did, by ledger and receiver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from benchmarks.chaos.estate import LAG, PEOPLE, Happened, Plan
from connect.ledger.records import RunRecord, StateChange, Tally
from connect.testing.receivers import Received
from connect.vocabulary import Outcome, RunState

_MINUTE = timedelta(minutes=1)
JUMP = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Followed:
    """One campaign, under every name and trigger that it had."""

    plan: Plan
    start: datetime
    """When it was taken on."""
    names: list[str] = field(default_factory=list)
    edited: Plan | None = None
    until: datetime | None = None
    """Where it was edited: up to here its first trigger was followed, for certain."""
    since: datetime | None = None
    """And from here on its second one."""

    def must(self, end: datetime) -> set[datetime]:
        """Fire times that have to have a row."""
        if self.edited is None:
            return _matches(self.plan, self.start, end)
        return _matches(self.plan, self.start, self.until or end) | _matches(self.edited, self.since or end, end)

    def may(self, end: datetime) -> set[datetime]:
        """Fire times that may have a row."""
        if self.edited is None:
            return _matches(self.plan, self.start, end)
        return _matches(self.plan, self.start, self.since or end) | _matches(self.edited, self.until or end, end)


def _matches(plan: Plan, start: datetime, end: datetime) -> set[datetime]:
    """In (start, end]: every minute is looked at."""
    if plan.at is not None:
        return {plan.at} if start < plan.at <= end else set()
    if not plan.minutes:
        return set()
    minute, found = start.replace(second=0, microsecond=0) + _MINUTE, set()
    while minute <= end:
        if minute.minute % plan.minutes == 0:
            found.add(minute)
        minute += _MINUTE
    return found


@dataclass(frozen=True)
class Ran:
    """One row of the ledger, with its states and tallies."""

    run: RunRecord
    states: Sequence[StateChange]
    tallies: Sequence[Tally]

    @property
    def decided(self) -> datetime:
        """When it came into the ledger, by the clock of who put it there."""
        at = self.states[0].at
        return at + JUMP if at < self.run.fire_time - JUMP / 2 else at

    @property
    def skipped(self) -> bool:
        return self.run.state is RunState.skipped

    def counted(self, *outcomes: Outcome) -> int:
        return sum(tally.count for tally in self.tallies if not outcomes or tally.outcome in outcomes)


@dataclass(frozen=True)
class Evidence:
    """All that is known when the daemons have ended."""

    followed: list[Followed]
    end: datetime
    """Everything up to here was due."""
    rows: list[Ran]
    happened: list[Happened]
    received: Received
    kills: int
    drained: int
    outages: int
    resumed: int
    """Runs that crashed three times without getting further, and went on by hand."""
    tolerance: timedelta
    """Between deciding and writing, on a busy machine, by its fast clock."""
    diary: list[str]

    def of(self, followed: Followed) -> list[Ran]:
        """Its rows, by fire time."""
        names = {followed.plan.name, *followed.names}
        return sorted((row for row in self.rows if row.run.campaign in names), key=lambda row: row.run.fire_time)

    def heard(self) -> Heard:
        """Who heard how often: a person's number, or an event's."""
        found: Heard = {}
        for address, count in self.received.people.items():
            number, instant, title = address.partition("@")[0].split(".")
            found.setdefault((title, int(instant)), Counter())[number] += count
        return found


Occasion = tuple[str, int]
"""A campaign, by its first name, and a fire time in microseconds."""
Heard = dict[Occasion, Counter[str]]


def _occasion(followed: Followed, row: Ran) -> Occasion:
    return followed.plan.name, (row.run.fire_time - _EPOCH) // timedelta(microseconds=1)


@dataclass
class Timetable:
    """One row of the table."""

    kills: int
    drained: int
    outages: int
    resumed: int
    fire_times: int = 0
    completed: int = 0
    skipped: int = 0
    missing: int = 0
    doubled: int = 0
    """Fire times with two rows, or completed twice."""
    messages: int = 0
    messages_doubled: int = 0
    unknown: int = 0
    events: int = 0
    events_lost: int = 0
    problems: list[str] = field(default_factory=list)


COLUMNS = {
    "kills": "kills",
    "drained": "drained",
    "outages": "outages",
    "resumed": "resumed",
    "fire_times": "fire times",
    "completed": "completed",
    "skipped": "skipped",
    "missing": "missing",
    "doubled": "doubled",
    "messages": "messages",
    "messages_doubled": "twice",
    "unknown": "unknown",
    "events": "events",
    "events_lost": "lost",
}


def timetable(testimony: Evidence) -> Timetable:
    found = Timetable(testimony.kills, testimony.drained, testimony.outages, testimony.resumed)
    heard = testimony.heard()
    for followed in testimony.followed:
        rows = testimony.of(followed)
        _count(found, testimony, followed, rows)
        found.problems += _wrong_rows(testimony, followed, rows)
        found.problems += _wrong_sums(testimony, followed, rows, heard)
        if followed.plan.events:
            _windows(found, testimony, followed, rows, heard)
    found.messages = sum(count.total() for count in heard.values())
    found.messages_doubled = _doubled(testimony, heard)
    if found.messages_doubled:
        found.problems.append(f"{found.messages_doubled} messages came twice")
    known = {_occasion(followed, row) for followed in testimony.followed for row in testimony.of(followed)}
    if strangers := heard.keys() - known:
        found.problems.append(f"messages of {len(strangers)} runs that the ledger does not know")
    return found


def _count(found: Timetable, testimony: Evidence, followed: Followed, rows: Sequence[Ran]) -> None:
    name, end = followed.plan.name, testimony.end
    have = Counter(row.run.fire_time for row in rows)
    found.completed += sum(row.run.state is RunState.completed for row in rows)
    found.skipped += sum(row.skipped for row in rows)
    found.unknown += sum(row.counted(Outcome.unknown) for row in rows)
    if followed.plan.events:
        found.fire_times += len(have)  # polls may be joined: their windows are looked at instead
    elif followed.plan.trigger == "immediate":
        found.fire_times += 1
        found.missing += not rows
        found.problems += [] if len(rows) == 1 else [f"{name} fires once, and has {len(rows)} rows"]
    else:
        must, may = followed.must(end), followed.may(end)
        missing = sorted(must - have.keys())
        found.fire_times += len(must)
        found.missing += len(missing)
        found.problems += [f"{name}: no row for {time:%H:%M}" for time in missing]
        odd = [time for time in have if time <= end and time not in may]
        found.problems += [f"{name}: a row for {time:%H:%M:%S}, which is no fire time" for time in odd]
    doubled = [time for time, count in have.items() if count > 1]
    twice = [row for row in rows if sum(state.state is RunState.completed for state in row.states) > 1]
    found.doubled += len(doubled) + len(twice)
    found.problems += [f"{name}: {have[time]} rows for {time:%H:%M}" for time in doubled]
    found.problems += [f"{name}: {row.run.fire_time:%H:%M} is completed twice" for row in twice]


# Rows


def _wrong_rows(testimony: Evidence, followed: Followed, rows: Sequence[Ran]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if row.run.fire_time > testimony.end:
            continue
        if row.run.state not in (RunState.completed, RunState.skipped):
            why = f"is {row.run.state}: {row.run.reason}"
        elif row.skipped:
            why = _wrongly_skipped(testimony, followed, rows, number)
        else:
            why = _wrongly_run(testimony, followed, rows, number)
        if why:
            yield f"{row.run.campaign}: {row.run.fire_time:%H:%M} {why} (decided {row.decided:%H:%M:%S})"


def _wrongly_skipped(testimony: Evidence, followed: Followed, rows: Sequence[Ran], number: int) -> str:
    row, plan, tolerance = rows[number], followed.plan, testimony.tolerance
    reason, late = row.run.reason, row.decided - row.run.fire_time
    if reason.startswith(("missed: older than", "missed: events older than")):
        right = late > max(plan.grace, _MINUTE) - tolerance
    elif reason.startswith("missed: it waited"):
        ended = row.states[-1].at
        ended += JUMP if ended < row.decided - JUMP / 2 else timedelta(0)
        right = ended - row.run.fire_time > max(plan.grace, _MINUTE) - tolerance
    elif reason.startswith("missed: more than a minute late"):
        right = plan.missed == "skip" and late > _MINUTE - tolerance
    elif reason.startswith("missed: a later one"):
        times = (other.run.fire_time for other in rows[number + 1 :])
        right = plan.missed == "latest" and any(time <= row.decided + tolerance for time in times)
    elif reason.startswith("overlap"):
        right = plan.overlap == "skip" and any(_ends_after(other, row.decided - tolerance) for other in rows[:number])
    else:
        right = False
    return "" if right else f"is skipped: {reason}"


def _wrongly_run(testimony: Evidence, followed: Followed, rows: Sequence[Ran], number: int) -> str:
    row, plan, tolerance = rows[number], followed.plan, testimony.tolerance
    late = row.decided - row.run.fire_time
    if plan.trigger == "immediate":
        return ""
    if late > max(plan.grace, _MINUTE) + tolerance:
        return "is older than its grace, and ran"
    if plan.missed == "skip" and late > _MINUTE + tolerance:
        return "was missed, and ran"
    later = (other.run.fire_time for other in rows[number + 1 :])
    if plan.missed == "latest" and any(time < row.decided - tolerance for time in later):
        return "was not the latest, and ran"
    if plan.overlap == "skip" and any(_ends_after(other, row.decided + tolerance) for other in rows[:number]):
        return "ran while another did"
    return ""


def _ends_after(row: Ran, instant: datetime) -> bool:
    ended = row.run.ended_at
    if ended and ended < row.decided - JUMP / 2:  # by the clock that was put back
        ended += JUMP
    return not row.skipped and (ended is None or ended > instant)


# Deliveries


def _wrong_sums(testimony: Evidence, followed: Followed, rows: Sequence[Ran], heard: Heard) -> Iterator[str]:
    for row in rows:
        told, count = heard.get(_occasion(followed, row), Counter()), row.counted()
        at = f"{row.run.campaign}: {row.run.fire_time:%H:%M}"
        if row.skipped and (told or count):
            yield f"{at} is skipped, and {told.total()} messages went out"
        sent, unknown = row.counted(Outcome.sent), row.counted(Outcome.unknown)
        if not sent <= len(told) <= sent + unknown:
            yield f"{at} counts {sent} sent and {unknown} unknown, and {len(told)} heard"
        if count != sent + unknown:
            yield f"{at} counts {count - sent - unknown} that are neither sent nor unknown"
        if row.run.state is RunState.completed and not followed.plan.events and count != PEOPLE:
            yield f"{at} counts {count} deliveries, and {PEOPLE} people are there"


def _windows(
    found: Timetable,
    testimony: Evidence,
    followed: Followed,
    rows: Sequence[Ran],
    heard: Heard,
) -> None:
    """Without a gap and without an overlap, from when it became live up to the end; each event in its window."""
    edge, name = followed.start, followed.plan.name
    for row in rows:
        since, until = row.run.since, row.run.until
        if since != edge or until is None or until <= edge:
            found.problems.append(f"{name}: the window of {row.run.fire_time:%H:%M} begins at {since}, not at {edge}")
        edge = until or edge
        if until and until > row.run.fire_time - LAG:
            found.problems.append(f"{name}: the window of {row.run.fire_time:%H:%M} ends within the lag")
        if row.run.state is RunState.completed:
            _answered(found, testimony, row, heard.get(_occasion(followed, row), Counter()))
    if edge < testimony.end - LAG - timedelta(minutes=followed.plan.minutes):
        found.problems.append(f"{name}: nobody has asked since {edge:%H:%M}")


def _answered(found: Timetable, testimony: Evidence, row: Ran, heard: Counter[str]) -> None:
    assert row.run.since
    assert row.run.until
    there = [each for each in testimony.happened if row.run.since < each.at <= row.run.until]
    in_time = {str(each.number) for each in there if each.in_time}
    at, unknown = f"{row.run.campaign}: {row.run.fire_time:%H:%M}", row.counted(Outcome.unknown)
    found.events += len(in_time)
    lost = max(0, len(in_time - heard.keys()) - unknown)
    found.events_lost += lost
    if lost:
        found.problems.append(f"{at} has lost {lost} events")
    if strangers := heard.keys() - {str(each.number) for each in there}:
        found.problems.append(f"{at} answers to {len(strangers)} events of other windows")
    if not len(in_time) <= row.counted() <= len(there):
        found.problems.append(f"{at} counts {row.counted()} of {len(in_time)} to {len(there)} events")


def _doubled(testimony: Evidence, heard: Heard) -> int:
    """How many messages somebody had before: of one fire time, or about one event."""
    events = {followed.plan.name for followed in testimony.followed if followed.plan.events}
    times: Counter[tuple[Occasion, str]] = Counter()
    for (title, instant), numbers in heard.items():
        for number, count in numbers.items():
            times[(title, 0 if title in events else instant), number] += count
    return sum(count - 1 for count in times.values())
