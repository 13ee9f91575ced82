"""Whole runs through the hours of the day: everybody at their own time, in waves, and nobody in quiet hours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from connect import wiring
from connect.channels.message import Email, Outgoing
from connect.ledger.records import RunRecord
from connect.project.campaigns import load_campaign
from connect.providers import memory
from connect.schedule.due import begins_at, fire_times
from connect.schedule.fires import Fire
from connect.schedule.work import Doors, Works, make_run
from connect.testing import FakeClock
from connect.vocabulary import Mode, RunState

PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
timezone: Europe/London
mode: live
test_recipient: {email: staff@acme.example}
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {mail: {type: memory}, texts: {type: memory}}
channels: {email: mail, sms: texts}
"""
CAMPAIGN = """\
status: live
trigger: TRIGGER
audience: {sql: select * from people}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "Good morning"
      text: "Good morning"
    - channel: sms
      body: "Good morning"
policy: POLICY
"""
ZONES = [
    *("Pacific/Kiritimati", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"),
    *("Europe/London", "America/St_Johns", "America/Havana"),
]
NIGHT = "{from: 21:00, to: 08:00}"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


class House:
    """A project whose runs are worked on as a daemon does it, on a clock that a test moves."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, FakeClock()
        self.sent: list[tuple[datetime, str]] = []
        """(when by the clock, to whom)"""
        self.reasons: list[str] = []
        """What the run said of itself whenever it was left."""
        self.counted: Counter[str] = Counter()
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(PROJECT)
        for account in ("mail", "texts"):
            memory.script(account, self._take)

    def _take(self, outgoing: Outgoing, attempt: int) -> None:
        self.sent.append((self.clock.now(), _to(outgoing)))

    def campaign(self, trigger: str = "{type: immediate}", policy: str = "{}") -> None:
        text = CAMPAIGN.replace("TRIGGER", trigger).replace("POLICY", policy)
        (self.root / "campaigns" / "news.yml").write_text(text)

    def sql(self, statement: str) -> None:
        with duckdb.connect(str(self.root / "shop.duckdb")) as connection:
            connection.execute(statement)

    def people(self, zones: list[str], each: int = 1, phone: str = "null") -> None:
        """So many people in each zone; the address tells which one."""
        columns = "id text, email text, phone_number text, timezone text, subscribed bool"
        self.sql(f"create or replace table people ({columns})")
        for number, zone in enumerate(zones):
            self.sql(
                f"insert into people select '{number}.' || i, i || '.' || {number} || '@mail.example', {phone}, "
                f"'{zone}', true from range({each}) t(i)"
            )

    async def work(self, fire_time: datetime, start: datetime | None = None, mode: Mode | None = None) -> RunRecord:
        """Queue the run of a fire time, and work on it whenever something of it opens, until it has ended."""
        self.clock.set(start or fire_time)
        project = wiring.open_project(self.root, None, mode, {"CONNECT_SECRET": "a secret that is long enough"})
        loaded, ledger = load_campaign(project, "news"), wiring.open_ledger(project, self.clock)
        assert loaded.campaign, loaded.problems
        try:
            run = make_run(project, loaded.campaign, Fire(fire_time, RunState.queued), self.clock)
            record, works = ledger.create_run(run), Works(_doors(), ledger, self.clock, workers=1)
            while not record.state.ended:
                await works(record, project, loaded, asyncio.Event())
                record = ledger.run(record.id) or record
                self.reasons.append(record.reason)
                opening = [one.opens_at for one in ledger.slices(record.id) if not one.ended and one.opens_at]
                self.clock.set(max([self.clock.now(), *([min(opening)] if opening else [])]))
            self.counted = Counter()
            for tally in ledger.tallies(record.id):
                self.counted[f"{tally.channel} {tally.outcome} {tally.reason}".strip()] += tally.count
            return record
        finally:
            ledger.close()

    def zone_of(self, address: str, zones: list[str]) -> ZoneInfo:
        return ZoneInfo(zones[int(address.partition("@")[0].partition(".")[2])])


def _doors() -> Doors:
    return Doors(wiring.open_audience, wiring.open_accounts)


def _to(outgoing: Outgoing) -> str:
    message = outgoing.message
    return message.to[0].address if isinstance(message, Email) else message.to


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    memory.reset()
    yield House(tmp_path)
    memory.reset()


@pytest.mark.parametrize("day", ["2026-03-08", "2026-04-05", "2026-10-25"])
async def test_everybody_is_written_to_at_their_own_nine_o_clock(house: House, day: str) -> None:
    """On days on which some of their clocks move."""
    house.campaign('{type: recurring, cron: "0 9 * * *", local_time: true}', f"{{quiet_hours: {NIGHT}}}")
    house.people(ZONES, each=2)
    trigger = load_trigger(house)
    (fire_time,) = fire_times(trigger, at(day) - timedelta(hours=1), at(day) + timedelta(hours=22))
    record = await house.work(fire_time, begins_at(trigger, fire_time))
    assert record.state is RunState.completed
    assert house.counted == {"email sent": 14, "sms skipped no_address": 14}
    assert Counter(address for _, address in house.sent) == {
        f"{i}.{n}@mail.example": 1 for n in range(7) for i in (0, 1)
    }
    shown = [when.astimezone(house.zone_of(address, ZONES)) for when, address in house.sent]
    assert {moment.strftime("%Y-%m-%d %H:%M") for moment in shown} == {f"{day} 09:00"}
    assert any(reason.startswith("waiting: ") for reason in house.reasons)


def load_trigger(house: House):
    project = wiring.open_project(house.root, None, None, {"CONNECT_SECRET": "a secret that is long enough"})
    campaign = load_campaign(project, "news").campaign
    assert campaign
    return campaign.trigger


async def test_nobody_is_written_to_in_quiet_hours(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(ZONES, each=3)
    fire_time = at("2026-06-10 22:10")
    record = await house.work(fire_time)
    assert record.state is RunState.completed
    assert house.counted == {"email sent": 21, "sms skipped no_address": 21}
    for when, address in house.sent:
        shown = when.astimezone(house.zone_of(address, ZONES))
        was = fire_time.astimezone(house.zone_of(address, ZONES))
        assert 8 <= shown.hour < 21
        assert when == fire_time if 8 <= was.hour < 21 else shown.strftime("%H:%M") == "08:00"


async def test_or_they_are_skipped(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT[:-1]}, action: skip}}}}")
    house.people(["Europe/London", "Asia/Tokyo", "America/New_York"])
    fire_time = at("2026-06-10 22:10")
    await house.work(fire_time)
    assert house.counted["email sent"] == 1
    assert house.counted["email skipped quiet_hours"] == 2
    assert house.sent == [(fire_time, "0.2@mail.example")]


async def test_a_channel_at_once_and_another_in_the_morning(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT[:-1]}, channels: [sms]}}}}")
    house.people(["Europe/London", "America/New_York"], each=2, phone="'+1212555' || lpad(i::text, 4, '0')")
    fire_time = at("2026-06-10 22:10")
    await house.work(fire_time)
    assert house.counted == {"email sent": 4, "sms sent": 4}
    times = {(when, "@" in to) for when, to in house.sent}
    assert times == {(fire_time, True), (fire_time, False), (at("2026-06-11 07:00"), False)}


async def test_who_is_reached_by_one_channel_is_not_reached_by_the_other_in_the_morning(house: House) -> None:
    house.campaign(policy=f"{{reach: first, quiet_hours: {NIGHT[:-1]}, channels: [sms]}}}}")
    house.people(["Europe/London", "America/New_York"], each=2, phone="'+1212555' || lpad(i::text, 4, '0')")
    await house.work(at("2026-06-10 22:10"))
    assert house.counted == {"email sent": 4, "sms skipped reached_elsewhere": 4}


async def test_rows_of_one_key_and_rows_without_are_counted_once_over_all_waves(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(["Europe/London", "Asia/Tokyo", "America/New_York"], each=5)
    house.sql("insert into people select * from people where email like '0.%'")
    house.sql("insert into people (email, timezone, subscribed) values ('nobody@mail.example', 'UTC', true)")
    await house.work(at("2026-06-10 22:10"))
    each = {"sent": 15, "skipped duplicate": 3, "refused missing_key": 1}
    assert {end: house.counted[f"email {end}"] for end in each} == each
    assert house.counted.total() == 2 * 19


async def test_an_opt_out_between_two_waves_counts(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(["America/New_York", "Europe/London"])

    def leave(outgoing: Outgoing, attempt: int) -> None:
        house.sent.append((house.clock.now(), _to(outgoing)))
        house.sql("update people set subscribed = false")

    memory.script("mail", leave)
    await house.work(at("2026-06-10 22:10"))
    assert [to for _, to in house.sent] == ["0.0@mail.example"]
    assert house.counted["email skipped unsubscribed"] == 1


async def test_with_a_copy_of_the_audience_everybody_is_where_they_were(house: House) -> None:
    """Between two waves all have moved: the copy, which is there until the end, does not know of it."""
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    file = house.root / "campaigns" / "news.yml"
    file.write_text(file.read_text().replace("from people}", "from people, snapshot: true}"))
    zones = ["America/New_York", "Europe/London"]
    house.people(zones, each=3)
    copies: list[int] = []

    def copied() -> int:
        with duckdb.connect(str(house.root / "shop.duckdb")) as connection:
            counted = "select count(*) from duckdb_tables() where table_name like 'connect_audience_%'"
            return int(connection.execute(counted).fetchall()[0][0])

    def all_move(outgoing: Outgoing, attempt: int) -> None:
        house.sent.append((house.clock.now(), _to(outgoing)))
        copies.append(copied())
        house.sql("update people set timezone = 'Asia/Tokyo'")
        house.sql("insert into people values ('new', 'new@mail.example', null, 'Europe/London', true)")

    memory.script("mail", all_move)
    record = await house.work(at("2026-06-10 22:10"))
    assert record.state is RunState.completed
    assert house.counted == {"email sent": 6, "sms skipped no_address": 6}
    told = Counter(to for _, to in house.sent)
    assert told == {f"{i}.{zone}@mail.example": 1 for zone in (0, 1) for i in range(3)}
    for when, to in house.sent:
        assert 8 <= when.astimezone(house.zone_of(to, zones)).hour < 21
    assert len({when for when, _ in house.sent}) == 2
    assert copies == [1] * 6
    assert copied() == 0


async def test_somebody_who_joins_later_is_not_written_to_in_quiet_hours(house: House) -> None:
    """Their zone was nobody's when the run began: they are in its last wave, if that is right for them."""
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    zones = ["America/New_York", "Europe/London", "Australia/Perth", "Africa/Lagos"]
    house.people(zones[:2])

    def join(outgoing: Outgoing, attempt: int) -> None:
        house.sent.append((house.clock.now(), _to(outgoing)))
        for number, zone in ((2, "Australia/Perth"), (3, "Africa/Lagos")):
            house.sql(f"delete from people where id = '{number}.0'")
            house.sql(f"insert into people values ('{number}.0', '0.{number}@mail.example', null, '{zone}', true)")

    memory.script("mail", join)
    record = await house.work(at("2026-06-10 22:10"))
    assert record.state is RunState.completed
    for when, address in house.sent:
        assert 8 <= when.astimezone(house.zone_of(address, zones)).hour < 21
    assert {"0.0@mail.example", "0.1@mail.example"} <= {to for _, to in house.sent}


async def test_a_run_that_begins_late_waits_for_the_next_morning(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(["Europe/London"], each=3)
    record = await house.work(at("2026-06-10 19:30"), start=at("2026-06-10 21:30"))
    assert record.state is RunState.completed
    assert {when for when, _ in house.sent} == {at("2026-06-11 07:00")}


async def test_a_run_that_is_slow_goes_on_in_the_morning(house: House) -> None:
    """Its window closes when some were sent; nobody hears twice, and nobody is left out."""
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(["Europe/London"], each=5000)

    def slow(outgoing: Outgoing, attempt: int) -> None:
        house.sent.append((house.clock.now(), _to(outgoing)))
        if len(house.sent) == 1500:
            house.clock.set(at("2026-06-10 20:00"))

    memory.script("mail", slow)
    record = await house.work(at("2026-06-10 19:30"))
    assert record.state is RunState.completed
    assert house.counted == {"email sent": 5000, "sms skipped no_address": 5000}
    assert set(Counter(to for _, to in house.sent).values()) == {1}
    (morning,) = {when.astimezone(ZoneInfo("Europe/London")) for when, _ in house.sent[4000:]}
    assert morning.day == 11
    assert 8 <= morning.hour <= 9  # in the same wave there may be somebody on the Azores
    assert house.reasons[0].startswith("waiting: ")


async def test_batches_are_spaced_out(house: House) -> None:
    house.campaign(policy="{batches: {count: 4, every: 1h}}")
    house.people(["Europe/London"], each=400)
    fire_time = at("2026-06-10 12:00")
    await house.work(fire_time)
    sizes = Counter(when for when, _ in house.sent)
    assert set(sizes) == {fire_time + timedelta(hours=number) for number in range(4)}
    assert min(sizes.values()) > 50
    assert len({to for _, to in house.sent}) == 400


async def test_what_can_not_go_out_in_time_has_expired(house: House) -> None:
    house.campaign(policy=f"{{expires_after: 10h, quiet_hours: {NIGHT}}}")
    house.people(["Europe/London", "Asia/Tokyo", "America/Los_Angeles", "Asia/Kolkata"])
    await house.work(at("2026-06-10 20:00"))  # Tokyo opens three hours later, Kolkata six and a half, London eleven
    assert house.counted["email skipped expired"] == 1
    assert {to for _, to in house.sent} == {"0.1@mail.example", "0.2@mail.example", "0.3@mail.example"}


async def test_in_test_mode_nothing_waits(house: House) -> None:
    house.campaign('{type: recurring, cron: "0 9 * * *", local_time: true}', f"{{quiet_hours: {NIGHT}}}")
    house.people(ZONES)
    fire_time = at("2026-06-10 22:10")
    record = await house.work(fire_time, mode=Mode.test)
    assert record.state is RunState.completed
    assert house.sent == [(fire_time, "staff@acme.example")]


async def test_the_ledger_knows_windows_and_nobodys_zone(house: House) -> None:
    house.campaign(policy=f"{{quiet_hours: {NIGHT}}}")
    house.people(ZONES, phone="'+1212555' || lpad(i::text, 4, '0')")
    await house.work(at("2026-06-10 22:10"))
    written = b"".join(file.read_bytes() for file in (house.root / ".connect").rglob("*") if file.is_file())
    assert b"20260611T" in written
    for said in ("Asia/Kolkata", "Kiritimati", "mail.example", "+1212", "1212555"):
        assert said.encode() not in written
