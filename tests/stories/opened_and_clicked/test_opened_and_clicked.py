"""A letter is opened, its links are followed, and it is looked at in a browser; the user's tables say so."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connect.channels.message import Email
from connect.testing.serving import Served, served

BASE = "https://connect.shop.example"
MORE = f"""
serve: {{base_url: "{BASE}"}}
subscriptions: {{write: connect_opt_outs}}
destination: {{}}
"""
LETTER = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people where since < :fire_date
  limits: {max: 1000}
message:
  content:
    - channel: email
      from: Shop <hello@shop.example>
      subject: "Hello {{ user.first_name }}"
      preheader: "For {{ user.first_name }}"
      track: {opens: true, clicks: true}
      utm: true
      html: |
        <html><head><title>Hello</title></head><body style="color: rgb(1, 2, 3)">
        <p id="hi">Good day, {{ user.first_name }}: {% random 1000000 %}</p>
        <script>document.title = "it ran"</script>
        <a id="own" href="https://shop.example/for/{{ user.email }}">Yours</a>
        <a href="https://shop.example/sale">Sale</a>
        {{ url.unsubscribe }} {{ url.permalink }}
        </body></html>
"""
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


@pytest.fixture
def sent(shop: Any) -> Any:
    """Three people have had the letter."""
    rows = [(f"id-{n}", f"canary{n}@mail.example", f"Canary{n}", "2026-01-01") for n in range(3)]
    shop.table("people", "id text, email text, first_name text, since date", rows)
    shop.configure(more=MORE)
    shop.campaign(LETTER)
    for command in ("subscriptions", "destination"):
        assert shop.connect(command, "init", "--yes").code == 0
    ended = shop.run()
    assert ended.code == 0, ended.err
    return shop


@pytest.fixture
def server(sent: Any) -> Iterator[Served]:
    with served(sent.root) as made:
        yield made


def letter(shop: Any, number: int = 0) -> Email:
    return next(email for email in shop.sent() if email.to[0].address == f"canary{number}@mail.example")


def links(email: Email, kind: str) -> list[str]:
    return re.findall(rf'"{BASE}(/{kind}/[^"]+)"', email.html or "")


def ask(server: Served, path: str, agent: str = BROWSER) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers={"User-Agent": agent})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode("latin-1")
    connection.close()
    return found


def change(shop: Any, statement: str) -> None:
    with duckdb.connect(shop.root / "shop.duckdb") as warehouse:
        warehouse.execute(statement)


def test_what_is_opened_and_clicked_is_in_the_users_table_and_in_the_report(sent: Any) -> None:
    email = letter(sent)
    with served(sent.root) as server:
        for _ in range(2):
            assert ask(server, links(email, "o")[0])[0] == 200
        ask(server, links(email, "o")[0], "Mozilla/5.0")
        status, headers, _ = ask(server, links(email, "c")[0])
        assert status == 302
        assert headers["location"].startswith("https://shop.example/for/canary0@mail.example?utm_source=shop&")
        assert ask(server, links(letter(sent, 1), "c")[1])[1]["location"].startswith("https://shop.example/sale?utm_")
    counted = "select type, machine, count(*) from connect_events group by all order by all"
    assert sent.sql(counted) == [("clicked", False, 2), ("opened", False, 2), ("opened", True, 1)]
    joined = "select count(*) from connect_events join connect_deliveries using (run, message_key)"
    assert sent.number(f"{joined} where outcome = 'sent'") == 5
    kept = b"".join(file.read_bytes() for file in (sent.root / ".connect").iterdir())
    assert b"canary" not in kept.lower()
    by_link = sent.connect("report", "hello", "--by", "link")
    assert by_link.code == 0
    assert "https://shop.example/for/{{ user.email }}" in by_link.out
    assert "https://shop.example/sale" in by_link.out


def test_a_letter_is_shown_in_the_browser_as_it_was_sent(server: Served, sent: Any) -> None:
    email = letter(sent)
    status, headers, page = ask(server, links(email, "v")[0])
    assert status == 200
    drawn = re.findall(r"Canary0: (\d+)", f"{email.html} {page}")
    assert drawn[0] == drawn[1]
    assert links(email, "u") == re.findall(rf'"{BASE}(/u/[^"]+)"', page)
    assert "/c/" not in page
    assert "/o/" not in page
    assert "https://shop.example/for/canary0@mail.example?utm_source=shop" in page
    assert "sandbox" in headers["content-security-policy"]
    assert "script" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store, private"
    assert "noindex" in headers["x-robots-tag"]


def test_it_says_so_when_it_can_not_be_shown_any_more(server: Served, sent: Any) -> None:
    first, second = (links(letter(sent, number), "v")[0] for number in (0, 1))
    who = "'k', 'id-0', 'canary0@mail.example', 'unsubscribed', now(), 'test'"
    change(sent, f'insert into connect_opt_outs (change_key, id, address, status, "at", source) values ({who})')
    assert ask(server, first)[0] == 200  # who has opted out may still read what was sent to them
    change(sent, "delete from people where id = 'id-0'")
    assert ask(server, first)[0] == 410
    assert ask(server, second)[0] == 200
    change(sent, "alter table people drop column first_name")
    status, _, page = ask(server, second)
    assert status == 410
    assert "can not be shown any more" in page


def test_nothing_of_a_letter_runs_in_a_real_browser(server: Served, sent: Any, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(
        (path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None
    )
    if chromium is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 400, "height": 700})
        page.goto(server.url + links(letter(sent), "v")[0])
        assert page.title() == "Hello"
        assert page.inner_text("#hi").startswith("Good day, Canary0")
        color = page.locator("#hi").evaluate("one => getComputedStyle(one).color")
        assert color == "rgb(1, 2, 3)"
        page.screenshot(path=str(tmp_path / "letter.png"))
        browser.close()
