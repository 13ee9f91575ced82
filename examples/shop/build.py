"""Builds the demo's warehouse, `shop.duckdb`: what a small shop's would look like, broken rows included.

    python -m examples.shop.build [FILE]

The same seed and the same day give the same rows. Dates lie around `now`, so that every campaign finds somebody.
What is wrong on purpose is listed in `PLANTED`, so that the demo's report can be checked against it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import duckdb
import pyarrow

from examples.shop.catalogue import LANGUAGES, PRODUCTS, Product
from examples.shop.names import COUNTRIES, PER_EURO, WITHOUT_CENTS, Country, name, phone_numbers

SEED = 1994
PEOPLE = 600
MAIL_DOMAINS = ("mail.example.com", "post.example.org", "home.example.net")
PACKERS = ("Marta", "Ilse", "Tomasz", "Noor", "Étienne")

LAPSED, REVIEWING, STEADY = "lapsed", "reviewing", "steady"
"""What somebody's orders look like: long ago, one delivered last week, or regular ones."""


@dataclass(frozen=True)
class Flaw:
    """Something that is wrong with a person's data, or that happened to them."""

    name: str
    habit: str
    count: int
    """People of that habit who have it; nobody has two."""


PLANTED = (
    Flaw("no_id", LAPSED, 2),
    Flaw("twice", LAPSED, 3),
    Flaw("bad_email", LAPSED, 3),
    Flaw("no_email", LAPSED, 5),
    Flaw("line_break_in_name", LAPSED, 1),
    Flaw("rejected", LAPSED, 4),
    Flaw("lost", LAPSED, 2),
    Flaw("opted_out_by_id", LAPSED, 6),
    Flaw("opted_out_by_address", LAPSED, 4),
    Flaw("came_back", LAPSED, 2),
    Flaw("bounced", LAPSED, 3),
    Flaw("complained", LAPSED, 1),
    Flaw("opted_out_of_another_topic", LAPSED, 3),
    Flaw("no_packer", REVIEWING, 3),
    Flaw("bad_email", REVIEWING, 2),
    Flaw("no_email", REVIEWING, 9),
    Flaw("bad_phone", REVIEWING, 4),
    Flaw("nowhere", REVIEWING, 2),
    Flaw("opted_out_of_email", REVIEWING, 5),
    Flaw("opted_out_of_sms", STEADY, 8),
    Flaw("bad_phone", STEADY, 5),
    Flaw("no_phone", STEADY, 6),
)


@dataclass(frozen=True)
class Person:
    account: int
    id: str | None
    first_name: str | None
    last_name: str
    email: str | None
    phone_number: str | None
    country: Country
    habit: str
    flaw: str = ""


def build(file: Path, now: datetime) -> None:
    """Write the warehouse anew, as it would be at this instant."""
    file.unlink(missing_ok=True)
    random, today = Random(SEED), now.date()
    everybody = people(random)
    orders = [order for person in everybody for order in _orders(person, today, random)]
    for number, order in enumerate(orders, 70_001):
        order["id"] = f"JS{number}"
    arriving = Random(SEED + 1)  # of its own: who else there is does not depend on it
    with duckdb.connect(str(file)) as database:
        tables = {
            "people": [row for person in everybody for row in _person_rows(person, today, random)],
            "products": [_product_row(product) for product in PRODUCTS],
            "prices": [row for product in PRODUCTS for row in _price_rows(product)],
            "rates": [{"currency": currency, "per_euro": rate} for currency, rate in PER_EURO.items()],
            "product_words": [row for product in PRODUCTS for row in _word_rows(product)],
            "orders": [{key: value for key, value in order.items() if key != "items"} for order in orders],
            "order_items": [{"order_id": order["id"], **item} for order in orders for item in _items(order)],
            "events": [row for person in everybody for row in _events(person, now, random)],
            "parcels": [row for person in everybody for row in _parcels(person, today, arriving)],
            "devices": [row for person in everybody for row in _devices(person, arriving)],
            "unsubscribes": [row for person in everybody for row in _unsubscribes(person, now)],
        }
        for table, rows in tables.items():
            _write(database, table, rows)


def _write(database: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, object]]) -> None:
    database.register("given", pyarrow.Table.from_pylist(list(rows)))
    database.execute(f"create table {table} as select * from given")
    database.unregister("given")


# People


def people(random: Random) -> list[Person]:
    """Everybody, in the order of their accounts: a third of each habit, the planted flaws among the first of each."""
    flaws = {
        habit: [flaw.name for flaw in PLANTED if flaw.habit == habit for _ in range(flaw.count)] for habit in _HABITS
    }
    numbers = {country.code: phone_numbers(country) for country in COUNTRIES}
    made = []
    for account in range(1, PEOPLE + 1):
        habit = _HABITS[account % len(_HABITS)]
        flaw = flaws[habit].pop() if flaws[habit] else ""
        country = random.choices(COUNTRIES, [country.weight for country in COUNTRIES])[0]
        made.append(_flawed(_person(account, habit, country, next(numbers[country.code]), random), flaw))
    return made


_HABITS = (LAPSED, REVIEWING, STEADY)


def _person(account: int, habit: str, country: Country, number: str, random: Random) -> Person:
    called = name(country, random)
    return Person(
        account=account,
        id=f"c{account:05}",
        first_name=called.first if random.random() > 0.04 else None,
        last_name=called.last,
        email=f"{called.mail}.{account}@{random.choice(MAIL_DOMAINS)}",
        phone_number=number,
        country=country,
        habit=habit,
    )


def _flawed(person: Person, flaw: str) -> Person:
    changes: dict[str, dict[str, str | None]] = {
        "no_id": {"id": None},
        "bad_email": {"email": f"customer{person.account}(at)example.com"},
        "no_email": {"email": None},
        "line_break_in_name": {"first_name": "Maren\nBcc: everyone@example.com"},
        "rejected": {"email": f"gone.{person.account}@bounces.example.com"},
        "lost": {"email": f"silent.{person.account}@blackhole.example.com"},
        "bad_phone": {"phone_number": f"+{person.account:03} 12"},
        "no_phone": {"phone_number": None},
        "nowhere": {"email": None, "phone_number": "  "},
    }
    made = replace(person, flaw=flaw, **changes.get(flaw, {}))  # type: ignore[arg-type]
    # Somebody with an e-mail address would be reached by it, and a bad phone number never be noticed.
    return replace(made, email=None) if flaw == "bad_phone" and person.habit == REVIEWING else made


def _person_rows(person: Person, today: date, random: Random) -> Iterator[dict[str, object]]:
    points = random.choice((40, 120, 180, 260, 415, 730, 1_150, 2_480))
    soon = person.habit == STEADY and random.random() < 0.6
    row: dict[str, object] = {
        "account": person.account,
        "id": person.id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "email": person.email,
        "phone_number": person.phone_number,
        "locale": person.country.locale,
        "country": person.country.code,
        "currency": person.country.currency,
        "timezone": person.country.timezone,
        "customer_since": today - timedelta(days=random.randrange(420, 2_600)),
        "points": points,
        "points_expire_on": today
        + timedelta(days=random.randrange(2, 9) if soon or person.flaw else random.randrange(40, 300)),
    }
    yield row
    if person.flaw == "twice":
        yield {**row, "last_name": f"{person.last_name} (duplicate)"}


# What they did


def _orders(person: Person, today: date, random: Random) -> Iterator[dict[str, object]]:
    for days in sorted(_days_ago(person, random), reverse=True):
        yield _order(person, today - timedelta(days=days), random)


def _days_ago(person: Person, random: Random) -> list[int]:
    """How many days ago each order was placed. It is delivered three days later."""
    if person.habit == LAPSED:
        return [random.randrange(150, 380) for _ in range(random.randrange(1, 5))]
    if person.habit == REVIEWING:
        return [
            *([11] if person.flaw or random.random() > 0.08 else [11, 11]),
            *(random.randrange(60, 300) for _ in range(random.randrange(3))),
        ]
    return [random.randrange(20, 110) for _ in range(random.randrange(2, 6))]


def _order(person: Person, day: date, random: Random) -> dict[str, object]:
    currency = person.country.currency
    items = [
        {
            "product_id": product.number,
            "quantity": random.choice((1, 1, 1, 2, 3)),
            "unit_price": _price(product, currency),
        }
        for product in random.sample(PRODUCTS, random.randrange(1, 5))
    ]
    delivered = day + timedelta(days=3)
    no_packer = person.flaw == "no_packer"
    return {
        "id": "",
        "account": person.account,
        "ordered_at": datetime.combine(day, time(random.randrange(7, 23), random.randrange(60))),
        "delivered_on": delivered,
        "packed_by": None if no_packer else random.choice(PACKERS),
        "currency": currency,
        "total": sum(Decimal(str(item["unit_price"])) * int(item["quantity"]) for item in items),
        "items": items,
    }


def _items(order: dict[str, object]) -> list[dict[str, object]]:
    items = order["items"]
    assert isinstance(items, list)
    return items


def _price(product: Product, currency: str) -> Decimal:
    exact = product.euros * PER_EURO[currency]
    return (
        exact.quantize(Decimal("1")).quantize(Decimal("0.01"))
        if currency in WITHOUT_CENTS
        else exact.quantize(Decimal("0.01"))
    )


def _events(person: Person, now: datetime, random: Random) -> Iterator[dict[str, object]]:
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        yield {
            "account": person.account,
            "type": random.choice(("viewed", "viewed", "added_to_basket")),
            "product_id": random.choice(PRODUCTS).number,
            "happened_at": (now - timedelta(minutes=random.randrange(60, 60 * 24 * 30))).replace(tzinfo=None),
        }


def _unsubscribes(person: Person, now: datetime) -> Iterator[dict[str, object]]:
    """Who does not want to hear from the shop, as its own tools wrote it down: by id or address, in any spelling."""
    address = person.email.upper() if person.email else None
    row: dict[str, object] = {"id": None, "address": None, "channel": None, "topic": None, "status": "unsubscribed"}
    row["changed_at"] = (now - timedelta(days=30)).replace(tzinfo=None)
    by_id, by_address = {**row, "id": person.id}, {**row, "address": f" {address} "}
    yield from {
        "opted_out_by_id": [by_id],
        "opted_out_by_address": [by_address],
        "came_back": [
            by_id,
            {**by_id, "status": "subscribed", "changed_at": (now - timedelta(days=2)).replace(tzinfo=None)},
        ],
        "bounced": [{**by_address, "channel": "email", "status": "bounced"}],
        "complained": [{**by_address, "channel": "email", "status": "complained"}],
        "opted_out_of_another_topic": [{**by_id, "topic": "recipes"}],
        "opted_out_of_email": [{**by_id, "channel": "email"}],
        "opted_out_of_sms": [{**by_id, "channel": "sms", "topic": "points"}],
    }.get(person.flaw, [])


def _parcels(person: Person, today: date, random: Random) -> Iterator[dict[str, object]]:
    """What the courier brings today and tomorrow."""
    if person.habit != STEADY or random.random() > 0.4:
        return
    hour = random.randrange(8, 19)
    yield {
        "order_id": f"JS{80_000 + person.account}",
        "account": person.account,
        "arrives_on": today + timedelta(days=random.choice((0, 0, 1))),
        "from_hour": hour,
        "to_hour": hour + 2,
        "jars": random.randrange(1, 6),
    }


def _devices(person: Person, random: Random) -> Iterator[dict[str, object]]:
    """Phones with the shop's app; some of those that were given away are still in the table."""
    for number in range(random.choice((0, 0, 1, 1, 1, 2, 2, 3))):
        given_away = number > 0 and random.random() < 0.3
        yield {
            "account": person.account,
            "token": f"{'dead-' if given_away else ''}{random.getrandbits(128):032x}",
            "platform": random.choice(("ios", "ios", "android", "android", "web")),
        }


def _product_row(product: Product) -> dict[str, object]:
    return {"id": product.number, "paper": product.paper, "ink": product.ink}


def _price_rows(product: Product) -> Iterator[dict[str, object]]:
    for currency in PER_EURO:
        yield {"product_id": product.number, "currency": currency, "price": _price(product, currency)}


def _word_rows(product: Product) -> Iterator[dict[str, object]]:
    for language in LANGUAGES:
        called, note = product.words[language]
        yield {"product_id": product.number, "language": language, "name": called, "note": note}


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "shop.duckdb"), datetime.now(UTC))
