"""Opt-outs: by id, by address, by topic and channel; what transactional messages ignore, and what they never do."""

from __future__ import annotations

from typing import Any

import pytest

CAMPAIGN = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  topic: none
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: Good day
      text: Good day
    - channel: sms
      body: Good day
"""
COLUMNS = 'id text, address text, channel text, topic text, status text, "at" timestamp'
SUBSCRIPTIONS = """
subscriptions:
  sql: select * from opt_outs
unsubscribe: {url: "https://shop.example/leave"}
"""

# What each person's rows say. A person `id-00001` has `anna00001@mail.example` and `+61410000001`.
ROWS = [
    ("id-00001", None, None, None, "unsubscribed", None),  # by id, from everything
    ("id-00002", None, "email", None, "unsubscribed", None),  # by id, from e-mail
    ("id-00003", None, "SMS", None, "unsubscribed", None),  # by id, from SMS
    (None, " Anna00004@MAIL.example ", None, None, "unsubscribed", None),  # by address, whatever its case
    (None, "+61 410 000 005", None, None, "unsubscribed", None),  # by number, however it is written
    ("id-00006", None, None, "news", "unsubscribed", None),  # from a topic
    ("id-00007", None, None, "sales", "unsubscribed", None),  # from another topic
    ("id-00008", None, None, None, "subscribed", None),  # not at all
    ("id-00009", None, None, None, None, None),  # a null status is opted out
    ("id-00010", None, None, None, "bounced", None),
    ("id-00011", None, "email", None, "complained", None),
    ("id-00012", None, None, None, "unsubscribed", "2026-01-01"),  # came back
    ("id-00012", None, None, None, "subscribed", "2026-02-01"),
    ("id-00013", None, None, None, "subscribed", "2026-01-01"),  # and left again
    ("id-00013", None, None, None, "unsubscribed", "2026-02-01"),
    ("id-00014", None, None, "sales", "bounced", None),  # a bounce is about every message, whatever its topic
    (None, None, None, None, "unsubscribed", None),  # nobody: null equals nobody's id and nobody's address
    ("", "", None, None, "unsubscribed", None),
    ("id-99999", "stranger@mail.example", None, None, "unsubscribed", None),
]

# Plain SQL: the opt-outs that stand, and who they are about on a channel.
STANDING = """
with latest as (
    select *, row_number() over (
        partition by id, lower(trim(address)), lower(channel), topic order by "at" desc nulls last) as newest
    from opt_outs
), standing as (select * from latest where newest = 1 and status is distinct from 'subscribed')
"""
ABOUT = """
(s.id = p.id
 or '{channel}' = 'email' and lower(trim(s.address)) = lower(p.email)
 or '{channel}' = 'sms' and replace(s.address, ' ', '') = replace(p.phone_number, ' ', ''))
and (s.channel is null or lower(s.channel) = '{channel}')
and (s.topic is null or s.topic = '{topic}' or s.status in ('bounced', 'complained'))
"""


def expected(shop: Any, topic: str, *, transactional: bool = False) -> dict[tuple[str, str, str], int]:
    """What plain SQL says: for each channel and person the gravest opt-out that stands."""
    counts: dict[tuple[str, str, str], int] = {}
    ignored = "and s.status in ('bounced', 'complained')" if transactional else ""
    for channel in ("email", "sms"):
        about = ABOUT.format(channel=channel, topic=topic)
        rows = shop.sql(f"""{STANDING}
            select coalesce(reason, ''), count(*) from (
                select p.id, (select max(case s.status when 'complained' then 'complained'
                                         when 'bounced' then 'bounced' else 'unsubscribed' end)
                              from standing s where {about} {ignored}) as reason
                from people p) group by all""")
        counts |= {(channel, "skipped" if reason else "sent", reason): number for reason, number in rows}
    return counts


@pytest.fixture
def listed(shop: Any) -> Any:
    shop.people(20)
    shop.table("opt_outs", COLUMNS, ROWS)
    shop.configure(more=SUBSCRIPTIONS)
    return shop


def write(shop: Any, topic: str, transactional: bool = False) -> None:
    said = "transactional: true" if transactional else ""
    shop.campaign(CAMPAIGN.replace("topic: none", f"topic: {topic}\n  {said}".rstrip()))


@pytest.mark.parametrize("topic", ["news", "sales", "other"])
def test_each_counts_for_its_topic_and_channel(listed: Any, topic: str) -> None:
    write(listed, topic)

    ended = listed.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == expected(listed, topic)
    assert ended.counts["email", "skipped", "unsubscribed"] >= 4
    assert ended.counts["email", "skipped", "complained"] == 1
    assert ended.counts["sms", "skipped", "bounced"] == 2
    written_to = set(listed.addresses())
    assert "anna00001@mail.example" not in written_to  # by id
    assert "anna00004@mail.example" not in written_to  # by address
    assert ("anna00006@mail.example" in written_to) == (topic != "news")
    assert "anna00012@mail.example" in written_to  # came back
    numbers = {text.to for text in listed.texts()}
    assert "+61410000005" not in numbers
    assert "+61410000002" in numbers  # opted out of e-mail only


def test_a_transactional_message_ignores_opt_outs_and_never_bounces_or_complaints(listed: Any) -> None:
    write(listed, "news", transactional=True)

    ended = listed.run("hello", "--json")

    assert ended.counts == expected(listed, "news", transactional=True)
    assert ended.counts == {
        ("email", "sent", ""): 17,
        ("email", "skipped", "bounced"): 2,
        ("email", "skipped", "complained"): 1,
        ("sms", "sent", ""): 18,
        ("sms", "skipped", "bounced"): 2,
    }


def test_the_subscribed_column_counts_and_null_is_opted_out(shop: Any) -> None:
    shop.people(9)
    case = "case when id < 'id-00004' then true when id < 'id-00007' then false end as subscribed"
    shop.campaign(sql=f"sql: select *, {case} from people")

    ended = shop.run("hello", "--json")

    subscribed = shop.number("select count(*) from people where id < 'id-00004'")
    assert ended.counts == {
        ("email", "sent", ""): subscribed,
        ("email", "skipped", "unsubscribed"): shop.number("select count(*) from people") - subscribed,
    }


def test_either_source_is_enough(listed: Any) -> None:
    write(listed, "other")
    path = listed.root / "campaigns/hello.yml"
    query = "select *, id <> 'id-00020' as subscribed from people"
    path.write_text(path.read_text().replace("select * from people", query))

    counts = listed.run("hello", "--json").counts

    without = expected(listed, "other")
    for channel in ("email", "sms"):
        assert counts[channel, "sent", ""] == without[channel, "sent", ""] - 1
        assert counts[channel, "skipped", "unsubscribed"] == without[channel, "skipped", "unsubscribed"] + 1


def test_other_words_can_mean_subscribed(shop: Any) -> None:
    shop.people(4)
    rows = [("id-00001", "active"), ("id-00002", "pending"), ("id-00003", "subscribed")]
    shop.table("opt_outs", "id text, status text", rows)
    shop.configure(more=SUBSCRIPTIONS.replace("sql:", "subscribed_values: [active, pending]\n  sql:"))

    counts = shop.run("hello", "--json").counts

    opted_out = shop.number("select count(*) from opt_outs where status not in ('active', 'pending')")
    assert counts == {
        ("email", "sent", ""): shop.number("select count(*) from people") - opted_out,
        ("email", "skipped", "unsubscribed"): opted_out,
    }
    assert "anna00003@mail.example" not in shop.addresses()


def test_several_rows_about_one_person_make_one_delivery(shop: Any) -> None:
    shop.people(3)
    shop.table("opt_outs", "id text, address text", [("id-00001", None), (None, "anna00001@mail.example")] * 3)
    shop.configure(more=SUBSCRIPTIONS)

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): 2, ("email", "skipped", "unsubscribed"): 1}
