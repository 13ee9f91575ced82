"""A campaign says what its file, its message and its project's defaults say together."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from connect.errors import UserError
from connect.project.campaign import STORED_WITHOUT, Campaign
from connect.project.campaigns import campaign_names, load_campaign, load_campaigns, load_message
from connect.project.text import Text
from connect.project.types import Rate
from connect.vocabulary import CampaignStatus, Channel, InDoubt, Missed, Overlap, QuietAction, QuietZone, Reach

FULL = """
name: renamed
description: no
status: live
trigger:
  type: recurring
  cron: "0  9 * * mon-fri"
  timezone: Europe/Berlin
  starts_at: 2026-01-01
  ends_at: 2026-06-01T09:00+10:00
  grace: 2d
audience:
  source: events
  sql_file: big.sql
  params:
    {plan: pro, days: 3, ratio: 1.50, code: 0123, phone: +61400, quoted: "3", on: true, none: ~, list: [1, {a: no}]}
  key: [id, invoice_id]
  timeout: 90s
  limits: {min: 1, max: 5000, max_change: 12.5%}
  clock: warehouse
examples:
  - {id: 0123, name: Ann, vip: true}
message:
  transactional: true
  topic: billing
  undefined: blank
  nulls: refuse
  content:
    - channel: email
      from: Acme <hello@acme.example>
      to: "{{ user.work_email }}"
      cc: a@example.com
      bcc: b@example.com
      reply_to: c@example.com
      subject: You owe ${{ user.total }}
      preheader: Soon
      html: {file: mails/bill.html}
      text: |
        You owe
        {{ user.total }}
      headers: {X-Campaign: "{{ campaign.name }}"}
      attachments:
        - {filename: terms.pdf, file: terms.pdf}
        - {filename: "{{ user.id }}.ics", content: {file: bill.ics}, content_type: text/calendar}
      provider: relay
    - channel: email
      locale: fr_CA
      subject: Facture
      html: <p>Facture</p>
    - channel: sms
      body: You owe {{ user.total }}
      from: Acme
policy: {reach: first, in_doubt: resend}
"""


@pytest.fixture
def full(folder):
    folder.write("audiences/big.sql", "select 1 as id\n")
    folder.write("templates/mails/bill.html", "<p>Bill</p>\n")
    folder.write("templates/bill.ics", "BEGIN:VCALENDAR {{ user.id }}\n")
    (folder.root / "templates/terms.pdf").write_bytes(b"%PDF\xff\x00")
    folder.write("campaigns/full.yml", FULL)
    loaded = load_campaign(folder.project(), "renamed")
    assert loaded.problems == ()
    return loaded


def test_everything_that_may_be_written(full):
    campaign = full.campaign
    assert (campaign.name, campaign.description, campaign.status) == ("renamed", "no", CampaignStatus.live)
    assert campaign.file == "campaigns/full.yml"
    assert campaign.trigger.cron == "0 9 * * mon-fri"
    assert campaign.trigger.starts_at == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert campaign.trigger.ends_at == datetime(2026, 5, 31, 23, tzinfo=UTC)
    assert campaign.trigger.grace == timedelta(days=2)
    assert (campaign.policy.reach, campaign.policy.in_doubt) == (Reach.first, InDoubt.resend)


def test_what_triggers_say_of_missed_and_overlapping_fire_times(folder, campaign_text):
    def trigger(text):
        loaded = folder.campaign(campaign_text(trigger=f"trigger: {text}"))
        assert loaded.problems == ()
        return loaded.campaign.trigger

    plain = trigger("{type: recurring, cron: 0 9 * * mon}")
    assert (plain.missed, plain.overlap, plain.grace) == (Missed.latest, Overlap.queue, timedelta(hours=6))
    assert (plain.timezone, plain.local_time) == ("Australia/Sydney", False)
    told = trigger("{type: scheduled, at: 2026-10-04T02:30, local_time: true, missed: skip, overlap: skip, grace: 2d}")
    assert (told.missed, told.overlap, told.grace) == (Missed.skip, Overlap.skip, timedelta(days=2))
    assert (told.at, told.local_time) == (datetime(2026, 10, 3, 16, tzinfo=UTC), True)  # the end of the gap


@pytest.mark.parametrize(
    ("at", "instant"),
    [
        ("2026-10-04T01:59:59", "2026-10-03T15:59:59Z"),
        ("2026-10-04T02:00", "2026-10-03T16:00Z"),  # the clock goes from 2:00 to 3:00
        ("2026-10-04T02:30:15", "2026-10-03T16:00Z"),
        ("2026-10-04T03:00", "2026-10-03T16:00Z"),
        ("2026-04-05T02:30", "2026-04-04T15:30Z"),  # twice: the first
        ("2026-04-05T02:30+10:00", "2026-04-04T16:30Z"),
    ],
)
def test_a_local_time_on_the_day_of_a_change(folder, campaign_text, at, instant):
    loaded = folder.campaign(campaign_text(trigger=f"trigger: {{type: scheduled, at: {at}}}"))
    assert loaded.campaign.trigger.at == datetime.fromisoformat(instant)


def test_events_and_calls(folder, campaign_text):
    polls = folder.campaign(campaign_text(trigger="trigger: {type: event, every: 5m}")).campaign.trigger
    assert (polls.every, polls.lag) == (timedelta(minutes=5), timedelta(minutes=1))
    late = folder.campaign(campaign_text(trigger="trigger: {type: event, every: 10s, lag: 0s, missed: all}"))
    assert (late.campaign.trigger.every, late.campaign.trigger.lag) == (timedelta(seconds=10), timedelta(0))
    text = "trigger: {type: api, recipients: true, parameters: {properties: {n: {type: integer, maximum: 3}}}}"
    called = folder.campaign(campaign_text(trigger=text)).campaign.trigger
    assert called.parameters == {"properties": {"n": {"type": "integer", "maximum": 3}}}
    assert called.recipients is True
    assert folder.campaign(campaign_text(trigger="trigger: {type: api}")).campaign.trigger.parameters == {}


POLICY = """
trigger: {type: immediate}
policy:
  rate: 600/m
  batches: {count: 4, every: 30m}
  quiet_hours:
    from: 21:00
    to: 08:00
    timezone: project
    channels: [sms]
    action: skip
    countries: {NO: {from: 20:30, to: 09:00}}
  expires_after: 2d
"""


def test_a_policy(folder, campaign_text):
    policy = folder.campaign(campaign_text(trigger=POLICY)).campaign.policy
    assert policy.rate == Rate(600, timedelta(minutes=1))
    assert (policy.batches.count, policy.batches.every) == (4, timedelta(minutes=30))
    assert policy.expires_after == timedelta(days=2)
    quiet = policy.quiet_hours
    assert (quiet.start, quiet.end) == (time(21), time(8))
    assert (quiet.timezone, quiet.channels, quiet.action) == (QuietZone.project, (Channel.sms,), QuietAction.skip)
    assert {name: (hours.start, hours.end) for name, hours in quiet.countries.items()} == {
        "NO": (time(20, 30), time(9))
    }


def test_a_policy_is_stored_and_loads_again(folder, campaign_text):
    campaign = folder.campaign(campaign_text(trigger=POLICY)).campaign
    stored = campaign.model_dump_json(exclude=STORED_WITHOUT)
    assert Campaign.model_validate_json(stored).policy == campaign.policy


def test_nothing_is_held_back_where_the_policy_does_not_say_so(folder, campaign_text):
    policy = folder.campaign(campaign_text()).campaign.policy
    assert (policy.rate, policy.batches, policy.quiet_hours, policy.expires_after) == (None, None, None, None)
    only = folder.campaign(campaign_text(trigger="trigger: {type: immediate}\npolicy: {quiet_hours: {action: skip}}"))
    quiet = only.campaign.policy.quiet_hours
    assert (quiet.start, quiet.end, quiet.timezone, quiet.channels) == (None, None, QuietZone.user, None)


def test_a_campaign_changes_a_part_of_the_project_s_quiet_hours(folder, campaign_text):
    text = (folder.root / "connect.yml").read_text()
    hours = "defaults: {policy: {quiet_hours: {from: 21:00, to: 08:00}, rate: 5/s}}\n"
    folder.write("connect.yml", text + hours)
    changed = "trigger: {type: immediate}\npolicy: {quiet_hours: {to: 09:30}, rate: ~}"
    policy = folder.campaign(campaign_text(trigger=changed)).campaign.policy
    assert (policy.quiet_hours.start, policy.quiet_hours.end, policy.rate) == (time(21), time(9, 30), None)


def test_an_audience(full):
    audience = full.campaign.audience
    assert audience.sql == Text(source="select 1 as id\n", file="audiences/big.sql")
    assert (audience.source, audience.key, audience.timeout) == ("events", ("id", "invoice_id"), timedelta(seconds=90))
    assert audience.limits.model_dump() == {"min": 1, "max": 5000, "max_change": Decimal("0.125")}
    assert audience.clock_warehouse is True
    assert audience.people is None


def test_free_values_are_converted_only_where_they_are_not_quoted(full):
    assert full.campaign.audience.params == {
        "plan": "pro",
        "days": 3,
        "ratio": Decimal("1.50"),
        "code": "0123",
        "phone": "+61400",
        "quoted": "3",
        "on": True,
        "none": None,
        "list": [1, {"a": "no"}],
    }
    assert full.campaign.examples == ({"id": "0123", "name": "Ann", "vip": True},)
    assert type(full.campaign.examples[0]["name"]) is str


def test_content(full):
    message = full.campaign.message
    assert (message.transactional, message.topic, message.undefined, message.nulls) == (
        True,
        "billing",
        "blank",
        "refuse",
    )
    email, french, sms = message.content
    assert [content.provider.written for content in (email, french, sms)] == ["relay", "relay", "box"]
    assert email.subject.source == "You owe ${{ user.total }}"
    assert email.html == Text(source="<p>Bill</p>\n", file="templates/mails/bill.html")
    assert email.text.at(email.text.source.index("{{")).line == FULL.split("\n").index("        {{ user.total }}")
    assert email.headers["X-Campaign"].source == "{{ campaign.name }}"
    assert email.attachments[0].data == b"%PDF\xff\x00"
    assert email.attachments[1].content.source == "BEGIN:VCALENDAR {{ user.id }}\n"
    assert (sms.body.source, sms.sender.source, sms.to.source) == (
        "You owe {{ user.total }}",
        "Acme",
        "{{ user.phone_number }}",
    )


def test_a_locale_inherits_what_it_leaves_out_but_not_a_text_in_another_language(full):
    email, french, _ = full.campaign.message.content
    assert (french.locale, french.subject.source, french.html.source) == ("fr-CA", "Facture", "<p>Facture</p>")
    assert french.sender == email.sender
    assert french.text is None


def test_a_stored_campaign_loads_again_without_its_files(full):
    assert Campaign.model_validate_json(full.campaign.model_dump_json()) == full.campaign
    stored = full.campaign.model_dump_json(exclude=STORED_WITHOUT)
    assert "0123" in stored
    assert "Ann" not in stored
    assert Campaign.model_validate_json(stored) == full.campaign.model_copy(update={"examples": ()})


def test_people_are_not_stored(folder, campaign_text):
    loaded = folder.campaign(campaign_text(audience="audience:\n  people: [{id: 1, email: canary@example.com}]"))
    assert loaded.campaign.audience.people == ({"id": 1, "email": "canary@example.com"},)
    stored = loaded.campaign.model_dump_json(exclude=STORED_WITHOUT)
    assert "canary" not in stored
    assert Campaign.model_validate_json(stored).audience.people is None


def test_the_digest_changes_with_what_has_an_effect_and_with_nothing_else(folder, campaign_text):
    first = folder.campaign().campaign.digest
    assert len(first) == 64
    assert folder.campaign("# moved down\n" + campaign_text()).campaign.digest == first
    assert folder.campaign(campaign_text() + "examples: [{id: 1}]\n").campaign.digest == first
    assert folder.campaign(campaign_text(body="      text: Good night")).campaign.digest != first
    assert folder.campaign(campaign_text() + "policy: {reach: first}\n").campaign.digest != first


def test_a_date_without_an_offset_is_local_to_the_trigger(folder, campaign_text):
    loaded = folder.campaign(campaign_text(trigger="trigger: {type: scheduled, at: 2026-07-01T09:00}"))
    assert loaded.campaign.trigger.timezone == "Australia/Sydney"
    assert loaded.campaign.trigger.at == datetime(2026, 6, 30, 23, tzinfo=UTC)


def test_two_files_of_one_name_each_name_the_other(folder, campaign_text):
    folder.write("campaigns/a.yml", "name: hello\n" + campaign_text())
    folder.campaign()
    found = load_campaigns(folder.project())
    assert set(found) == {"a", "hello"}
    first, second = (loaded.problems[0] for loaded in found.values())
    assert {first.code, second.code} == {"duplicate-campaign"}
    assert (first.location.file, "campaigns/hello.yml" in first.message) == ("campaigns/a.yml", True)
    assert (second.location.file, "campaigns/a.yml" in second.message) == ("campaigns/hello.yml", True)


def test_all_campaigns_by_name_and_broken_ones_by_stem(folder, campaign_text):
    folder.write("campaigns/a.yml", "name: first\n" + campaign_text())
    folder.write("campaigns/b.yml", "name: [")
    folder.write("campaigns/c.yml", "name: third\n")
    project = folder.project()
    assert campaign_names(project) == ("b", "first", "third")
    found = load_campaigns(project)
    assert {name: loaded.campaign is not None for name, loaded in found.items()} == {
        "b": False,
        "first": True,
        "c": False,
    }


def test_an_unknown_campaign_suggests_the_nearest(folder):
    folder.campaign()
    with pytest.raises(UserError, match="did you mean `hello`") as caught:
        load_campaign(folder.project(), "helo")
    assert caught.value.problems[0].code == "unknown-campaign"


MESSAGE = """
topic: news
content:
  - channel: sms
    body: Hello
"""


def test_a_message_of_its_own_file(folder):
    folder.write("messages/greeting.yml", MESSAGE)
    loaded = folder.campaign("trigger: {type: immediate}\naudience: {sql: select 1}\nmessage: greeting\n")
    assert loaded.problems == ()
    message = loaded.campaign.message
    assert (message.name, message.topic, message.content[0].provider.to()) == ("greeting", "news", ("box",))
    assert message.content[0].body.file == "messages/greeting.yml"
    assert load_message(folder.project(), "greeting").message == message


def test_mistakes_in_a_message_are_found_in_its_file(folder):
    folder.write("messages/greeting.yml", MESSAGE + "colour: red\n")
    loaded = folder.campaign("trigger: {type: immediate}\naudience: {sql: select 1}\nmessage: greeting\n")
    assert [str(problem.location) for problem in loaded.problems] == ["messages/greeting.yml:5:1"]
    assert load_message(folder.project(), "greeting").message is None
    other = folder.campaign("trigger: {type: immediate}\naudience: {sql: select 1}\nmessage: greting\n")
    assert [(problem.code, problem.hint) for problem in other.problems] == [
        ("unknown-message", "did you mean `greeting`?")
    ]
    with pytest.raises(UserError, match="greeting"):
        load_message(folder.project(), "greting")


def test_two_contents_that_nobody_could_tell_apart(folder, campaign_text):
    twice = "      text: x\n    - {channel: sms, body: a}\n    - {channel: sms, body: b}"
    assert folder.problem(campaign_text(body=twice)).code == "duplicate-content"


def test_a_channel_without_a_provider(folder, campaign_text):
    text = (folder.root / "connect.yml").read_text()
    folder.write("connect.yml", text.replace("  sms: box\n", ""))
    found = folder.problem(campaign_text(body="      text: x\n    - {channel: sms, body: a}"))
    assert (found.code, "channels.sms" in found.hint) == ("no-provider", True)
