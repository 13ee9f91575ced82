"""The unsubscribe pages in a real browser, without JavaScript, on a phone: what people see, press and hear."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.testing.serving import Served
from tests.unit.server.test_unsubscribe import TOPICS, House, drained, served_house

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: `apt-get install chromium`")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def phone(browser: Any) -> Iterator[Any]:
    """A page on a phone that speaks German and runs no scripts; it must not find anything to complain about."""
    context = browser.new_context(
        viewport={"width": 360, "height": 700}, locale="de-DE", java_script_enabled=False, color_scheme="light"
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert [one for one in complaints if "404" not in one] == []  # of the page of a broken link


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Served]]:
    with served_house(tmp_path_factory.mktemp("centre"), TOPICS) as made:
        yield made


def look(page: Any, name: str, folder: Path) -> None:
    """A picture for whoever wants to see it; and nothing sticks out on a phone."""
    page.screenshot(path=str(folder / f"{name}.png"), full_page=True)


def test_one_button(phone: Any, tmp_path: Path) -> None:
    with served_house(tmp_path) as (house, server):
        phone.goto(f"{server.url}/u/{house.token(topic='')}")
        assert phone.title() == "Ihre Nachrichten"
        look(phone, "asked", tmp_path)
        button = phone.get_by_role("button", name="Abmelden")
        box = button.bounding_box()
        assert box["width"] > 250  # a thumb finds it
        assert box["height"] >= 44
        button.click()
        assert "abgemeldet" in phone.get_by_role("status").inner_text()
        look(phone, "left", tmp_path)
        drained(server)
        assert [row[4] for row in house.rows()] == ["unsubscribed"]
        phone.get_by_role("button", name="Wieder anmelden").click()
        assert "wieder angemeldet" in phone.get_by_role("status").inner_text()
        drained(server)
        assert [row[4] for row in house.rows()] == ["unsubscribed", "subscribed"]
        phone.goto(f"{server.url}/u/broken")
        assert phone.get_by_role("heading").inner_text() == "Dieser Link funktioniert nicht"
        look(phone, "broken", tmp_path)


def test_choosing(phone: Any, centre: tuple[House, Served], tmp_path: Path) -> None:
    house, server = centre
    address = f"{server.url}/u/{house.token(id='8')}"
    phone.goto(address)
    offers, news = phone.get_by_label("Angebote"), phone.get_by_label("The <News>")
    assert (offers.is_checked(), news.is_checked()) == (True, True)
    assert phone.get_by_role("group", name="Was möchten Sie erhalten?").count() == 1
    look(phone, "choices", tmp_path)
    phone.get_by_text("Angebote").click()  # a label is as good as its box
    phone.get_by_role("button", name="Speichern").click()
    assert "gespeichert" in phone.get_by_role("status").inner_text()
    drained(server)
    phone.goto(address)
    assert (offers.is_checked(), news.is_checked()) == (False, True)
    phone.keyboard.press("Tab")
    phone.keyboard.press("Space")
    assert offers.is_checked()  # by the keyboard alone
    phone.get_by_role("button", name="Von allem abmelden").click()
    drained(server)
    phone.goto(address)
    assert (offers.is_checked(), news.is_checked()) == (False, False)
    look(phone, "all-off", tmp_path)


def test_the_style_is_let_in_and_can_be_read(browser: Any, centre: tuple[House, Served], tmp_path: Path) -> None:
    """By the page's own policy; in light and in dark with a contrast of 4.5 and more (WCAG 2.2, 1.4.3)."""
    house, server = centre
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 360, "height": 700}, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{server.url}/u/{house.token(id='9')}")
        look(page, scheme, tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate("document.documentElement.lang") == "en"
        for selector in ("h1", "label", "button", "button.other"):
            assert page.evaluate(CONTRAST, selector) >= 4.5, (scheme, selector)
        context.close()


CONTRAST = """selector => {
  const element = document.querySelector(selector)
  const numbers = text => text.match(/[\\d.]+/g).map(Number)
  const backdrop = at => {
    for (; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor)
      if (colour.length < 4 || colour[3] > 0) return colour
    }
    return [255, 255, 255]
  }
  const light = colour => {
    const [r, g, b] = colour.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const [one, other] = [light(numbers(getComputedStyle(element).color)), light(backdrop(element))]
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
}"""
