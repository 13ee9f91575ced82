"""The JSON Schemas agree with the loader, so that editors complete and check as one types."""

from __future__ import annotations

from textwrap import dedent

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from connect.errors import UserError
from connect.project.schema import schema

SCHEMAS = schema()


def accepts(name, text):
    """Whether the schema accepts the file as an editor reads it: plain YAML 1.2, dates left as text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)
    return Draft202012Validator(SCHEMAS[name]).is_valid(yaml.load(dedent(text)))


def loads_project(folder, text):
    folder.write("connect.yml", text)
    try:
        folder.project()
    except UserError:
        return False
    return True


@pytest.mark.parametrize("name", ["connect", "campaign", "message"])
def test_each_is_a_valid_schema_whose_keys_say_what_they_mean(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "description" in str(SCHEMAS[name])


def test_durations_stand_in_it_as_people_write_them():
    assert SCHEMAS["campaign"]["$defs"]["Event"]["properties"]["grace"]["default"] == "6h"
    assert SCHEMAS["campaign"]["$defs"]["Event"]["properties"]["lag"]["default"] == "1m"


def test_nobody_is_told_of_keys_that_nobody_writes():
    assert not {"file", "digest"} & SCHEMAS["campaign"]["properties"].keys()
    assert "name" not in SCHEMAS["message"]["properties"]
    assert "clock" in SCHEMAS["campaign"]["$defs"]["Audience"]["properties"]
    assert "from" in SCHEMAS["campaign"]["$defs"]["EmailContent"]["properties"]
    assert not {"Route", "Tree", "SecretText", "Text"} & SCHEMAS["campaign"]["$defs"].keys()


def test_defaults_stand_in_it_as_people_write_them():
    email = SCHEMAS["campaign"]["$defs"]["EmailContent"]["properties"]
    assert email["to"]["default"] == "{{ user.email }}"
    assert "default" not in email["provider"]


CAMPAIGNS = [
    """
    trigger: {type: immediate}
    audience: {csv: lists/*.csv}
    message: {content: [{channel: sms, body: Hi}]}
    """,
    """
    trigger: {type: immediate}
    audience: {people: [{id: 1, anything: [1, {a: ~}]}], params: {a: 1}}
    message: {content: [{channel: sms, body: Hi}]}
    """,
    """
    name: 2026
    description: 5
    status: paused
    trigger: {type: scheduled, at: 2026-07-01, timezone: Europe/Berlin, grace: 30s}
    audience:
      {sql: select 1, key: [id, 1], timeout: 5m, limits: {min: "1", max: 10, max_change: 12.5%}, clock: warehouse}
    examples: [{id: 1}]
    message:
      topic: 1
      transactional: "true"
      undefined: blank
      nulls: refuse
      content:
        - {channel: email, from: a@example.com, subject: 1, text: true, cc: ~, headers: {X-A: 1}}
        - channel: email
          locale: no
          html: {file: a.html}
          attachments: [{filename: a, content: b}, {filename: a, file: a.html}]
          track: {opens: true, clicks: auto}
          utm: {source: 1, medium: ~, campaign: spring}
    policy: {reach: first, in_doubt: ~}
    """,
    """
    trigger: {type: recurring, cron: "0 9 * * mon", starts_at: 2026-01-01T09:00, ends_at: ~, timezone: ~}
    audience: {sql_file: a.sql, source: shop}
    message: greeting
    policy: ~
    """,
    """
    trigger:
      {type: recurring, cron: "0 9 * * *", missed: all, overlap: skip, local_time: true, grace: 2d, ends_at: 2027-01-01}
    audience: {sql: select 1}
    message: {content: [{channel: sms, body: Hi}]}
    policy:
      rate: 600/m
      batches: {count: "4", every: 30m}
      quiet_hours:
        from: 21:00
        to: "08:00"
        timezone: project
        channels: [email, sms]
        action: skip
        countries: {NO: {from: 20:30, to: 09:00}}
      expires_after: 2d
    """,
    """
    trigger: {type: event, every: 5m, lag: 0s, missed: skip, overlap: queue}
    audience: {sql: "select 1 where :since < :until"}
    message: {content: [{channel: sms, body: Hi}]}
    policy: {rate: ~, batches: ~, quiet_hours: {action: skip, from: ~}, expires_after: ~}
    """,
    """
    trigger: {type: immediate}
    audience: {sql: select 1}
    message:
      content:
        - channel: push
          provider: {ios: box, android: [box, relay], default: ~}
          title: 1
          body: {file: a.html}
          data: {order: 12, gone: ~, page: {file: a.html}}
          image: https://acme.example/a.png
          badge: 1
          sound: default
          url: acme://orders
          ttl: 1h
          collapse_key: order
          ios: {aps: {interruption-level: passive}}
          android: {priority: HIGH}
        - channel: push
          locale: fr
          title: Bonjour
        - channel: http
          provider: [box, relay]
          url: https://acme.example/hook
          method: PUT
          headers: {Authorization: "Bearer ${SMTP_PASSWORD}", X-Id: 12, X-None: ~}
          body: {text: "Hi {{ user.id }}", nested: [{a: ~}, 1.5, true]}
          signing_secret: ${CONNECT_SECRET}
          allow_private: true
        - {channel: http, locale: fr, body: [a, "{{ user.id }}"]}
        - {channel: http, locale: de, body: "{{ user.id }}"}
        - {channel: http, locale: it, body: {file: a.html}}
        - {channel: sms, provider: box, body: Hi, max_segments: "3"}
    """,
    """
    trigger: {type: scheduled, at: 2026-07-01T09:00, local_time: "true", missed: latest}
    audience: {sql: select 1}
    message: {content: [{channel: sms, body: Hi}]}
    """,
    """
    trigger: {type: api, recipients: true, parameters: {type: object, properties: {order: {type: string}}}}
    audience: {sql: select 1}
    message: {content: [{channel: sms, body: Hi}]}
    """,
]


@pytest.mark.parametrize("text", CAMPAIGNS)
def test_campaigns_that_both_accept(folder, text):
    folder.write("templates/a.html", "<p>Hi</p>")
    folder.write("audiences/a.sql", "select 1")
    folder.write("messages/greeting.yml", "content: [{channel: sms, body: Hi}]")
    loaded = folder.campaign(text, name="2026" if "2026\n" in text else "hello")
    assert loaded.problems == ()
    assert accepts("campaign", text)


GOOD = {
    "trigger": "{type: immediate}",
    "audience": "{sql: select 1}",
    "message": "{content: [{channel: sms, body: Hi}]}",
    "policy": "{}",
}
PUSH = "{content: [{channel: push, provider: box, title: Hi, body: Ho, %s}]}"
HTTP = "{content: [{channel: http, provider: box, body: {a: b}, %s}]}"
CONTENT = "{content: [{channel: email, from: a@example.com, subject: Hi, text: Hi, %s}]}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trigger", None),
        ("trigger", "~"),
        ("trigger", "immediate"),
        ("trigger", "{type: never}"),
        ("trigger", "{type: event}"),
        ("trigger", "{type: recurring}"),
        ("trigger", "{type: recurring, cron: '@daily'}"),
        ("trigger", "{type: recurring, cron: 0 9 * *}"),
        ("trigger", "{type: scheduled, at: tomorrow}"),
        ("trigger", "{type: immediate, grace: soon}"),
        ("trigger", "{type: immediate, grace: 5}"),
        ("trigger", "{type: immediate, timezone: +10:00}"),
        ("trigger", "{type: immediate, missed: last}"),
        ("trigger", "{type: immediate, overlap: wait}"),
        ("trigger", "{type: immediate, local_time: true}"),
        ("trigger", "{type: recurring, cron: 0 9 * * mon, local_time: maybe}"),
        ("trigger", "{type: event, every: soon}"),
        ("trigger", "{type: event, every: 5m, overlap: skip}"),
        ("trigger", "{type: event, every: 5m, cron: 0 9 * * mon}"),
        ("trigger", "{type: api, parameters: [order]}"),
        ("audience", "{}"),
        ("audience", "{sql: ~}"),
        ("audience", "{sql: a, sql_file: b}"),
        ("audience", "{sql: a, snapshot: maybe}"),
        ("audience", "{segments: lapsed}"),
        ("audience", "{sql: a, segments: {}}"),
        ("audience", "{sql: a, segments: {some: [lapsed]}}"),
        ("audience", "{sql: a, segments: {all: [{name: lapsed}]}}"),
        ("audience", "{sql: a, key: []}"),
        ("audience", "{sql: a, clock: mine}"),
        ("audience", "{sql: a, limits: {max: many}}"),
        ("audience", "{sql: a, limits: {max_change: 101%}}"),
        ("audience", "{sql: a, limits: {max_change: 0.5}}"),
        ("audience", "{people: [1]}"),
        ("message", "{}"),
        ("message", "{content: [{channel: fax}]}"),
        ("message", PUSH % "mjml: a"),
        ("message", "{content: [{channel: push, title: a, body: b, provider: {windows: box}}]}"),
        ("message", "{content: [{channel: push, title: a, body: b, provider: {ios: []}}]}"),
        ("message", PUSH % "ttl: soon"),
        ("message", PUSH % "ios: [a]"),
        ("message", PUSH % "data: [a]"),
        ("message", HTTP % "method: GET"),
        ("message", HTTP % "headers: {X-A: [1]}"),
        ("message", HTTP % "signing_secret: literal"),
        ("message", HTTP % "allow_private: maybe"),
        ("message", "{content: [{channel: http, body: b, provider: {ios: box}}]}"),
        ("message", "{content: [{channel: sms, body: Hi, max_segments: 0}]}"),
        ("message", "{content: [{channel: sms, body: Hi, provider: {ios: box}}]}"),
        ("message", "{content: [{body: Hi}]}"),
        ("message", "{content: [{channel: sms, body: [a]}]}"),
        ("message", "{content: [{channel: sms, body: {fiel: a}}]}"),
        ("message", "{content: [{channel: sms, body: Hi}], transactional: maybe}"),
        ("message", "{content: [{channel: sms, body: Hi}], undefined: ignore}"),
        ("message", CONTENT % "mjml: a"),
        ("message", CONTENT % "colour: red"),
        ("message", CONTENT % "locale: 21"),
        ("message", CONTENT % "attachments: [{filename: a}]"),
        ("message", CONTENT % "track: true"),
        ("message", CONTENT % "track: {opens: maybe}"),
        ("message", CONTENT % "utm: [a]"),
        ("message", CONTENT % "utm: {sorce: a}"),
        ("policy", "{approval: plan}"),
        ("policy", "{reach: some}"),
        ("policy", "{rate: 5}"),
        ("policy", "{rate: 0/s}"),
        ("policy", "{batches: {count: 1, every: 5m}}"),
        ("policy", "{quiet_hours: {from: 21:00, to: 8 am}}"),
        ("policy", "{quiet_hours: {from: 21:00, to: 08:00, channels: []}}"),
        ("policy", "{quiet_hours: {from: 21:00, to: 08:00, timezone: theirs}}"),
        ("policy", "{quiet_hours: {countries: {UK: {from: 21:00, to: 08:00}}}}"),
        ("policy", "{expires_after: soon}"),
        ("colour", "red"),
        ("experiment", "{}"),
        ("digest", "abc"),
    ],
)
def test_campaigns_that_both_refuse(folder, key, value):
    values = {**GOOD, key: value}
    text = "".join(f"{name}: {written}\n" for name, written in values.items() if written is not None)
    assert folder.campaign(text).campaign is None
    assert not accepts("campaign", text)


def test_what_is_good_is_accepted_by_both(folder):
    text = "".join(f"{name}: {written}\n" for name, written in GOOD.items())
    assert folder.campaign(text).problems == ()
    assert accepts("campaign", text)


PROJECTS = [
    "name: shop\n",
    """
    name: shop
    timezone: Australia/Sydney
    mode: live
    default_target: prod
    test_recipient:
      {email: me@example.com, phone_number: 61400, device_token: 12, platform: ios, http: https://acme.example/hook}
    state: sqlite:///a.db
    secret: ["${CONNECT_SECRET}"]
    sources: {shop: {url: "duckdb:///a", threads: 2}, old: ~}
    providers: {box: {type: outbox, concurrency: 2, timeout: 5s, rate: 50/s}, relay: {type: smtp, host: h}}
    channels: {email: [box, relay], sms: ~, push: {ios: box, android: [relay, box], web: ~, default: box}, http: box}
    subscriptions: {sql: select 1, subscribed_values: 1}
    everyone: select 1 as id
    profile: {source: shop, sql: "select 1 as id where 1 = :id"}
    unsubscribe: {url: https://acme.example, mailto: a@example.com}
    defaults:
      message:
        topic: a
        email: {from: a@example.com, attachments: [], track: {opens: ~}, utm: true}
        sms: {from: Acme, max_segments: 3}
        push: {sound: default, provider: {web: box}, ios: {aps: {badge: 1}}}
        http: {headers: {Authorization: "Bearer ${SMTP_PASSWORD}"}, signing_secret: "${CONNECT_SECRET}"}
      policy: {reach: all, quiet_hours: {from: 21:00, to: 08:00}}
    serve: {base_url: https://acme.example}
    targets:
      dev: ~
      prod: {mode: test, channels: {email: relay}, providers: {relay: {host: g}}, subscriptions: {source: shop}}
    """,
    "name: shop\nsources: {a: {url: 'duckdb:///a'}}\nsubscriptions: {write: marketing.connect_opt_outs}\n",
    "name: shop\nsources: {a: {url: 'duckdb:///a'}}\nsubscriptions: {write: '`my-project.a`.`b c`', sql: select 1}\n",
]


def test_projects_that_both_accept(folder):
    assert loads_project(folder, PROJECTS[0])
    assert loads_project(folder, PROJECTS[1])
    assert all(accepts("connect", text) for text in PROJECTS)


@pytest.mark.parametrize(
    "text",
    [
        "timezone: UTC\n",
        "name: shop\ntimezone: 5\n",
        "name: shop\nmode: loud\n",
        "name: shop\nstrange: 1\n",
        "name: shop\nfeeds: {}\n",
        "name: shop\nsecret: literal-and-long-enough\n",
        "name: shop\nsources: {a: b}\n",
        "name: shop\nsources: {a: {}}\n",
        "name: shop\nproviders: {a: {}}\n",
        "name: shop\nproviders: {a: {type: outbox, rate: 1}}\n",
        "name: shop\nproviders: {a: {type: outbox, rate: [1/s]}}\n",
        "name: shop\nproviders: {a: {type: outbox, concurrency: 0}}\n",
        "name: shop\nproviders: {a: {type: outbox}}\nchannels: {email: {ios: a}}\n",
        "name: shop\nproviders: {a: {type: outbox}}\nchannels: {push: {window: a}}\n",
        "name: shop\nproviders: {a: {type: outbox}}\nchannels: {push: []}\n",
        "name: shop\ntest_recipient: {platform: windows}\n",
        "name: shop\ndefaults: {message: {push: {tilte: a}}}\n",
        "name: shop\ndefaults: {message: {http: {locale: fr}}}\n",
        "name: shop\nsources: {a: {type: duckdb}}\nsubscriptions: {}\n",
        "name: shop\nsources: {a: {type: duckdb}}\nsubscriptions: {write: a b}\n",
        "name: shop\nsources: {a: {type: duckdb}}\neveryone: {}\n",
        "name: shop\nsources: {a: {type: duckdb}}\nprofile: [select 1]\n",
        "name: shop\nsources: {a: {type: duckdb}}\nprofile: {sql: select 1, sql_file: one.sql}\n",
        "name: shop\ndefaults: {message: {transactional: true}}\n",
        "name: shop\ndefaults: {message: {email: {form: a}}}\n",
        "name: shop\ndefaults: {audience: {}}\n",
        "name: shop\ntargets: {dev: {moed: live}}\n",
        "name: shop\ntargets: {dev: {targets: {}}}\n",
        "name: shop\nserve: {keys: a}\n",
    ],
)
def test_projects_that_both_refuse(folder, text):
    assert not loads_project(folder, text)
    assert not accepts("connect", text)


def test_messages():
    assert accepts("message", "content: [{channel: sms, body: Hi}]\n")
    assert not accepts("message", "content: [{channel: sms, body: Hi}]\nname: a\n")
    assert not accepts("message", "topic: a\n")
