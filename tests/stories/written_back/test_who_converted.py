"""Who converted, by whichever message came last before it, and what they had done with that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connect.errors import UserError
from connect.pipeline.conversions import converted
from connect.pipeline.correspondence import HistoryTables
from connect.project.conversions import Conversions
from connect.project.text import Text
from connect.reports.parts import ConversionCount, Via
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig
from connect.vocabulary import Channel

TABLES = HistoryTables("shop", "sent_to", "heard_of")
NOW = datetime(2026, 9, 30, tzinfo=UTC)
EMAIL, SMS = Channel.email, Channel.sms

SENT = [
    # run, message_key, target, campaign, id, channel, outcome, written_at
    "'r1', 'k1', 'prod', 'hello', '7', 'email', 'sent', '2026-09-01 08:00+00'",
    "'r2', 'k2', 'prod', 'hello', '7', 'sms', 'sent', '2026-09-08 08:00+00'",
    "'r2', 'k3', 'prod', 'hello', '8', 'email', 'sent', '2026-09-08 08:00+00'",
    "'r2', 'k4', 'prod', 'hello', '9', 'email', 'failed', '2026-09-08 08:00+00'",
    "'r2', 'k5', 'prod', 'hello', null, 'email', 'sent', '2026-09-08 08:00+00'",
    "'r3', 'k6', 'prod', 'other', '10', 'email', 'sent', '2026-09-08 08:00+00'",
    "'r4', 'k7', 'test', 'hello', '10', 'email', 'sent', '2026-09-08 08:00+00'",
    "'r2', 'k8', 'prod', 'hello', '11', 'email', 'sent', '2026-09-08 08:00+00'",
    "'r2', 'k9', 'prod', 'hello', '12', 'email', 'sent', '2026-09-08 08:00+00'",
]
HEARD = [
    "'r2', 'k3', 'opened', false, '2026-09-08 09:00+00'",
    "'r2', 'k3', 'clicked', false, '2026-09-08 10:00+00'",
    "'r2', 'k8', 'clicked', true, '2026-09-08 09:00+00'",  # by a program
    "'r2', 'k8', 'opened', null, '2026-09-08 09:00+00'",
    "'r2', 'k9', 'clicked', false, '2026-09-20 09:00+00'",  # only afterwards
]
ORDERS = [
    "7, '2026-09-02 08:00+00', 10.50",  # after the e-mail
    "7, '2026-09-09 08:00+00', 20",  # after the text message, and for it alone
    "7, '2026-09-09 08:00+00', 20",  # two at one instant are two
    "7, '2026-09-30 08:00+00', 99",  # too late
    "7, '2026-08-30 08:00+00', 99",  # before everything
    "8, '2026-09-08 09:30+00', 1",  # opened by then, and not clicked yet
    "8, '2026-09-08 23:30+00', null",  # clicked by then; the next day in Berlin
    "9, '2026-09-09 08:00+00', 99",  # nothing was sent
    "10, '2026-09-09 08:00+00', 99",  # another campaign, another target
    "11, '2026-09-09 08:00+00', 3",
    "12, '2026-09-10 08:00+00', 4",
    "99, '2026-09-10 08:00+00', 99",  # a stranger
]


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def rig(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    try:
        with warehouse_rig(request.param, tmp_path_factory.mktemp("rig")) as rig:
            at = "timestamp with time zone"
            rig.execute(
                "create table sent_to (run text, message_key text, target text, campaign text, id text, channel text,"
                f" outcome text, written_at {at}, arm text)",
                f"create table heard_of (run text, message_key text, type text, machine boolean, happened_at {at})",
                f"create table orders (customer_id integer, paid_at {at}, total numeric(9, 2), note text)",
                *(f"insert into sent_to values ({row}, null)" for row in SENT),
                *(f"insert into heard_of values ({row})" for row in HEARD),
                *(f"insert into orders values ({row}, 'x')" for row in ORDERS),
            )
            yield rig
    except NoServer as missing:
        pytest.skip(str(missing))


def asked(rig: Any, sql: str, within: timedelta = timedelta(days=7)) -> dict[str, tuple[ConversionCount, ...]]:
    conversions = Conversions(sql=Text(source=sql, file="campaigns/hello.yml", line=7, column=8), within=within)
    values = {"since": datetime(2026, 9, 1, tzinfo=UTC), "until": NOW}
    return converted(conversions, rig.warehouse, TABLES, ("prod", "hello"), "Europe/Berlin", values)


ALL = "select customer_id as id, paid_at as at, total as value from orders"


def test_the_last_message_before_it_counts_and_none_else(rig: Any) -> None:
    found = asked(rig, ALL)
    received, opened, clicked = Via.received, Via.opened, Via.clicked
    assert set(found) == {"r1", "r2"}
    assert found["r1"] == (ConversionCount(EMAIL, "", received, date(2026, 9, 2), 1, 1, Decimal("10.50")),)
    assert set(found["r2"]) == {
        ConversionCount(SMS, "", received, date(2026, 9, 9), 2, 1, Decimal("40.00")),
        ConversionCount(EMAIL, "", opened, date(2026, 9, 8), 1, 1, Decimal("1.00")),
        ConversionCount(EMAIL, "", clicked, date(2026, 9, 9), 1, 0, None),
        ConversionCount(EMAIL, "", opened, date(2026, 9, 9), 1, 1, Decimal("3.00")),
        ConversionCount(EMAIL, "", received, date(2026, 9, 10), 1, 1, Decimal("4.00")),
    }


def test_it_counts_only_so_long_after_a_message(rig: Any) -> None:
    found = asked(rig, ALL, timedelta(hours=24))
    assert sum(one.count for counts in found.values() for one in counts) == 6  # the tenth is two days later
    assert sum(one.count for counts in asked(rig, ALL, timedelta(days=60)).values() for one in counts) == 8


def test_the_query_may_bind_its_window_and_needs_no_values(rig: Any) -> None:
    sql = "select customer_id as id, paid_at as at from orders where paid_at >= :since and paid_at < :until"
    found = asked(rig, sql)
    assert sum(one.count for counts in found.values() for one in counts) == 7
    assert {one.value for counts in found.values() for one in counts} == {None}


@pytest.mark.parametrize(
    ("sql", "code", "said"),
    [
        ("select paid_at as at from orders", "conversions-columns", "returns no `id`"),
        ("select customer_id as id from orders", "conversions-columns", "returns no `at`"),
        ("select customer_id as id, note as at from orders", "conversions-columns", "says when somebody converted"),
        ("select total as id, paid_at as at from orders", "key-type", "can not be compared as an id"),
        ("select customer_id as id, paid_on as at from orders", "sql-error", "paid_on"),
        ("select customer_id as id, paid_at as at, note as value from orders", "conversions-columns", "is no number"),
    ],
)
def test_what_is_wrong_with_the_query_is_shown_in_the_users_file(rig: Any, sql: str, code: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        asked(rig, sql)
    problem = raised.value.problems[0]
    assert problem.code == code
    assert said in problem.message
    assert problem.location is not None
    assert (problem.location.file, problem.location.line) == ("campaigns/hello.yml", 7)


CAMPAIGN = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content: [{channel: sms, body: Good day}]
conversions:
  sql: select who as id, paid as at from orders where paid >= :since
  within: 2d
"""


def test_a_report_has_them_and_stands_without_them(file: Any) -> None:
    """From the files to the terminal."""
    file.configure("destination: {}")
    file.crowd(5)
    file.init()
    file.shop.write("campaigns/hello.yml", CAMPAIGN)
    assert file.shop.connect("validate").error.place == "campaigns/hello.yml:9:42"  # there is no such table
    assert file.shop.run("hello").code == 0
    report = file.shop.connect("report", "hello")
    assert report.code == 0
    assert "who converted is not known: " in report.out
    assert "5 deliveries = 5 sent" in report.out

    file.change("create table orders (who text, paid timestamp with time zone)")
    asked = "select id, written_at + interval 1 hour from connect_deliveries where id in ('id-00001', 'id-00003')"
    file.change(f"insert into orders {asked}")
    assert file.shop.connect("validate").code == 0
    told = file.shop.connect("report", "hello", "--json").json
    assert told["figures"]["converted"] == {"total": 2, "unique": 2, "rate": 0.4, "of": "sent", "base": 5}
    assert told["conversions"]["after"] == {"clicked": 0, "opened": 0, "received": 2}
    assert told == {**file.shop.connect("report", "hello", "--json", "--from-warehouse").json, "from": "ledger"}
    assert "converted within 2 days of the last message: 2 after neither" in file.shop.connect("report", "hello").out


@pytest.mark.parametrize(
    ("destination", "code"),
    [("", "conversions-without-destination"), ("destination: {include: []}", "conversions-without-ids")],
)
def test_what_it_needs_is_said_before(file: Any, destination: str, code: str) -> None:
    file.configure(destination)
    file.shop.write("campaigns/hello.yml", CAMPAIGN)
    error = file.shop.connect("validate", "--no-warehouse").error
    assert (error.code, error.place) == (code, "campaigns/hello.yml:9:8")
