"""Where an audience is: what one query of the warehouse foretells, and what each row then says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import duckdb
import phonenumbers
import pytest

from connect.channels.zones import Place
from connect.pipeline.places import Places, places_of
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.interface import Query, Source
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping

T = timedelta(seconds=60)
MOBILE = "+61412345678"


class Shop:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "shop.duckdb"
        self.warehouse = DuckDB(Source("shop", DuckDBSettings(path="shop.duckdb"), folder))

    def table(self, columns: str, rows: Sequence[Sequence[object]]) -> None:
        with duckdb.connect(str(self._file)) as connection:
            connection.execute(f"create table people ({columns})")
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"insert into people values ({marks})", rows)

    def wrapping(self, sql: str = "select * from people") -> Wrapping:
        columns = tuple(self.warehouse.columns(Query(sql, {}), T))
        return Wrapping(self.warehouse.dialect, Audience(sql, {}, ("id",), columns), OptOuts(), "salt")

    def foretold(self, phone: str = "phone_number") -> set[Place]:
        return places_of(self.warehouse, self.wrapping(), phone, T)

    def found(self, phone: str = "phone_number") -> set[Place]:
        """What the rows say, one by one."""
        names = [column.name for column in self.wrapping().audience.columns]
        with duckdb.connect(str(self._file), read_only=True) as connection:
            rows = connection.execute("select * from people").fetchall()
        place = Places(phone).over(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
        return {place(row) for row in range(len(rows))}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize(
    ("columns", "row", "place"),
    [
        ("id int, timezone text", ("Asia/Tokyo",), Place(("Asia/Tokyo",), "JP")),
        ("id int, timezone text", (" asia/TOKYO ",), Place(("Asia/Tokyo",), "JP")),
        ('id int, "TimeZone" text', ("Asia/Tokyo",), Place(("Asia/Tokyo",), "JP")),
        ("id int, region_code text", ("Asia/Tokyo",), Place(("Asia/Tokyo",), "JP")),
        ("id int, timezone text, region_code text", ("Tokyo", "UTC"), Place(("UTC",), "")),
        ("id int, timezone text, region_code text", ("UTC", "Asia/Tokyo"), Place(("UTC",), "")),
        ("id int, timezone int, phone_number text", (9, "+12125551234"), Place(("America/New_York",), "US")),
        ("id int, timezone text, phone_number text", (None, "+1 (212) 555-1234"), Place(("America/New_York",), "US")),
        ("id int, timezone text, phone_number text", ("UTC", "+5511987654321"), Place(("UTC",), "BR")),
        ("id int, phone_number text", ("0412 345 678",), Place()),
        ("id int, phone_number bigint", (61412345678,), Place()),
        ("id int, phone_number text", (None,), Place()),
        ("id int, email text", ("a@x.example",), Place()),
    ],
)
def test_where_a_row_says_that_somebody_is(shop: Shop, columns: str, row: tuple[object, ...], place: Place) -> None:
    shop.table(columns, [(1, *row)])
    assert shop.found() == {place}
    assert shop.foretold() >= {place}


def test_the_number_is_in_the_column_that_is_written_to(shop: Shop) -> None:
    shop.table("id int, phone_number text, mobile text", [(1, "+819012345678", MOBILE)])
    (place,) = shop.found("mobile")
    assert place.country == "AU"
    assert shop.foretold("mobile") >= {place}


def test_nothing_is_asked_where_no_column_tells(shop: Shop) -> None:
    shop.table("id int, email text", [(1, "a@x.example")])
    assert shop.wrapping().zones_query("phone_number") is None
    assert shop.foretold() == {Place()}


def test_an_audience_of_nobody(shop: Shop) -> None:
    shop.table("id int, timezone text", [])
    assert shop.foretold() == set()


def test_every_place_of_a_mixed_audience_is_foretold(shop: Shop) -> None:
    random = Random(7)
    numbers = [
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
        if (number := phonenumbers.example_number_for_type(region, kind))
    ]
    numbers += [f"+1{area}{random.randrange(2_000_000, 9_999_999)}" for area in range(201, 990)]
    zones = [None, None, "Europe/Paris", "junk", "Asia/Almaty"]
    shop.table(
        "id int, timezone text, phone_number text",
        [(n, random.choice(zones), number) for n, number in enumerate(numbers)],
    )
    assert shop.found() <= shop.foretold()


def test_what_is_foretold_of_one_city_is_that_city(shop: Shop) -> None:
    shop.table("id int, phone_number text", [(n, f"+1212555{n:04}") for n in range(500)])
    assert shop.foretold() == {Place(("America/New_York",), "US")}


def test_the_query_returns_no_number(shop: Shop) -> None:
    shop.table("id int, phone_number text", [(n, f"+6141234{n:04}") for n in range(500)])
    query = shop.wrapping().zones_query("phone_number")
    assert query is not None
    assert shop.warehouse.rows(query, T) == [
        {"connect_timezone": None, "connect_region": None, "connect_phone": "+6141"}
    ]


def test_what_was_found_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.pipeline.places._REMEMBERED", 3)
    places = Places("phone_number")
    zones = ["UTC", "Asia/Tokyo", "Europe/Paris", "Asia/Seoul", "UTC", "Asia/Tokyo"]
    place = places.over({"timezone": zones})
    assert [place(row).zones[0] for row in range(len(zones))] == zones
    assert len(places._known) <= 3
