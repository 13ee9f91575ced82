"""Unsubscribe links: one-click and the pages, over a real socket, with a DuckDB warehouse and an SQLite ledger."""

from __future__ import annotations

import base64
import http.client
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from connect import wiring
from connect.identity import KeyRing, correlation_id, unsubscribe_token
from connect.pipeline import desk
from connect.pipeline.subscriber import Entry, on_record
from connect.pipeline.subscriptions import Change, create, record, writable
from connect.pipeline.visits import click_token, head, open_token, view_token
from connect.providers.events import Event
from connect.redact import Secret
from connect.server import aftercare, unsubscribe
from connect.testing.serving import Served, served
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.duckdb import DuckDB
from connect.warehouses.interface import Query
from tests.unit.pipeline.test_desk import locked

SECRET, OLDER = "a secret of this test", "an older secret of this test"
CONNECT = """
name: shop
secret: ["${CONNECT_SECRET}", "${OLDER_SECRET}"]
sources: {shop: {url: "duckdb:///shop.duckdb"}}
subscriptions: {write: connect_opt_outs}
serve: {base_url: "https://connect.acme.example"}
"""
TOPICS = """
unsubscribe:
  topics: {offers: Offers & more, news: The <News>}
  words: {de: {topics: {offers: Angebote}}, it: {save: Salva}}
"""
CLAIMS = {"id": "7", "address": "ada@mail.example", "channel": "email", "topic": "offers"}
WHO = ("7", "ada@mail.example", "email")


@dataclass
class House:
    folder: Path

    def token(self, secret: str = SECRET, number: int = 1, **claims: str) -> str:
        said = {**CLAIMS, "correlation": correlation_id("0" * 16, bytes(16)), **claims}
        return unsubscribe_token(KeyRing((Secret(secret),)), number.to_bytes(16, "big"), said)

    def record(self, *changes: Change) -> None:
        project = wiring.open_project(self.folder, None, None, ENVIRONMENT)
        record(wiring.open_warehouse(project, "shop"), writable(project), changes)

    def change(self, statement: str) -> None:
        """Whoever else of this process has the file open is waited for."""
        project = wiring.open_project(self.folder, None, None, ENVIRONMENT)
        wiring.open_warehouse(project, "shop").write([Query(statement, {})], timedelta(seconds=30))

    def rows(self) -> list[tuple[object, ...]]:
        project = wiring.open_project(self.folder, None, None, ENVIRONMENT)
        asked = Query(
            'select id, address, channel, topic, status, source from connect_opt_outs order by "at", topic', {}
        )
        return [tuple(row.values()) for row in wiring.open_warehouse(project, "shop").rows(asked, timedelta(seconds=9))]


ENVIRONMENT = {"CONNECT_SECRET": SECRET, "OLDER_SECRET": OLDER}


def a_house(folder: Path, more: str, connect: str) -> House:
    (folder / "connect.yml").write_text(connect + more)
    duckdb.connect(str(folder / "shop.duckdb")).close()
    project = wiring.open_project(folder, None, None, ENVIRONMENT)
    create(wiring.open_warehouse(project, "shop"), writable(project))
    return House(folder)


@contextmanager
def served_house(folder: Path, more: str = "", connect: str = CONNECT) -> Iterator[tuple[House, Served]]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        house = a_house(folder, more, connect)
        yield house, stack.enter_context(served(folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Served]]:
    with served_house(tmp_path_factory.mktemp("plain")) as made:
        yield made


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Served]]:
    with served_house(tmp_path_factory.mktemp("centre"), TOPICS) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_on_record(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"plain", "centre"} & set(request.fixturenames):
        house, server = request.getfixturevalue(name)
        drained(server)
        house.change("delete from connect_opt_outs")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    html: str

    @property
    def text(self) -> str:
        found = _Text()
        found.feed(re.sub("(?s)<style.*?</style>", "", self.html))
        return " ".join(" ".join(found.parts).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def ask(server: Served, method: str, token: str, body: bytes | str = b"", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.request(method, f"/u/{token}", body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    made = Answer(answer.status, found, answer.read().decode())
    connection.close()
    return made


FORM = {"Content_Type": "application/x-www-form-urlencoded"}


def post(server: Served, token: str, *fields: tuple[str, str], **headers: str) -> Answer:
    return ask(server, "POST", token, urlencode(fields), **FORM, **headers)


# One click


def test_one_click_is_written_before_it_is_answered(plain: tuple[House, Served]) -> None:
    house, server = plain
    answer = post(server, house.token(), ("List-Unsubscribe", "One-Click"))
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    drained(server)
    assert house.rows() == [(*WHO, "offers", "unsubscribed", "one_click")]


def test_a_warehouse_that_is_free_has_the_row_at_the_answer(
    plain: tuple[House, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PATIENCE", 60.0)
    house, server = plain
    assert post(server, house.token(), ("List-Unsubscribe", "One-Click")).status == 200
    assert server.site.ledger.held_count() == 0
    assert house.rows() == [(*WHO, "offers", "unsubscribed", "one_click")]


def test_one_click_as_multipart(plain: tuple[House, Served]) -> None:
    house, server = plain
    body = '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    answer = ask(server, "POST", house.token(topic=""), body, Content_Type="multipart/form-data; boundary=x")
    assert answer.status == 200
    drained(server)
    assert house.rows() == [(*WHO, None, "unsubscribed", "one_click")]


def test_one_click_stands_over_a_return_by_a_clock_that_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftercare, "_EVERY", 0.05)
    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=30))
    ahead = datetime.now(UTC) + timedelta(hours=1)
    back = Change(SubscriptionStatus.subscribed, ahead, "command", *WHO[:2], Channel.email, "offers")
    with served_house(tmp_path) as (house, server):
        house.record(back, replace(back, id="8"))
        assert post(server, house.token(), ("List-Unsubscribe", "One-Click")).status == 200
        while len(house.rows()) < 4:
            time.sleep(0.01)
        latest = Query('select id, status from connect_opt_outs order by "at" desc limit 1', {})
        warehouse = wiring.open_warehouse(server.site.project, "shop")
        assert list(warehouse.rows(latest, timedelta(seconds=9))[0].values()) == ["7", "unsubscribed"]
        # Who comes back after that is believed, though the time on record is yet to come.
        assert "subscribed again" in post(server, house.token(), ("do", "back"), ("of", "offers")).text
        server.site.house.reload()
        drained(server)
        assert [row[4] for row in house.rows() if row[0] == "7"][-1] == "subscribed"


def test_one_click_sent_again_is_counted_and_told_once(tmp_path: Path) -> None:
    with served_house(tmp_path) as (house, server):
        told: list[tuple[str, ...]] = []

        async def take(account: str, events: Sequence[Event]) -> None:
            told.append(tuple(event.type for event in events))

        server.site.intake.take = take  # type: ignore[method-assign]
        one_click = [("List-Unsubscribe", "One-Click")]
        for _ in range(3):
            assert post(server, house.token(), *one_click).status == 200
        assert "subscribed again" in post(server, house.token(), ("do", "back"), ("of", "offers")).text
        assert post(server, house.token(), *one_click).status == 200
        drained(server)
        while len(told) < 3:
            time.sleep(0.01)
        assert [row[4] for row in house.rows()] == [*["unsubscribed"] * 3, "subscribed", "unsubscribed"]
    assert told == [("unsubscribed",), ("resubscribed",), ("unsubscribed",)]


def drained(server: Served) -> None:
    """What the warehouse did not take at once is there, and nothing else is on its way."""
    while not server.site.desk.is_idle or server.site.ledger.held_count():
        time.sleep(0.01)


def test_looking_changes_nothing(plain: tuple[House, Served]) -> None:
    house, server = plain
    for method in ("GET", "HEAD", "OPTIONS"):
        assert ask(server, method, house.token()).status in (200, 204)
    assert ask(server, "HEAD", house.token()).html == ""
    assert "POST" in ask(server, "OPTIONS", house.token()).headers["allow"]
    wrong = ask(server, "DELETE", house.token())
    assert (wrong.status, "POST" in wrong.headers["allow"]) == (405, True)
    assert house.rows() == []


def test_a_locked_warehouse_loses_nothing(plain: tuple[House, Served]) -> None:
    house, server = plain
    project = server.site.project
    with locked(project):
        assert post(server, house.token(), ("List-Unsubscribe", "One-Click")).status == 200
        assert server.site.ledger.held_count() == 1
    drained(server)
    assert house.rows() == [(*WHO, "offers", "unsubscribed", "one_click")]


def test_a_phone_number_and_a_device(plain: tuple[House, Served]) -> None:
    house, server = plain
    post(server, house.token(channel="sms", address="+61 412 345 678", topic=""))
    post(server, house.token(channel="push", address="a device's token", topic=""))
    drained(server)
    assert [row[:3] for row in house.rows()] == [("7", "+61412345678", "sms"), ("7", None, "push")]


def test_a_token_of_before(plain: tuple[House, Served]) -> None:
    house, server = plain
    before = unsubscribe_token(KeyRing((Secret(OLDER),)), bytes(16), CLAIMS)
    assert post(server, before, ("List-Unsubscribe", "One-Click")).status == 200
    drained(server)
    assert len(house.rows()) == 1


@pytest.mark.parametrize("token", ["nothing", "%00", "A" * 3000, "ÿ".encode().hex()])
def test_a_broken_link_says_what_to_do_and_quotes_nothing(plain: tuple[House, Served], token: str) -> None:
    _, server = plain
    for method in ("GET", "POST"):
        answer = ask(server, method, token, Accept_Language="fr-CH, en;q=0.5")
        assert (answer.status, answer.headers["content-language"]) == (404, "fr")
        assert "répondez au message" in answer.text
        assert token not in answer.html


def test_a_link_of_another_project_is_broken(plain: tuple[House, Served]) -> None:
    house, server = plain
    assert post(server, house.token("the secret of another project"), *[("do", "leave")]).status == 404
    changed = house.token()[:-2] + "AA"
    assert ask(server, "GET", changed).status == 404


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def bits(token: str) -> bytes:
    """The last character of a token can have some that mean nothing."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 400), st.sampled_from(["", *LETTERS]))
def test_no_changed_link_takes_anybody_off(plain: tuple[House, Served], place: int, other: str) -> None:
    """One character is another one; or the token ends there."""
    house, server = plain
    token = house.token()
    place %= len(token)
    changed = token[:place] + other + token[place + 1 :] if other else token[:place]
    assume(not other or bits(changed) != bits(token))
    assert ask(server, "GET", changed).status == 404
    assert post(server, changed, ("List-Unsubscribe", "One-Click")).status == 404
    assert (server.site.ledger.held_count(), house.rows()) == (0, [])


def test_links_for_something_else_take_nobody_off(plain: tuple[House, Served]) -> None:
    house, server = plain
    ring, delivery = KeyRing((Secret(SECRET),)), head("0" * 16, bytes(16), counts=True)
    others = (click_token(ring, delivery, "https://shop.example/", 1), open_token(ring, delivery))
    for token in (*others, view_token(ring, delivery, "1:7")):
        assert post(server, token, ("List-Unsubscribe", "One-Click")).status == 404
    assert (server.site.ledger.held_count(), house.rows()) == (0, [])


def test_what_no_run_would_heed_is_not_acknowledged(plain: tuple[House, Served]) -> None:
    house, server = plain
    for method in ("GET", "POST"):
        answer = ask(server, method, house.token(id="", channel="push"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "60")


# Pages


def test_a_page_has_one_button_and_says_nothing_of_the_person(plain: tuple[House, Served]) -> None:
    house, server = plain
    answer = ask(server, "GET", house.token(topic=""))
    assert re.findall('<button name="do" value="([a-z]+)"', answer.html) == ["leave"]
    assert "ada" not in answer.html.lower()
    assert '<html lang="en">' in answer.html
    assert "<script" not in answer.html
    nonce = re.search('<style nonce="([^"]+)"', answer.html)[1]  # type: ignore[index]
    assert f"style-src 'nonce-{nonce}'" in answer.headers["content-security-policy"]
    assert nonce not in ask(server, "GET", house.token()).html


@pytest.mark.parametrize(
    ("asked", "language", "word"),
    [
        ("de-AT,en;q=0.8", "de", "Speichern"),
        ("xx, es;q=0.4", "es", "Guardar"),
        ("it", "it", "Salva"),
        ("tlh", "en", "Save"),
        ("de;q=0, *", "en", "Save"),
        ("," * 5000, "en", "Save"),
    ],
)
def test_a_page_is_in_the_language_that_is_asked_for(
    centre: tuple[House, Served], asked: str, language: str, word: str
) -> None:
    house, server = centre
    answer = ask(server, "GET", house.token(), Accept_Language=asked)
    assert (answer.headers["content-language"], f'<html lang="{language}">' in answer.html) == (language, True)
    assert word in answer.text


def ticked(answer: Answer) -> dict[str, bool]:
    boxes = re.findall('<input type="checkbox" name="topic" value="([a-z]+)"( checked)?>', answer.html)
    return {name: bool(on) for name, on in boxes}


BOTH = [("shown", "offers"), ("shown", "news")]


def test_the_preference_centre(centre: tuple[House, Served]) -> None:
    house, server = centre
    token = house.token()
    first = ask(server, "GET", token)
    assert ticked(first) == {"offers": True, "news": True}
    assert "Offers & more" in first.text
    assert "The &lt;News&gt;" in first.html
    post(server, token, ("do", "save"), *BOTH, ("topic", "news"))
    drained(server)
    assert ticked(ask(server, "GET", token)) == {"offers": False, "news": True}
    saved = post(server, token, ("do", "save"), *BOTH, ("topic", "offers"))
    assert ticked(saved) == {"offers": True, "news": False}
    drained(server)
    assert ticked(ask(server, "GET", token)) == {"offers": True, "news": False}
    assert "Angebote" in ask(server, "GET", token, Accept_Language="de").text


def test_who_has_left_is_shown_so_while_that_is_held(
    centre: tuple[House, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, server = centre
    ledger, token = server.site.ledger, house.token()

    def asked_just_before_it_was_written(*asked: Any) -> tuple[Entry, ...]:
        """The warehouse says what was so; then it has what was held, and the ledger holds it no more."""
        found = on_record(*asked)
        ledger.let_go([one.name for one in ledger.held()])
        return found

    monkeypatch.setattr(DuckDB, "patience", timedelta(seconds=0.1))
    with locked(server.site.project):
        post(server, token, ("do", "save"), *BOTH, ("topic", "news"))
        assert ledger.held_count() == 1
        assert ticked(ask(server, "GET", token)) == {"offers": False, "news": True}
        monkeypatch.setattr(unsubscribe, "on_record", asked_just_before_it_was_written)
        assert ticked(ask(server, "GET", token)) == {"offers": False, "news": True}
        assert ledger.held_count() == 0


def test_who_left_everything_comes_back_to_one_topic(centre: tuple[House, Served]) -> None:
    house, server = centre
    token = house.token()
    post(server, token, ("do", "all"))
    drained(server)
    page = ask(server, "GET", token)
    assert ticked(page) == {"offers": False, "news": False}
    assert "without a topic" in page.text
    post(server, token, ("do", "save"), *BOTH, ("topic", "news"))
    drained(server)
    assert ticked(ask(server, "GET", token)) == {"offers": False, "news": True}


def test_a_mistake_is_taken_back(centre: tuple[House, Served]) -> None:
    house, server = centre
    token = house.token()
    left = post(server, token, ("do", "leave"))
    assert re.search('name="of" value="offers"', left.html)
    drained(server)
    assert "subscribed again" in post(server, token, ("do", "back"), ("of", "offers")).text
    drained(server)
    assert [row[3:] for row in house.rows()] == [("offers", "unsubscribed", "page"), ("offers", "subscribed", "page")]


AGO = Change(SubscriptionStatus.unsubscribed, datetime(2026, 1, 1, tzinfo=UTC), "import", "7")


def test_who_left_every_channel_comes_back_to_this_one_alone(centre: tuple[House, Served]) -> None:
    house, server = centre
    house.record(AGO)
    post(server, house.token(), ("do", "save"), *BOTH, *[("topic", name) for name in ("offers", "news")])
    drained(server)
    assert ticked(ask(server, "GET", house.token())) == {"offers": True, "news": True}
    on_push = ask(server, "GET", house.token(channel="push", address=""))
    assert ticked(on_push) == {"offers": False, "news": False}


def test_nothing_is_taken_back_over_a_bounce(centre: tuple[House, Served]) -> None:
    house, server = centre
    house.record(replace(AGO, status=SubscriptionStatus.bounced, address="ada@mail.example", channel=Channel.email))
    token = house.token()
    assert "could not be delivered" in ask(server, "GET", token).text
    for fields in ([("do", "back"), ("of", "offers")], [("do", "save"), *BOTH, ("topic", "news")]):
        assert "could not be delivered" in post(server, token, *fields).text
    drained(server)
    assert {row[4] for row in house.rows()} == {"bounced", "unsubscribed"}


def test_a_warehouse_that_can_not_be_asked_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    with served_house(tmp_path, TOPICS) as (house, server):
        token = house.token()
        house.change("alter table connect_opt_outs rename to gone")
        page = ask(server, "GET", token)
        assert "can not be shown" in page.text
        assert ticked(page) == {"offers": False, "news": False}
        assert post(server, token, ("do", "back"), ("of", "offers")).status == 503
        assert post(server, token, ("do", "some"), ("topic", "news"), ("topic", "other")).status == 200
        assert server.site.ledger.held_count() == 1
        house.change("alter table gone rename to connect_opt_outs")
        drained(server)
        assert [row[3:5] for row in house.rows()] == [("news", "unsubscribed")]


def test_a_project_that_names_no_table_takes_nobody_off(tmp_path: Path) -> None:
    with served_house(tmp_path) as (house, server):
        without = CONNECT.replace("{write: connect_opt_outs}", "{sql: select 1 as id}")
        (tmp_path / "connect.yml").write_text(without)
        server.site.house.reload()
        for method in ("GET", "POST"):
            assert ask(server, method, house.token()).status == 503


def test_the_page_can_look_like_the_project(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    own = '<html lang="{{ params.language }}"><style nonce="{{ params.nonce }}"></style><b>Acme</b>{{ params.content }}'
    (tmp_path / "templates" / "off.html").write_text(own)
    with served_house(tmp_path, "unsubscribe: {template: off.html}\n") as (house, server):
        page = ask(server, "GET", house.token())
        assert "<b>Acme</b><h1>" in page.html
        assert "img-src https:" in page.headers["content-security-policy"]
        (tmp_path / "templates" / "off.html").write_text("{{ params.contents }")
        server.site.house.reload()
        (tmp_path / "connect.yml").write_text((tmp_path / "connect.yml").read_text() + "timezone: Europe/Berlin\n")
        server.site.house.reload()
        assert "<main>" in ask(server, "GET", house.token()).html
