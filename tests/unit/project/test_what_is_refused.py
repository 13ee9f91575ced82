"""Every mistake in a campaign has a code, a place and a hint, and all of them come at once."""

from __future__ import annotations

from textwrap import dedent

import pytest

TRIGGER = "trigger:\n  type: recurring\n  cron: {}\n"


@pytest.mark.parametrize(
    ("part", "text", "code", "line", "column", "hint"),
    [
        ("trigger", "trigger: {type: immediate, gracee: 6h}", "unknown-key", 2, 28, "grace"),
        ("trigger", "trigger: {type: imediate}", "bad-value", 2, 17, "immediate"),
        ("trigger", "trigger: {timezone: UTC}", "missing-key", 2, 1, ""),
        ("trigger", "trigger: immediate", "wrong-type", 2, 10, "type: immediate"),
        ("trigger", "trigger: {type: event}", "missing-key", 2, 1, ""),
        ("trigger", "trigger: {type: event, every: 5}", "bad-duration", 2, 31, "30s 15m 6h 7d"),
        ("trigger", "trigger: {type: event, every: 5s}", "bad-value", 2, 31, "at least 10s"),
        ("trigger", "trigger: {type: event, every: 0s}", "bad-value", 2, 31, "at least 10s"),
        ("trigger", "trigger: {type: event, every: 32d}", "bad-value", 2, 31, "at most 31d"),
        ("trigger", "trigger: {type: event, every: 5m, lag: 31d}", "bad-value", 2, 40, "at most 30d"),
        ("trigger", "trigger: {type: event, every: 5m, overlap: skip}", "bad-value", 2, 44, "loses the events"),
        ("trigger", "trigger: {type: event, every: 5m, local_time: true}", "unknown-key", 2, 35, "lag"),
        ("trigger", "trigger: {type: immediate, local_time: true}", "unknown-key", 2, 28, "grace"),
        ("trigger", "trigger: {type: immediate, missed: last}", "bad-value", 2, 36, "latest"),
        ("trigger", "trigger: {type: immediate, missed: [all]}", "wrong-type", 2, 28, ""),
        ("trigger", "trigger: {type: immediate, overlap: wait}", "bad-value", 2, 37, "queue"),
        ("trigger", "trigger: {type: immediate, grace: 0s}", "bad-value", 2, 35, "at least 1s"),
        ("trigger", "trigger: {type: immediate, grace: 99999999d}", "bad-value", 2, 35, "at most 366d"),
        ("trigger", "trigger: {type: scheduled, at: 2026-06-01, local_time: yes}", "wrong-type", 2, 56, "booleans"),
        ("trigger", "trigger: {type: scheduled, at: 9999-12-31T23:00-05:00}", "bad-time", 2, 32, "2199"),
        ("trigger", "trigger: {type: scheduled, at: 2026-02-30T09:00}", "bad-time", 2, 32, "ISO 8601"),
        ("trigger", "trigger: {type: api, parameters: [order]}", "wrong-type", 2, 22, ""),
        ("trigger", "trigger: {type: api, parameters: {order: string}}", "bad-value", 2, 22, "properties"),
        ("trigger", "trigger: {type: api, parameters: {type: string}}", "bad-value", 2, 22, "properties"),
        ("trigger", "trigger: {type: api, parameters: {properties: {a: string}}}", "bad-value", 2, 22, "properties"),
        ("trigger", "trigger: {type: api, recipients: yes}", "wrong-type", 2, 34, "booleans"),
        ("trigger", "trigger: {type: scheduled}", "missing-key", 2, 1, ""),
        ("trigger", "trigger: {type: scheduled, at: tomorrow}", "bad-time", 2, 32, "ISO 8601"),
        ("trigger", "trigger: {type: immediate, grace: 6 hours}", "bad-duration", 2, 35, "30s 15m 6h 7d"),
        ("trigger", "trigger: {type: immediate, timezone: +10:00}", "bad-zone", 2, 38, "daylight"),
        ("trigger", "trigger: {type: immediate, timezone: Australia/Sidney}", "bad-zone", 2, 38, "Australia/Sydney"),
        ("audience", "audience: {}", "one-audience", 2 + 2, 1, "exactly one"),
        ("audience", "audience: {sql: select 1, people: [{id: 1}]}", "one-audience", 4, 27, "exactly one"),
        ("audience", "audience: {sql: select 1, source: shp}", "unknown-source", 4, 35, "shop"),
        ("audience", "audience: {sql_file: peple.sql}", "missing-file", 4, 22, "people.sql"),
        ("audience", "audience: {sql_file: ../connect.yml}", "file-outside", 4, 22, "audiences/"),
        ("audience", "audience: {sql: people.sql}", "literal-is-a-file", 4, 17, "sql_file: people.sql"),
        ("audience", "audience: {sql: select 1, limits: {max: many}}", "wrong-type", 4, 41, "digits"),
        ("audience", "audience: {sql: select 1, limits: {min: 5, max: 4}}", "bad-value", 4, 41, ""),
        ("audience", "audience: {sql: select 1, limits: {max_change: 0.5}}", "bad-share", 4, 48, "10%"),
        ("audience", "audience: {sql: select 1, limits: {max_change: 101%}}", "bad-share", 4, 48, "10%"),
        ("audience", "audience: {sql: select 1, key: []}", "bad-value", 4, 27, ""),
        ("audience", "audience: {sql: select 1, key: {a: b}}", "wrong-type", 4, 27, ""),
        ("audience", "audience: {sql: select 1, clock: here}", "bad-value", 4, 34, "warehouse"),
        ("audience", "audience: {people: []}", "bad-value", 4, 12, ""),
        ("audience", "audience: {people: [1]}", "wrong-type", 4, 21, ""),
        ("sender", "", "missing-key", 8, 7, ""),
        ("sender", "      from: [a]", "wrong-type", 9, 7, ""),
        ("sender", "      from: {flie: x}", "wrong-type", 9, 7, "file"),
        ("subject", "", "missing-key", 8, 7, ""),
        ("subject", "      subject: Order 1 #2", "unquoted-comment", 10, 16, "quote"),
        ("subject", "      subject: # 1 in town", "missing-key", 8, 7, "quote"),
        ("body", "", "missing-key", 8, 7, "give one"),
        ("body", "      html: Good day", "html-without-tag", 11, 13, "text"),
        ("body", "      html: welcome.html", "literal-is-a-file", 11, 13, "{file: welcome.html}"),
        ("body", "      html: {file: welcom.html}", "missing-file", 11, 20, "welcome.html"),
        ("body", "      html: {file: photo.png}", "not-utf-8", 11, 20, ""),
        ("body", "      text: x\n      provider: bx", "unknown-provider", 12, 17, "box"),
        ("body", "      text: x\n    - {channel: email, locale: 21}", "bad-locale", 12, 32, "fr"),
        ("body", "      text: x\n      locale: fr", "no-fallback", 8, 7, "fallback"),
        ("body", "      text: x\n      attachments: [{filename: a.txt}]", "bad-value", 12, 21, ""),
        ("body", "      text: x\n      provider: [box, relay, box]", "bad-value", 12, 30, "once"),
        ("body", "      text: x\n      provider: {ios: box}", "wrong-type", 12, 7, "only `push`"),
        ("body", "      text: x\n    - {channel: sms, body: a, max_segments: 0}", "bad-value", 12, 45, ""),
        ("body", "      text: x\n    - channel: fax", "bad-value", 12, 16, "email"),
        ("body", "      text: x\n    - body: hi", "missing-key", 12, 7, ""),
    ],
)
def test_one_mistake(folder, campaign_text, part, text, code, line, column, hint):
    folder.write("audiences/people.sql", "select 1 as id\n")
    folder.write("templates/welcome.html", "<p>Hi</p>\n")
    (folder.root / "templates/photo.png").write_bytes(b"\x89PNG\xff")
    found = folder.problem("# a comment\n" + _without_first(campaign_text(**{part: text})))
    assert found.code == code
    assert (found.location.file, found.location.line, found.location.column) == ("campaigns/hello.yml", line, column)
    assert hint in found.hint
    assert bool(found.location.text) == ("people:" not in text)


def _without_first(text):
    return text.removeprefix("\n")


@pytest.mark.parametrize(
    ("cron", "message", "hint"),
    [
        ("0 9 * *", "`0 9 * *` has 4 fields", "five fields: minute, hour"),
        ("0 0 9 * * *", "`0 0 9 * * *` has 6 fields", "seconds and years are not read"),
        ("0 0 9 * * * 2026", "`0 0 9 * * * 2026` has 7 fields", "seconds and years are not read"),
        ("every day", "`every day` has 2 fields", "five fields"),
        ("'@daily'", "`@daily`: short names are not read", "write `0 0 * * *`"),
        ("'@dayly'", "`@dayly`: short names are not read", "five fields"),
        ("H 9 * * *", "`H` means nothing in a cron", "hashed"),
        ("h(0-3) 9 * * *", "`h` means nothing in a cron", "hashed"),
        ("R 9 * * *", "`R` means nothing in a cron", "random"),
        ("0 0 15W * *", "`W` means nothing in a cron", "nearest weekdays"),
        ("0 0 ? * 1", "`?` means nothing in a cron", "write `*`"),
        ("0 9 * * someday", "`someday` means nothing in a cron", "five fields"),
        ("0 0 30 2 *", "`0 0 30 2 *` never comes", "no such month has such a day"),
        ("0 0 31 4,6 *", "`0 0 31 4,6 *` never comes", "no such month has such a day"),
        ("61 * * * *", "`61` can not be the minute", "minute: 0 to 59"),
        ("'*/0 * * * *'", "`*/0` can not be the minute", "a step of 1 or more"),
        ("1,,2 9 * * *", "`1,,2` can not be the minute", "minute: 0 to 59"),
        ("0 9,25 * * *", "`25` can not be the hour", "hour: 0 to 23"),
        ("0 5- * * *", "`5-` can not be the hour", "hour: 0 to 23"),
        ("0 9 0 * *", "`0` can not be the day of month", "1 to 31, or `L`"),
        ("0 9 99-99 * *", "`99-99` can not be the day of month", "1 to 31, or `L`"),
        ("0 9 L-2 * *", "`L-2` can not be the day of month", "1 to 31, or `L`"),
        ("0 9 * 13 *", "`13` can not be the month", "1 to 12, or jan to dec"),
        ("0 9 * mon *", "`mon` can not be the month", "1 to 12, or jan to dec"),
        ("0 9 * * 8", "`8` can not be the day of week", "0 to 7 (both are Sunday)"),
        ("0 9 * * 1#6", "`1#6` can not be the day of week", "`1#2`"),
        ("0 9 * * 1,5#2", "`1,5#2` can not be the day of week", "all or none with `#` or `L`"),
    ],
)
def test_a_bad_cron(folder, campaign_text, cron, message, hint):
    found = folder.problem(campaign_text(trigger=TRIGGER.format(cron)))
    assert (found.code, found.message) == ("bad-cron", message)
    assert hint in found.hint
    assert (found.location.line, found.location.column) == (3, 9)


@pytest.mark.parametrize(
    "cron",
    [
        "0 9 * * mon-fri",
        "'*/15 * * * *'",
        "0 0 L * *",
        "0 9 * * 5#2",
        "0 0 29 2 *",
        "0 9 1 JAN sun",
        "0 0 * * 7",
        "0 22-2 * * L5",
    ],
)
def test_a_good_cron(folder, campaign_text, cron):
    loaded = folder.campaign(campaign_text(trigger=TRIGGER.format(cron)))
    assert loaded.problems == ()
    assert loaded.campaign.trigger.cron == cron.strip("'")


def test_a_cron_without_quotes_gets_the_hint(folder, campaign_text):
    loaded = folder.campaign(campaign_text(trigger=TRIGGER.format("* * * * *")))
    assert "quote" in loaded.problems[0].hint


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("experiment", "trigger: {type: immediate}\nexperiment: {}"),
        ("policy.approval", "trigger: {type: immediate}\npolicy: {approval: plan}"),
    ],
)
def test_what_comes_later_is_neither_unknown_nor_ignored(folder, campaign_text, path, text):
    found = folder.problem(campaign_text(trigger=text))
    assert (found.code, found.message) == ("not-yet-supported", f"`{path}` is not supported by this version")


WINDOW = "trigger: {{type: recurring, cron: 0 9 * * mon, timezone: Europe/Paris, starts_at: {}, ends_at: {}}}"


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        ("2026-06-01", "2026-06-01"),
        ("2026-06-02", "2026-06-01"),
        ("2026-06-01T12:00", "2026-06-01T10:00Z"),  # noon in Paris
    ],
)
def test_an_end_that_is_not_after_the_start(folder, campaign_text, starts_at, ends_at):
    found = folder.problem(campaign_text(trigger=WINDOW.format(starts_at, ends_at)))
    assert (found.code, found.message) == ("bad-value", "`ends_at` is not after `starts_at`")
    assert found.location.text[found.location.column - 1 :].startswith(ends_at)
    assert folder.campaign(campaign_text(trigger=WINDOW.format(starts_at, "2026-07-01"))).problems == ()


@pytest.mark.parametrize(
    ("text", "code", "where", "hint"),
    [
        ("{rate: 5}", "bad-rate", "5}", "50/s 600/m 10000/h"),
        ("{rate: 0/s}", "bad-rate", "0/s", "50/s"),
        ("{rate: 5/week}", "bad-rate", "5/week", "50/s"),
        ("{rate: [5/s]}", "wrong-type", "rate", ""),
        ("{batches: 5}", "wrong-type", "5}", ""),
        ("{batches: {every: 5m}}", "missing-key", "batches", ""),
        ("{batches: {count: 5}}", "missing-key", "batches", ""),
        ("{batches: {count: 1, every: 5m}}", "bad-value", "1,", "at least 2"),
        ("{batches: {count: 1001, every: 5m}}", "bad-value", "1001", "at most 1000"),
        ("{batches: {count: 5, every: 0s}}", "bad-value", "0s", "at least 1s"),
        ("{batches: {count: 5, every: 32d}}", "bad-value", "32d", "at most 31d"),
        ("{batches: {count: 5, evry: 5m, every: 5m}}", "unknown-key", "evry", "every"),
        ("{quiet_hours: 21:00}", "wrong-type", "21:00", ""),
        ("{quiet_hours: {from: 21:00}}", "missing-key", "21:00", "go together"),
        ("{quiet_hours: {to: 08:00}}", "missing-key", "08:00", "go together"),
        ("{quiet_hours: {from: 9pm, to: 08:00}}", "bad-time", "9pm", "21:00"),
        ("{quiet_hours: {from: 21:00, to: 8:00}}", "bad-time", "8:00", "21:00"),
        ("{quiet_hours: {from: 24:00, to: 08:00}}", "bad-time", "24:00", "21:00"),
        ("{quiet_hours: {from: 21:00, to: '21:00'}}", "bad-value", "'21:00'", "another time"),
        ("{quiet_hours: {from: 21:00, to: 08:00, timezone: UTC}}", "bad-value", "UTC", "`project`"),
        ("{quiet_hours: {from: 21:00, to: 08:00, action: drop}}", "bad-value", "drop", "`defer`"),
        ("{quiet_hours: {from: 21:00, to: 08:00, channels: []}}", "bad-value", "channels", "leave it out"),
        ("{quiet_hours: {from: 21:00, to: 08:00, channels: sms}}", "wrong-type", "sms", ""),
        ("{quiet_hours: {from: 21:00, to: 08:00, channels: [smss]}}", "bad-value", "smss", "sms"),
        ("{quiet_hours: {countries: [US]}}", "wrong-type", "countries", ""),
        ("{quiet_hours: {countries: {US: 5}}}", "wrong-type", "5}", ""),
        ("{quiet_hours: {countries: {UK: {from: 20:00, to: 08:00}}}}", "bad-country", "UK", "`GB`"),
        ("{quiet_hours: {countries: {no: {from: 20:00, to: 08:00}}}}", "bad-country", "no", "`NO`"),
        ("{quiet_hours: {countries: {Atlantis: {from: 20:00, to: 08:00}}}}", "bad-country", "Atlantis", "ISO 3166"),
        ("{quiet_hours: {countries: {US: {from: 20:00}}}}", "missing-key", "US", ""),
        ("{quiet_hours: {countries: {US: {from: 20:00, to: 20:00}}}}", "bad-value", "20:00}", "another time"),
        ("{expires_after: soon}", "bad-duration", "soon", "30s"),
        ("{expires_after: 0s}", "bad-value", "0s", "at least 1s"),
        ("{expires_after: 99999999d}", "bad-value", "99999999d", "at most 366d"),
    ],
)
def test_a_bad_policy(folder, campaign_text, text, code, where, hint):
    found = folder.problem(campaign_text(trigger=f"trigger: {{type: immediate}}\npolicy: {text}"))
    assert found.code == code
    assert found.location.text[found.location.column - 1 :].startswith(where)
    assert hint in found.hint


@pytest.mark.parametrize("key", ["mjml", "inline_css"])
def test_content_that_comes_later(folder, campaign_text, key):
    found = folder.problem(campaign_text(body=f"      text: x\n      {key}: x"))
    assert (found.code, f"message.content.{key}" in found.message) == ("not-yet-supported", True)


def test_all_mistakes_of_a_file_at_once(folder):
    loaded = folder.campaign(
        """
        nmae: hello
        trigger: {type: recurring, cron: 0 9 * *, grace: soon}
        audience: {sql_file: gone.sql, timeout: 5}
        message:
          content:
            - {channel: email, subject: "Hi {{ x }}", html: plain, headers: {X-A: [1]}}
            - {channel: sms, bdy: hello}
        policy: {reach: some, approval: plan}
        """
    )
    assert [problem.code for problem in loaded.problems] == [
        "unknown-key",
        "bad-cron",
        "bad-duration",
        "missing-file",
        "bad-duration",
        "missing-key",
        "html-without-tag",
        "wrong-type",
        "missing-key",
        "unknown-key",
        "bad-value",
        "not-yet-supported",
    ]
    assert {text.source for _, text in loaded.texts} >= {"Hi {{ x }}", "plain"}


def test_texts_are_handed_out_with_their_kinds_even_when_the_file_is_wrong(folder, campaign_text):
    loaded = folder.campaign(campaign_text(trigger="trigger: {type: never}", body="      html: <p>{{ x }}</p>"))
    assert loaded.campaign is None
    assert {(kind.value, text.source) for kind, text in loaded.texts} == {
        ("sql", "select id, email from people"),
        ("liquid", "Acme <hello@acme.example>"),
        ("liquid", "Hello {{ user.name }}"),
        ("liquid_html", "<p>{{ x }}</p>"),
    }


def test_a_cell_of_people_is_never_in_an_error(folder, campaign_text):
    text = """
    audience:
      people:
        - {id: 1, email: canary@example.com, email: canary@example.com}
        - canary@example.com
    """
    loaded = folder.campaign(campaign_text(audience=dedent(text)))
    assert [problem.code for problem in loaded.problems] == ["duplicate-key", "wrong-type"]
    assert "canary" not in "".join(map(str, loaded.problems))
    assert "canary" not in repr(folder.campaign(campaign_text(audience="audience:\n  people: [{id: canary}]")).campaign)


def test_a_file_that_is_not_utf8(folder, campaign_text):
    folder.campaign()
    (folder.root / "campaigns/hello.yml").write_bytes("trigger: é".encode("latin-1"))
    from connect.project.campaigns import load_campaign

    assert [problem.code for problem in load_campaign(folder.project(), "hello").problems] == ["not-utf-8"]
