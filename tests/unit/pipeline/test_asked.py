"""Columns that a run has no use for are not read, and to ask for one of them is loud."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from connect.liquid.library import Library
from connect.pipeline.asked import unread
from connect.pipeline.audience import Rows
from connect.project.text import Text
from connect.vocabulary import Channel
from connect.warehouses.history import History
from connect.warehouses.interface import Column
from connect.warehouses.wrapping import Audience, OptOuts, Wrapping
from tests.unit.pipeline.a_project import campaign, project
from tests.unit.pipeline.test_rolls import Watched, sweep, wrapped

OURS = ["id", "email", "subscribed", "Locale", "timezone", "region_code", "channels", "device_token", "platform"]
THEIRS = ["first_name", "last_name", "phone_number", "mobile", "account_no", "plan", "notes", "size"]


def left_out(root: Path, body: str, *, without: str = "", **more: object) -> set[str]:
    """What a text message with this body leaves in the warehouse."""
    names = [name for name in (*OURS, *THEIRS) if name != without]
    columns = tuple(Column(name, "BOOLEAN" if name == "subscribed" else "VARCHAR") for name in names)
    key = more.pop("key", ("id",))
    library = Library({"card": Text(source="{{ user.plan }}", file="templates/card")})
    made, _ = campaign(root, project(root), f"    - channel: sms\n      body: {body!r}\n")
    warehouse = Watched(root)
    audience = Audience("select * from people", {}, key, columns)  # type: ignore[arg-type]
    wrapping = Wrapping(warehouse.dialect, audience, OptOuts(), "salt", **more)  # type: ignore[arg-type]
    page = Text(source="https://acme.example/{{ user.account_no }}", file="connect.yml")
    return set(unread(wrapping, made, library, page if "page" in body else None, "mobile"))


def test_what_is_neither_named_nor_known_to_us_stays_where_it_is(tmp_path: Path) -> None:
    assert left_out(tmp_path, "Hi {{ user.first_name }}") == {"last_name", "account_no", "plan", "notes", "size"}


def test_what_the_unsubscribe_page_names_is_read(tmp_path: Path) -> None:
    assert left_out(tmp_path, "Hi, page") == {"first_name", "last_name", "plan", "notes", "size"}


def test_what_a_part_of_the_message_names_is_read(tmp_path: Path) -> None:
    assert "plan" not in left_out(tmp_path, "{% render 'card' %}")


def test_the_key_addresses_and_what_once_lists_are_read(tmp_path: Path) -> None:
    history = History("deliveries", "dev", "spring", "r1", once=("Plan",))
    found = left_out(tmp_path, "Hi", key=("account_no",), history=history)
    assert found == {"first_name", "last_name", "notes", "size"}


@pytest.mark.parametrize(
    "body", ["{{ user }}", "{% assign user = params %}{{ user.plan }}", "{% for cell in user %}{% endfor %}"]
)
def test_where_a_row_is_used_as_a_whole_all_of_it_is_read(tmp_path: Path, body: str) -> None:
    assert left_out(tmp_path, body) == set()


def test_where_liquid_would_answer_for_the_row_all_of_it_is_read(tmp_path: Path) -> None:
    assert left_out(tmp_path, "{{ user.size }}", without="size") == set()
    assert left_out(tmp_path, "{{ user.first }}") == set()
    assert "notes" in left_out(tmp_path, "{{ user.size }}")


def named(batches: list[Rows]) -> list[tuple[str, str]]:
    return [pair for batch in batches for pair in zip(batch.keys, batch.columns["name"], strict=True)]


def test_a_read_does_not_carry_them(tmp_path: Path) -> None:
    shop = Watched(tmp_path)
    shop.execute(
        "create table people as select i as id, 'a' || i as name, 'secret ' || i as notes from range(3000) as r(i)"
    )
    whole = wrapped(shop, "select * from people")
    audience = Audience(whole.audience.sql, {}, ("id",), whole.audience.columns, frozenset(("notes",)))
    wrapping = Wrapping(whole.dialect, audience, whole.optouts, whole.salt)
    rows = list(sweep(shop, wrapping, rows=3000).batches())
    everybody = list(sweep(shop, whole, rows=3000).batches())
    assert len(named(rows)) == 3000
    assert named(rows) == named(everybody)
    for columns in (rows[0].columns, rows[0].columns.piece(2, 5), pickle.loads(pickle.dumps(rows[0].columns))):
        assert list(columns) == ["id", "name"]
        assert columns.get("nothing") is None
        with pytest.raises(RuntimeError, match="`notes` was not read"):
            columns.get("notes")


def test_of_two_rows_with_one_key_the_same_is_taken(tmp_path: Path) -> None:
    shop = Watched(tmp_path)
    shop.execute(
        "create table people as select i // 2 as id, 'a' || i as name, 'n' || hash(i) as notes from range(400) as r(i)"
    )
    whole = wrapped(shop, "select * from people", optouts=OptOuts(channels=(Channel.email,)))
    audience = Audience(whole.audience.sql, {}, ("id",), whole.audience.columns, frozenset(("notes",)))
    wrapping = Wrapping(whole.dialect, audience, whole.optouts, whole.salt)
    taken = [named(list(sweep(shop, each, rows=400).batches())) for each in (wrapping, whole)]
    assert taken[0] == taken[1]
    assert len(taken[0]) == 200
