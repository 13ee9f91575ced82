"""`connect show`: every value with the file and line that it came from."""

from __future__ import annotations

from connect.project.show import effective


def test_values_are_shown_as_people_write_them(folder, campaign_text):
    folder.write("audiences/a.sql", "select 1\n")
    text = campaign_text(
        trigger="trigger: {type: scheduled, at: 2026-07-01T09:00, grace: 90s}",
        audience="audience: {sql_file: a.sql, limits: {max_change: 12.5%}, clock: warehouse, params: {a: 1}}",
    )
    shown = {path: (value, origin) for path, value, origin in effective(folder.campaign(text))}
    assert shown["name"] == ("hello", "default")
    assert shown["status"] == ("draft", "default")
    assert shown["trigger.at"] == ("2026-06-30T23:00:00+00:00", "campaigns/hello.yml:1")
    assert shown["trigger.grace"] == ("90s", "campaigns/hello.yml:1")
    assert shown["trigger.timezone"] == ("Australia/Sydney", "connect.yml:2")
    assert shown["audience.sql"] == ("select 1\n", "campaigns/hello.yml:2")
    assert shown["audience.limits.max_change"] == ("12.5%", "campaigns/hello.yml:2")
    assert shown["audience.clock"] == ("warehouse", "campaigns/hello.yml:2")
    assert shown["audience.params.a"] == (1, "campaigns/hello.yml:2")
    assert shown["message.content.0.provider"] == ("box", "connect.yml:16")


EVERYWHERE = """
trigger: {type: immediate}
audience: {sql: select 1}
message:
  content:
    - channel: push
      title: Hello
      body: Good day
      provider: {ios: [box, relay], default: box}
      ios: {aps: {badge: 1, sound: "{{ user.sound }}"}}
    - channel: http
      url: https://acme.example/hook
      headers: {Authorization: "Bearer ${SMTP_PASSWORD}"}
      signing_secret: ${CONNECT_SECRET}
      body:
        text: "Hi {{ user.name }}"
        tags: [a, 1]
        nothing: null
        empty: {}
      provider: [relay, box]
"""


def test_routes_trees_and_secrets_are_shown_as_they_were_written(folder):
    loaded = folder.campaign(EVERYWHERE)
    assert loaded.problems == ()
    shown = {path: (value, origin) for path, value, origin in effective(loaded)}
    push, http = "message.content.0.", "message.content.1."
    assert shown[push + "provider.ios"] == (["box", "relay"], "campaigns/hello.yml:8")
    assert shown[push + "provider.default"] == ("box", "campaigns/hello.yml:8")
    assert shown[push + "ios.aps.badge"] == (1, "campaigns/hello.yml:9")
    assert shown[push + "ios.aps.sound"] == ("{{ user.sound }}", "campaigns/hello.yml:9")
    assert shown[push + "android"] == (None, "default")
    assert shown[http + "provider"] == (["relay", "box"], "campaigns/hello.yml:19")
    assert shown[http + "headers.Authorization"] == ("Bearer ${SMTP_PASSWORD}", "campaigns/hello.yml:12")
    assert shown[http + "signing_secret"] == ("${CONNECT_SECRET}", "campaigns/hello.yml:13")
    assert shown[http + "body.text"] == ("Hi {{ user.name }}", "campaigns/hello.yml:15")
    assert shown[http + "body.tags"] == (["a", 1], "campaigns/hello.yml:16")
    assert shown[http + "body.nothing"] == (None, "campaigns/hello.yml:17")
    assert shown[http + "body.empty"] == ({}, "campaigns/hello.yml:18")
    assert not [path for path in shown if "accounts" in path or "texts" in path or "references" in path]
    assert "hunter2" not in str(shown)


def test_rows_are_counted_and_not_shown(folder, campaign_text):
    loaded = folder.campaign(campaign_text(audience="audience:\n  people: [{id: canary}]"))
    shown = {path: value for path, value, _ in effective(loaded)}
    assert shown["audience.people"] == "1 rows"
    assert "canary" not in str(shown)


def test_a_campaign_that_did_not_load_shows_nothing(folder):
    assert effective(folder.campaign("trigger: 1\n")) == []
