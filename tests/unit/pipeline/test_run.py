"""Whole runs in one process: how they end, pause, stop, go on, and add up."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from random import Random

import duckdb
import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.errors import Disposition, Problem, RunTrouble, UserError
from connect.identity import system_random
from connect.liquid.library import Library
from connect.pipeline import outcomes
from connect.pipeline.beginning import begin
from connect.pipeline.job import Stopped, Tools
from connect.pipeline.plan import plan_run
from connect.pipeline.run import execute
from connect.project.campaigns import load_campaign
from connect.project.load import templates
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.vocabulary import Mode, RunState

PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
mode: live
test_recipient: {email: staff@acme.example}
sources: {shop: {url: "duckdb:///shop.duckdb"}}
providers: {mail: {type: memory, concurrency: 2}}
channels: {email: mail, sms: mail}
unsubscribe: {url: "https://acme.example/off?t={{ url.token }}"}
"""
CAMPAIGN = """\
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: MAXIMUM}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "News for {{ user.name }}"
      text: "Dear {{ user.name }}"
    - channel: sms
      body: "Dear {{ user.name }}"
policy: {reach: REACH, in_doubt: skip}
"""


class House:
    """A project in this process."""

    def __init__(self, root) -> None:
        self.root = root
        (root / "campaigns").mkdir()
        (root / "connect.yml").write_text(PROJECT)
        self.campaign()
        self.seen = []

    def campaign(self, maximum=100_000, reach="first") -> None:
        text = CAMPAIGN.replace("MAXIMUM", str(maximum)).replace("REACH", reach)
        (self.root / "campaigns" / "news.yml").write_text(text)

    def sql(self, statement: str) -> None:
        with duckdb.connect(str(self.root / "shop.duckdb")) as connection:
            connection.execute(statement)

    def people(self, count: int, email="'person-' || i || '@mail.example'", phone="null::varchar") -> None:
        self.sql(
            f"create or replace table people as select i::varchar as id, {email} as email, {phone} as phone_number, "
            f"'Person ' || i as name, true as subscribed from range(1, {count + 1}) people(i)"
        )

    async def run(self, *, mode: Mode | None = None, stop: asyncio.Event | None = None, **options) -> RunState:
        environment = {"CONNECT_SECRET": "a secret that is long enough"}
        project = wiring.open_project(self.root, None, mode, environment)
        loaded = load_campaign(project, "news")
        texts, clock = templates(project.root), SystemClock()
        warehouse, ledger = wiring.open_warehouse(project, "shop"), wiring.open_ledger(project, clock)
        accounts = wiring.open_accounts(project, ["mail"])
        try:
            plan = plan_run(
                project, loaded, Library(texts), texts, warehouse, ledger, clock, reaches_people=True, **options
            )
            job = begin(plan, ledger, clock, system_random, accounts)
            return await execute(job, Tools(ledger, clock, Random(3), stop or asyncio.Event(), self.seen.append))
        finally:
            self.last = ledger.runs(limit=1)[0] if ledger.runs(limit=1) else None
            self.counted = Counter()
            for tally in ledger.tallies(self.last.id) if self.last else ():
                self.counted[f"{tally.channel} {tally.outcome} {tally.reason}".strip()] += tally.count
            self.near = ledger.intents(ledger.slice(self.last.id).id) if self.last else []
            warehouse.close()
            ledger.close()

    def reached(self) -> Counter[str]:
        return Counter(outgoing.message.to[0].address for outgoing in memory.sent("mail"))


@pytest.fixture
def house(tmp_path):
    memory.reset()
    yield House(tmp_path)
    memory.reset()


async def test_a_run_completes_adds_up_and_forgets_its_secrets(house):
    house.people(2500)
    assert await house.run() is RunState.completed
    assert house.counted == {"email sent": 2500, "sms skipped no_address": 2500}
    assert (house.near, house.last.salt, house.last.secret) == ([], None, None)
    assert set(house.reached().values()) == {1}
    assert (house.seen[-1].rows, house.seen[-1].share > 0.99) == (2500, True)


async def test_an_empty_audience_completes(house):
    house.people(0)
    assert await house.run() is RunState.completed
    assert house.counted == {}


async def test_duplicates_and_rows_without_a_key_are_counted(house):
    house.people(10)
    house.sql(
        "insert into people select * from people where id < '4'; insert into people (email) values ('a@b.example')"
    )
    await house.run()
    copies = sum(count for reason, count in house.counted.items() if reason.startswith("email")) - 10 - 1
    assert house.counted["email sent"] == 10
    assert house.counted["email skipped duplicate"] == house.counted["sms skipped duplicate"] == copies > 0
    assert house.counted["email refused missing_key"] == house.counted["sms refused missing_key"] == 1


async def test_reach_decides_the_channels(house):
    house.people(20, phone="'+614915' || lpad(i::varchar, 5, '0')")
    await house.run()
    assert house.counted == {"email sent": 20, "sms skipped reached_elsewhere": 20}
    house.campaign(reach="all")
    await house.run(again=True)
    assert house.counted == {"email sent": 20, "sms sent": 20}


async def test_test_mode_sends_one_copy_to_the_test_recipient_whatever_is_refused_before(house):
    house.people(50)
    house.sql("insert into people (email) values ('nobody@mail.example')")
    await house.run(mode=Mode.test)
    assert house.reached() == {"staff@acme.example": 1}
    assert house.counted["email skipped mode"] == 49
    await house.run(mode=Mode.offline)
    assert house.reached() == {"staff@acme.example": 1}


async def test_the_copy_of_test_mode_is_not_sent_again_after_a_crash(house):
    house.people(50)

    def explode(outgoing, attempt):
        raise ValueError

    memory.script("mail", explode)
    with pytest.raises(ValueError):
        await house.run(mode=Mode.test)
    memory.script("mail", None)
    await house.run(mode=Mode.test)
    assert house.reached() == {}
    assert house.counted["email unknown in_doubt"] == 1
    assert house.counted["email skipped mode"] == 49


async def test_stopping_leaves_a_run_that_goes_on(house):
    house.people(5000)
    stop = asyncio.Event()

    def ask(outgoing, attempt):
        stop.set()

    memory.script("mail", ask)
    with pytest.raises(Stopped):
        await house.run(stop=stop)
    assert (house.last.state, house.last.reason, house.near) == (RunState.stopped, "stopped on request", [])
    before = house.last.id
    memory.script("mail", None)
    assert await house.run() is RunState.completed
    assert house.last.id == before
    assert house.counted["email sent"] == 5000
    assert set(house.reached().values()) == {1}


async def test_stopping_is_noticed_while_the_account_makes_everyone_wait(house):
    house.people(5000)
    stop = asyncio.Event()

    def throttle(outgoing, attempt):
        asyncio.get_running_loop().call_soon(stop.set)
        return Receipt(Status.throttled, retry_after=timedelta(hours=1))

    memory.script("mail", throttle)
    with pytest.raises(Stopped):
        await house.run(stop=stop)
    assert house.near == []


@pytest.mark.parametrize("disposition", [Disposition.pause, Disposition.fail])
async def test_an_account_that_can_not_open_pauses_or_fails_the_run(house, disposition):
    house.people(5)
    memory.refuse_open("mail", RunTrouble(disposition, Problem("no", "the account is closed")))
    with pytest.raises(RunTrouble):
        await house.run()
    state = RunState.paused if disposition is Disposition.pause else RunState.failed
    assert (house.last.state, house.last.reason, house.counted) == (state, "the account is closed", {})
    memory.refuse_open("mail", None)
    assert await house.run() is RunState.completed


async def test_refused_credentials_in_the_middle_pause_and_mark_nobody(house):
    house.people(3000)
    memory.script("mail", lambda o, attempt: Receipt(Status.config) if memory.counts("mail").calls > 1 else None)
    with pytest.raises(RunTrouble):
        await house.run()
    assert house.last.state is RunState.paused
    assert house.counted.keys() <= {"email sent", "sms skipped no_address"}
    assert house.near == []
    memory.script("mail", None)
    await house.run()
    assert house.counted == {"email sent": 3000, "sms skipped no_address": 3000}
    assert set(house.reached().values()) == {1}


async def test_a_bug_pauses_the_run_without_its_words(house):
    house.people(5)

    def explode(outgoing, attempt):
        raise LookupError(outgoing.message.to[0].address)

    memory.script("mail", explode)
    with pytest.raises(LookupError):
        await house.run()
    assert (house.last.state, house.last.reason) == (RunState.paused, "internal error: LookupError")


async def test_an_audience_that_grows_past_its_limit_pauses(house):
    house.people(4000)
    house.campaign(maximum=4000)
    stop = asyncio.Event()
    memory.script("mail", lambda o, attempt: stop.set())
    with pytest.raises(Stopped):
        await house.run(stop=stop)
    house.sql("insert into people select 'new-' || id, 'new-' || email, phone_number, name, true from people")
    memory.script("mail", None)
    with pytest.raises(RunTrouble) as caught:
        await house.run()
    assert caught.value.problems[0].code == "audience-over-limit"
    assert house.last.state is RunState.paused
    assert house.counted["email sent"] <= 4000


async def test_nothing_waits_for_ever_when_many_are_ahead_of_the_cursor(house, monkeypatch):
    """More people fail for now than may be ahead: their retries must go on although reading waits."""
    monkeypatch.setattr(outcomes, "FARTHEST_AHEAD", 1500)  # more than a batch of rows
    house.people(4000)
    memory.script("mail", lambda o, attempt: Receipt(Status.transient) if attempt == 1 else None)
    async with asyncio.timeout(60):
        assert await house.run() is RunState.completed
    assert house.counted["email sent"] == 4000


async def test_a_pause_lets_go_of_a_run_that_waits_for_room(house, monkeypatch):
    monkeypatch.setattr(outcomes, "FARTHEST_AHEAD", 1500)  # more than a batch of rows
    house.people(4000)
    memory.script("mail", lambda o, attempt: Receipt(Status.transient if attempt == 1 else Status.quota))
    async with asyncio.timeout(60):
        with pytest.raises(RunTrouble):
            await house.run()
    assert house.last.state is RunState.paused


async def test_what_ran_live_is_not_repeated_unless_said(house):
    house.people(3)
    await house.run()
    with pytest.raises(UserError) as caught:
        await house.run()
    assert caught.value.problems[0].code == "already-ran"
    await house.run(again=True)
    assert set(house.reached().values()) == {2}


async def test_the_ledger_keeps_the_campaign_and_no_people(house):
    house.people(3)
    await house.run()
    stored = json.loads(house.last.campaign_json)
    assert stored["campaign"]["name"] == "news"
    assert "mail.example" not in house.last.campaign_json
