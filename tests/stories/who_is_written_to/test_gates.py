"""Who is written to, on which channel, in which language, and how often; everybody else is counted with a reason."""

from __future__ import annotations

from typing import Any

import pytest

TWO_CHANNELS = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: sms
      body: Good day
    - channel: email
      from: Shop <hello@shop.example>
      subject: Good day
      text: Good day
policy: {reach: first}
"""
COLUMNS = "id text, email text, phone_number text"
REACHABLE = [
    ("id-00001", "anna@mail.example", "+61410000001"),  # both: SMS comes first
    ("id-00002", "berta@mail.example", None),  # e-mail only
    ("id-00003", None, "+61 410 000 003"),  # SMS only
    ("id-00004", None, None),  # nothing
    ("id-00005", "doris@mail.example", "12"),  # a bad number: e-mail
    ("id-00006", "emma at mail", "+61410000006"),  # a bad address, SMS goes
    ("id-00007", "frida at mail", "34"),  # both bad
    ("id-00008", "greta@mail.example", "  "),  # a blank is no address
]


def test_reach_all_writes_on_every_channel(shop: Any) -> None:
    shop.table("people", COLUMNS, REACHABLE)
    shop.campaign(TWO_CHANNELS, policy="policy: {reach: all}")

    counts = shop.run("hello", "--json").counts

    assert counts == {
        ("sms", "sent", ""): shop.number(r"select count(*) from people where phone_number like '+61%'"),
        ("sms", "skipped", "no_address"): shop.number(
            "select count(*) from people where coalesce(trim(phone_number), '') = ''"
        ),
        ("sms", "refused", "invalid_phone"): shop.number(
            "select count(*) from people where trim(phone_number) <> '' and phone_number not like '+61%'"
        ),
        ("email", "sent", ""): shop.number("select count(*) from people where email like '%@%'"),
        ("email", "skipped", "no_address"): shop.number("select count(*) from people where email is null"),
        ("email", "refused", "invalid_email"): shop.number("select count(*) from people where email not like '%@%'"),
    }
    assert counts.total() == 2 * shop.number("select count(*) from people")


def test_reach_first_writes_on_the_first_channel_that_reaches(shop: Any) -> None:
    shop.table("people", COLUMNS, REACHABLE)
    shop.campaign(TWO_CHANNELS)

    counts = shop.run("hello", "--json").counts

    by_sms, by_email = "phone_number like '+61%'", "email like '%@%'"
    assert counts == {
        ("sms", "sent", ""): shop.number(f"select count(*) from people where {by_sms}"),
        ("sms", "skipped", "no_address"): 3,
        ("sms", "refused", "invalid_phone"): 2,
        ("email", "sent", ""): shop.number(
            f"select count(*) from people where {by_email} and not coalesce({by_sms}, false)"
        ),
        ("email", "skipped", "reached_elsewhere"): shop.number(
            f"select count(*) from people where {by_email} and {by_sms}"
        ),
        ("email", "skipped", "no_address"): shop.number("select count(*) from people where email is null"),
        ("email", "refused", "invalid_email"): shop.number("select count(*) from people where email not like '%@%'"),
    }
    assert counts.total() == 2 * shop.number("select count(*) from people")
    assert shop.addresses() == ["berta@mail.example", "doris@mail.example", "greta@mail.example"]
    assert sorted(text.to for text in shop.texts()) == ["+61410000001", "+61410000003", "+61410000006"]


def test_reach_first_goes_on_when_somebody_opted_out_of_the_first(shop: Any) -> None:
    shop.table("people", COLUMNS, REACHABLE[:1])
    shop.table("opt_outs", "id text, channel text", [("id-00001", "sms")])
    shop.configure(more="subscriptions:\n  sql: select * from opt_outs\n")
    shop.campaign(TWO_CHANNELS)

    counts = shop.run("hello", "--json").counts

    assert counts == {("sms", "skipped", "unsubscribed"): 1, ("email", "sent", ""): 1}


LOCALES = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: Hello
      text: Hello
    - channel: email
      locale: fr
      subject: Bonjour
    - channel: email
      locale: fr-CA
      subject: Allô
    - channel: email
      locale: no
      subject: Hei
"""


def test_each_reads_their_language_or_the_nearest(shop: Any) -> None:
    locales = ["fr", "fr-CA", "fr_ca", "fr-BE", "FR", "de", None, "no", "nonsense", ""]
    rows = [(f"id-{n:05}", f"person{n}@mail.example", locale) for n, locale in enumerate(locales)]
    shop.table("people", "id text, email text, locale text", rows)
    shop.campaign(LOCALES)

    ended = shop.run("hello", "--json")

    assert ended.counts == {("email", "sent", ""): shop.number("select count(*) from people")}
    by_sql = shop.sql("""
        select email, case when lower(replace(locale, '_', '-')) = 'fr-ca' then 'Allô'
            when lower(locale) = 'no' then 'Hei'
            when lower(locale) = 'fr' or lower(locale) like 'fr-%' then 'Bonjour' else 'Hello' end
        from people""")
    assert {email.to[0].address: email.subject for email in shop.sent()} == dict(by_sql)
    assert {email.text for email in shop.sent()} == {"Hello"}


def test_one_of_each_key(shop: Any) -> None:
    rows = [("id-00001", f"anna{n}@mail.example", f"Anna-{n}") for n in range(5)]
    rows += [("id-00002", "berta@mail.example", "Berta-0"), (" id-00003", "c@mail.example", "Carla-0")]
    shop.table("people", "id text, email text, first_name text", rows)

    counts = shop.run("hello", "--json").counts

    assert counts == {
        ("email", "sent", ""): shop.number("select count(distinct id) from people"),
        ("email", "skipped", "duplicate"): shop.number("select count(*) - count(distinct id) from people"),
    }
    # Whoever wins, the row stays in one piece.
    sent = {(email.to[0].address, email.subject.removeprefix("Hello ")) for email in shop.sent()}
    assert sent <= set(shop.sql("select email, first_name from people"))


def test_two_people_with_one_address_are_both_written_to(shop: Any) -> None:
    rows = [("id-00001", "both@mail.example", "Annaaaa"), ("id-00002", "both@mail.example", "Bertaaa")]
    shop.table("people", "id text, email text, first_name text", rows)

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): shop.number("select count(*) from people")}
    assert sorted(email.subject for email in shop.sent()) == ["Hello Annaaaa", "Hello Bertaaa"]


def test_a_key_of_addresses_writes_once_to_each(shop: Any) -> None:
    rows = [
        ("id-00001", "both@mail.example", "Annaaaa"),
        ("id-00002", " BOTH@mail.example", "Bertaaa"),
        ("id-00003", "c@mail.example", "Carlaaa"),
    ]
    shop.table("people", "id text, email text, first_name text", rows)
    shop.campaign(sql="key: email\n  sql: select * from people")

    counts = shop.run("hello", "--json").counts

    addresses = shop.number("select count(distinct lower(trim(email))) from people")
    assert counts == {("email", "sent", ""): addresses, ("email", "skipped", "duplicate"): 3 - addresses}


def test_composite_keys_that_read_alike_are_different_people(shop: Any) -> None:
    rows = [
        ("a", "bc", "one@mail.example"),
        ("ab", "c", "two@mail.example"),
        ("a", "bc", "three@mail.example"),
        ("a", None, "four@mail.example"),
        (None, "bc", "five@mail.example"),
    ]
    shop.table("people", "id text, invoice text, email text, first_name text", [(*row, "Annaaaa") for row in rows])
    shop.campaign(sql="key: [id, invoice]\n  sql: select * from people")

    counts = shop.run("hello", "--json").counts

    whole = "id is not null and invoice is not null"
    different = shop.number(f"select count(distinct (id, invoice)) from people where {whole}")
    assert counts == {
        ("email", "sent", ""): different,
        ("email", "skipped", "duplicate"): shop.number(f"select count(*) from people where {whole}") - different,
        ("email", "refused", "missing_key"): shop.number(f"select count(*) from people where not ({whole})"),
    }
    assert counts.total() == shop.number("select count(*) from people")


@pytest.mark.parametrize("kind", ["bigint", "integer", "text", "uuid"])
def test_keys_of_every_kind(shop: Any, kind: str) -> None:
    shop.table("people", "id text, email text, first_name text")
    number = "md5(n::text)::uuid" if kind == "uuid" else f"n::{kind}"
    shop.campaign(
        sql=f"sql: select {number} as id, 'person' || n || '@mail.example' as email, 'Xx' as first_name "
        "from range(50) r(n)"
    )

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): shop.number("select count(*) from range(50)")}
    assert len(set(shop.addresses())) == 50


def test_an_email_serves_as_the_id_where_there_is_none(shop: Any) -> None:
    shop.people(4)
    shop.campaign(sql="sql: select email, first_name from people")

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): shop.number("select count(*) from people")}


def test_a_skip_tag_is_counted_with_its_reason(shop: Any) -> None:
    shop.people(10)
    text = "{% if user.id < 'id-00004' %}{% skip 'early bird' %}{% endif %}Good day"
    shop.campaign(text=f'text: "{text}"')

    counts = shop.run("hello", "--json").counts

    early = shop.number("select count(*) from people where id < 'id-00004'")
    assert counts == {
        ("email", "sent", ""): shop.number("select count(*) from people") - early,
        ("email", "skipped", "skip_tag: early bird"): early,
    }


def test_a_null_can_be_blank_or_a_refusal(shop: Any) -> None:
    rows = [("id-00001", "anna@mail.example", None), ("id-00002", "berta@mail.example", "Bertaaa")]
    shop.table("people", "id text, email text, first_name text", rows)
    nulls = shop.number("select count(*) from people where first_name is null")

    assert shop.run("hello", "--json").counts == {("email", "sent", ""): 2}
    assert "Hello " in [email.subject + " " for email in shop.sent()]

    shop.campaign(content="nulls: refuse\n  content:")
    counts = shop.run("hello", "--again", "--json").counts
    assert counts == {("email", "sent", ""): 2 - nulls, ("email", "refused", "null_value"): nulls}
