"""Whatever stands in a file, the answer is a list of problems with places, never a traceback."""

from __future__ import annotations

import re

from connect.errors import UserError
from connect.project.campaigns import load_campaign

CAMPAIGN = """\
name: hello
status: live
trigger:
  type: recurring
  cron: "0 9 * * mon"
  timezone: UTC
  starts_at: 2026-01-01
audience:
  source: shop
  sql: select 1
  params: {a: 1}
  key: [id]
  timeout: 5m
  limits: {max: 5, max_change: 5%}
  clock: warehouse
examples: [{id: 1}]
message:
  topic: news
  transactional: true
  content:
    - channel: email
      from: a@example.com
      subject: |
        Hi
      html: <p>Hi</p>
      headers: {X-A: a}
      attachments: [{filename: a, content: b}]
      provider: box
    - channel: sms
      locale: fr
      body: Hi
    - {channel: sms, body: Hi, max_segments: 2}
    - channel: push
      provider:
        ios: [box]
        default: box
      title: Hi
      body: Ho
      data:
        a: b
      badge: 1
      ttl: 1h
      ios:
        aps: {a: b}
    - channel: http
      provider: [box]
      url: https://acme.example
      method: PUT
      headers:
        Authorization: Bearer ${SMTP_PASSWORD}
      body:
        a: {b: "{{ user.id }}"}
      signing_secret: ${SMTP_PASSWORD}
      allow_private: true
policy: {reach: first}
"""

PROJECT = """\
name: shop
timezone: UTC
mode: live
test_recipient:
  email: a@example.com
  device_token: a
  platform: ios
  http: https://acme.example
state: sqlite:///a.db
secret: ["${CONNECT_SECRET}"]
sources:
  shop: {url: "duckdb:///a"}
providers:
  box: {type: outbox}
  relay:
    type: smtp
    host: h
    password: ${SMTP_PASSWORD}
    concurrency: 2
    timeout: 5s
channels:
  email: [box, relay]
  push:
    ios: box
    default: [relay, box]
subscriptions:
  sql: select 1
  subscribed_values: [a]
unsubscribe:
  url: https://acme.example
  mailto: a@example.com
defaults:
  message:
    email: {from: a@example.com}
    push:
      provider: {web: box}
      ios: {a: b}
    http:
      headers:
        Authorization: Bearer ${SMTP_PASSWORD}
      signing_secret: ${SMTP_PASSWORD}
  policy: {reach: all}
serve:
  base_url: https://acme.example
default_target: prod
targets:
  prod:
    mode: test
"""

VALUES = ["~", "[[a]]", "{a: {b: c}}", '""', "'{{ x'", "-1", "{{ x }}", "${X", "99999999999999999999"]


def mutations(text):
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        yield "".join(lines[:number] + lines[number + 1 :])
        if found := re.match(r"(\s*(?:- )?\w+:)", line):
            for value in VALUES:
                yield "".join([*lines[:number], f"{found[1]} {value}\n", *lines[number + 1 :]])


def test_a_campaign(folder):
    project = folder.project()
    folder.write("campaigns/hello.yml", CAMPAIGN)
    assert load_campaign(project, "hello").problems == ()
    for text in mutations(CAMPAIGN):
        if text.startswith("name: hello"):
            (folder.root / "campaigns/hello.yml").write_text(text)
            loaded = load_campaign(project, "hello")
            assert (loaded.campaign is None) == bool(loaded.problems), text
            assert all(problem.location for problem in loaded.problems), (text, loaded.problems)
            assert len(set(loaded.problems)) == len(loaded.problems)


def problems_of_project(folder):
    try:
        folder.project()
    except UserError as error:
        return error.problems
    return ()


def test_a_project(folder):
    folder.write("connect.yml", PROJECT)
    assert problems_of_project(folder) == ()
    for text in mutations(PROJECT):
        (folder.root / "connect.yml").write_text(text)
        problems = problems_of_project(folder)
        assert all(problem.location for problem in problems), (text, problems)
