"""A row that can not be sent as it is: refused and counted, and everybody else gets theirs."""

from __future__ import annotations

from typing import Any

COLUMNS = "id text, email text, first_name text"


def people(shop: Any, *rows: tuple[object, ...]) -> None:
    shop.table("people", COLUMNS, rows)


GOOD = [("id-berta", "berta@mail.example", "Bertaaa"), ("id-carla", "carla@mail.example", "Carlaaa")]


def test_a_line_break_in_a_subject_never_becomes_a_header(shop: Any) -> None:
    people(shop, *GOOD, ("id-anna", "anna@mail.example", "Annaaaa\r\nBcc: everyone@mail.example"))

    ended = shop.run("hello", "--json")

    bad = shop.number(r"select count(*) from people where contains(first_name, chr(10))")
    assert ended.code == 0
    assert ended.counts == {
        ("email", "sent", ""): shop.number("select count(*) from people") - bad,
        ("email", "refused", "invalid_header"): bad,
    }
    assert shop.addresses() == ["berta@mail.example", "carla@mail.example"]
    assert ended.json["problems"] == [{"problem": "invalid_header: `subject` of the email content", "count": 1}]


def test_a_cell_of_five_megabytes_is_refused_for_its_row_only(shop: Any) -> None:
    people(shop, *GOOD, ("id-anna", "anna@mail.example", "a" * 5_000_000))

    ended = shop.run("hello", "--json")

    large = shop.number("select count(*) from people where length(first_name) > 1_000_000")
    assert ended.code == 0
    assert ended.counts == {
        ("email", "sent", ""): shop.number("select count(*) from people") - large,
        ("email", "refused", "content_too_large"): large,
    }
    assert shop.addresses() == ["berta@mail.example", "carla@mail.example"]


def test_a_cell_of_five_megabytes_that_nobody_prints_is_nobody_s_trouble(shop: Any) -> None:
    people(shop, *GOOD, ("id-anna", "anna@mail.example", "a" * 5_000_000))
    shop.campaign(subject="subject: Good day", text="text: Good day")

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): shop.number("select count(*) from people")}


def test_a_leading_zero_stays(shop: Any) -> None:
    people(shop, ("0123", "anna@mail.example", "Annaaaa"), ("123", "berta@mail.example", "Bertaaa"))
    shop.campaign(subject='subject: "Customer {{ user.id }}"', text="text: Good day")

    ended = shop.run("hello", "--json")

    assert ended.counts == {("email", "sent", ""): shop.number("select count(distinct id) from people")}
    assert sorted(email.subject for email in shop.sent()) == ["Customer 0123", "Customer 123"]


def test_a_leading_zero_stays_in_a_list_of_people_and_in_examples(shop: Any) -> None:
    people = "people: [{id: 0123, email: someone@shop.example, first_name: Xx}]"
    shop.campaign(sql=people, subject='subject: "Customer {{ user.id }}"', text='text: "Good day"')

    ended = shop.run("hello", "--json")

    assert ended.counts == {("email", "sent", ""): 1}
    assert [email.subject for email in shop.sent()] == ["Customer 0123"]


def test_a_dollar_before_a_value_is_a_dollar(shop: Any) -> None:
    shop.table(
        "people",
        "id text, email text, first_name text, total decimal(10, 2)",
        [("id-anna", "anna@mail.example", "Annaaaa", "12.50")],
    )
    shop.campaign(text='text: "You owe ${{ user.total }}, ${USER}, ${file:.env}"')

    ended = shop.run("hello", "--json")

    assert ended.counts == {("email", "sent", ""): shop.number("select count(*) from people")}
    assert [email.text for email in shop.sent()] == ["You owe $12.50, ${USER}, ${file:.env}"]


def test_rows_without_a_key_are_counted_not_lost(shop: Any) -> None:
    people(shop, *GOOD, (None, "anna@mail.example", "Annaaaa"), ("  ", "doris@mail.example", "Dorisss"))

    ended = shop.run("hello", "--json")

    without = shop.number("select count(*) from people where coalesce(trim(id), '') = ''")
    assert without == 2
    assert ended.counts == {
        ("email", "sent", ""): shop.number("select count(*) from people") - without,
        ("email", "refused", "missing_key"): without,
    }


def test_a_bad_address_is_refused_and_never_printed(shop: Any) -> None:
    people(shop, *GOOD, ("id-anna", "anna at mail", "Annaaaa"), ("id-doris", "a@x.example, b@x.example", "Dorisss"))

    ended = shop.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == {
        ("email", "sent", ""): shop.number("select count(*) from people where email like '%_@mail.example'"),
        ("email", "refused", "invalid_email"): 1,
        ("email", "refused", "too_many_recipients"): 1,
    }


def test_a_value_that_a_filter_can_not_use_is_refused_without_being_repeated(shop: Any) -> None:
    people(shop, *GOOD)
    shop.campaign(text="text: \"{{ user.first_name | money: 'EUR' }}\"")

    ended = shop.run()

    assert ended.code == 1  # nobody got anything, although somebody should have
    assert shop.sent() == []
    (run,) = shop.connect("runs", "list", "--json").json
    outcomes = shop.connect("runs", "show", run["id"], "--json").json["outcomes"]
    assert outcomes == {"sent": 0, "skipped": 0, "refused": len(GOOD), "failed": 0, "unknown": 0}
    assert shop.place("user.first_name | money").rsplit(":", 1)[0] in ended.out
