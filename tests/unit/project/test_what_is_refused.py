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
        ("trigger", "trigger: {type: event}", "not-yet-supported", 2, 17, ""),
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
        ("body", "      text: x\n    - channel: push", "not-yet-supported", 12, 16, ""),
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
    "cron",
    [
        "0 9 * *",
        "0 0 9 * * *",
        "0 0 9 * * * 2026",
        "'@daily'",
        "H 9 * * *",
        "R 9 * * *",
        "h(0-3) 9 * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "0 25 * * *",
        "61 * * * *",
        "0 9 * * someday",
        "0 0 15W * *",
        "'*/0 * * * *'",
        "every day",
    ],
)
def test_a_bad_cron(folder, campaign_text, cron):
    assert folder.problem(campaign_text(trigger=TRIGGER.format(cron))).code == "bad-cron"


@pytest.mark.parametrize(
    "cron",
    ["0 9 * * mon-fri", "'*/15 * * * *'", "0 0 L * *", "0 9 * * 5#2", "0 0 29 2 *", "0 9 1 JAN sun", "0 0 * * 7"],
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
        ("trigger.missed", "trigger: {type: immediate, missed: all}"),
        ("trigger.overlap", "trigger: {type: immediate, overlap: skip}"),
        ("trigger.local_time", "trigger: {type: immediate, local_time: true}"),
        ("experiment", "trigger: {type: immediate}\nexperiment: {}"),
        ("policy.once", "trigger: {type: immediate}\npolicy: {once: true}"),
        ("policy.quiet_hours", "trigger: {type: immediate}\npolicy: {quiet_hours: {}}"),
        ("policy.rate", "trigger: {type: immediate}\npolicy: {rate: 1/s}"),
        ("policy.batches", "trigger: {type: immediate}\npolicy: {batches: {}}"),
        ("policy.frequency_cap", "trigger: {type: immediate}\npolicy: {frequency_cap: {}}"),
        ("policy.expires_after", "trigger: {type: immediate}\npolicy: {expires_after: 1d}"),
        ("policy.approval", "trigger: {type: immediate}\npolicy: {approval: plan}"),
    ],
)
def test_what_comes_later_is_neither_unknown_nor_ignored(folder, campaign_text, path, text):
    found = folder.problem(campaign_text(trigger=text))
    assert (found.code, found.message) == ("not-yet-supported", f"`{path}` is not supported by this version")


@pytest.mark.parametrize("key", ["snapshot", "csv", "parquet", "sheet", "segments"])
def test_audiences_that_come_later(folder, campaign_text, key):
    found = folder.campaign(campaign_text(audience=f"audience: {{sql: select 1, {key}: x}}")).problems
    assert [problem.code for problem in found] == ["not-yet-supported"]


@pytest.mark.parametrize("key", ["mjml", "inline_css", "track", "utm"])
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
        policy: {reach: some, once: true}
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
