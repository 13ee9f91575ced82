"""A file with a mistake: every one of them with its place, its line, a caret and what to do."""

from __future__ import annotations

from typing import Any

import pytest

MISTAKES = [
    # (what the campaign says for its trigger, code, what the caret stands under, part of the hint)
    ("trigger: {type: immediate}\nstatus: draft", "duplicate-key", "status: draft", ""),
    ("trigger: {type: immediate", "yaml-syntax", "", ""),
    ("trigger: {type: imediate}", "bad-value", "imediate", "did you mean `immediate`?"),
    ("triger: {type: immediate}", "unknown-key", "triger", "did you mean `trigger`?"),
    ('trigger: {type: recurring, cron: "0 25 * * *"}', "bad-cron", '"0 25', "hour: 0 to 23"),
    ('trigger: {type: recurring, cron: "0 9 30 2 *"}', "bad-cron", '"0 9 30', ""),
    (
        'trigger: {type: recurring, cron: "0 9 * * *", timezone: Australia/Sidney}',
        "bad-zone",
        "Australia/Sidney",
        "did you mean `Australia/Sydney`?",
    ),
    (
        'trigger: {type: recurring, cron: "0 9 * * *", timezone: +10:00}',
        "bad-zone",
        "+10:00",
        "an offset drifts over daylight saving",
    ),
    ("trigger: {type: event}", "missing-key", "", ""),
    (
        "trigger: {type: recurring, cron: '0 9 * * *', starts_at: 2027-01-01, ends_at: 2026-01-01}",
        "bad-value",
        "2026-01-01",
        "",
    ),
    ("trigger: {type: immediate}\nexperiment: {holdout: 10%}", "not-yet-supported", "experiment", ""),
    ("trigger: {type: immediate}\npolicy: {quiet_hours: {from: 9pm, to: 08:00}}", "bad-time", "9pm", "such as 21:00"),
    ("trigger: {type: immediate}\npolicy: {rate: 5}", "bad-rate", "5", "50/s"),
    ("trigger: {type: immediate}\npolicy: {approval: plan}", "not-yet-supported", "approval", ""),
    ("trigger: {type: immediate, overlap: skipp}", "bad-value", "skipp", "did you mean `skip`?"),
    ("trigger: {type: event, every: 5m, overlap: skip}", "bad-value", "skip", ""),
    ("trigger: !!python/object:os.system {type: immediate}", "yaml-tag", "!!python", ""),
]


@pytest.mark.parametrize(("trigger", "code", "under", "hint"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_it_is_shown_at_its_place(shop: Any, trigger: str, code: str, under: str, hint: str) -> None:
    shop.people(3)
    shop.campaign(trigger=trigger)

    ended = shop.run()

    assert ended.code == 2
    found = [error for error in ended.errors if error.code == code]
    assert len(found) == 1
    assert found[0].place.startswith("campaigns/hello.yml:")
    assert found[0].line
    assert found[0].under.startswith(under)
    if under:
        assert found[0].place == shop.place(under)
    assert hint in found[0].hint
    shop.nothing_happened()


def test_all_of_a_file_s_mistakes_are_told_at_once_in_its_order(shop: Any) -> None:
    shop.people(3)
    shop.campaign(
        status="statsu: live",
        trigger='trigger: {type: recurring, cron: "0 9 * * *", timezone: Sydney}',
        limits="limits: {max: many}",
        text='text: "{{ user.first_name | upcse }}"',
    )

    ended = shop.run()

    assert ended.code == 2
    assert [(error.code, error.place) for error in ended.errors] == [
        ("unknown-key", shop.place("statsu")),
        ("bad-zone", shop.place("Sydney")),
        ("wrong-type", shop.place("many")),
    ]
    assert "3 errors" in ended.err
    # `validate` adds what is wrong inside its templates.
    codes = [error.code for error in shop.connect("validate").errors]
    assert codes == ["unknown-key", "bad-zone", "wrong-type", "unknown-filter"]
    shop.nothing_happened()


def test_two_files_of_one_name(shop: Any) -> None:
    shop.people(3)
    shop.campaign(file="again", status="name: hello\nstatus: live")

    for command in (("run", "hello", "--yes"), ("validate",)):
        ended = shop.connect(*command)

        assert ended.code == 2
        assert {error.code for error in ended.errors} == {"duplicate-campaign"}
        assert shop.place("hello\n", "campaigns/again.yml") in [error.place for error in ended.errors]
        assert ended.errors[0].hint == "a name is a campaign's identity: change one"
    shop.nothing_happened()


PROJECT_MISTAKES = [
    ("nmae: shop", "unknown-key", "nmae", "did you mean `name`?"),
    ("timezone: +10:00", "bad-zone", "+10:00", "name a zone, such as Australia/Sydney"),
    ("mode: test", "duplicate-key", "mode: test", ""),
    ("feeds: {prices: {url: https://shop.example}}", "not-yet-supported", "feeds", ""),
    ("destination: {include: [name]}", "bad-value", "name", "address"),
    ("default_target: prod", "unknown-target", "prod", ""),
    ("subscriptions: {sql: select id from opt_outs, source: shopp}", "unknown-source", "shopp", "`shop`"),
]


@pytest.mark.parametrize(("more", "code", "under", "hint"), PROJECT_MISTAKES, ids=[m[0] for m in PROJECT_MISTAKES])
def test_the_project_s_own_file_too(shop: Any, more: str, code: str, under: str, hint: str) -> None:
    shop.people(3)
    shop.configure(more=more + "\n")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, code)
    assert ended.error.place.startswith("connect.yml:10:")
    assert ended.error.under.startswith(under)
    assert hint in ended.error.hint
    shop.nothing_happened()


def test_a_secret_that_is_written_literally_is_refused_and_not_shown(shop: Any) -> None:
    shop.people(3)
    literal = "hunter2-hunter2"
    shop.configure(mail=f"{{type: smtp, host: mail.example, username: campaigns, password: {literal}}}")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "literal-secret")
    assert ended.error.place == shop.place(literal, "connect.yml")
    assert "${NAME}" in ended.error.hint
    assert literal not in ended.out + ended.err
    shop.nothing_happened()


def test_a_password_in_a_url_is_refused_and_not_shown(shop: Any) -> None:
    shop.people(3)
    shop.configure(more="state: postgresql://connect:hunter2-hunter2@db.example/connect\n")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "literal-secret")
    assert ended.error.place.startswith("connect.yml:10:")
    assert "hunter2" not in ended.out + ended.err
    shop.nothing_happened()


def test_a_secret_that_has_no_value(shop: Any) -> None:
    shop.people(3)
    shop.write(".env", "")

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "missing-secret")
    assert ended.error.place == shop.place("${CONNECT_SECRET}", "connect.yml")
    assert ended.error.hint == "set CONNECT_SECRET in the environment, or in .env beside connect.yml"
    shop.nothing_happened()


def test_a_folder_without_a_project(shop: Any) -> None:
    (shop.root / "connect.yml").unlink()

    ended = shop.run()

    assert (ended.code, ended.error.code) == (2, "no-project")
    assert ended.error.hint == "`connect init` makes one"
