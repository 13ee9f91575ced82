"""Links and pictures over a real socket: where they lead, what is counted, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect.channels.message import Email, Mailbox
from connect.errors import OutsideError
from connect.identity import KeyRing, unsubscribe_token
from connect.pipeline.machines import PRIVACY, PROGRAMS, READERS, is_machine
from connect.pipeline.visitors import WITHIN, Visitors
from connect.pipeline.visits import Visit, click_token, head, open_token, view_token
from connect.providers.events import Event, EventType
from connect.redact import Secret
from connect.server.metrics import Metrics
from connect.server.notices import GONE, LATER, NOTHING
from connect.server.site import Part, Site
from connect.server.tracking import Tracking, location
from connect.server.viewing import Allowance, document
from connect.server.words import LANGUAGES
from connect.testing import FakeClock
from connect.testing.serving import Served, served

SECRET = "a secret of this test"
RING = KeyRing((Secret(SECRET),))
HEAD = head("run0000000000001", b"k" * 16, counts=True)
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "connect.yml").write_text("name: shop\nsecret: ${CONNECT_SECRET}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONNECT_SECRET", SECRET)
        with served(folder) as made:
            yield made


def ask(server: Served, path: str, method: str = "GET", headers: dict[str, str] = BROWSER) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def body(answer: http.client.HTTPResponse) -> bytes:
    return answer.body  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_leads_to_what_is_sealed_in_it(server: Served, method: str) -> None:
    answer = ask(server, "/c/" + click_token(RING, HEAD, "https://shop.example/?a=1#b", 1), method)
    assert (answer.status, answer.getheader("Location")) == (302, "https://shop.example/?a=1#b")
    assert (answer.getheader("Set-Cookie"), answer.getheader("Cache-Control")) == (None, "no-store")
    assert answer.getheader("Referrer-Policy") == "no-referrer"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_link_is_only_followed(server: Served, method: str) -> None:
    assert ask(server, "/c/" + click_token(RING, HEAD, "https://shop.example/", 1), method).status == 405


def test_a_picture_may_be_shown_by_webmail_and_is_not_kept(server: Served) -> None:
    answer = ask(server, f"/o/{open_token(RING, HEAD)}.gif")
    assert (answer.status, answer.getheader("Content-Type"), body(answer)[:6]) == (200, "image/gif", b"GIF89a")
    assert answer.getheader("Cross-Origin-Resource-Policy") == "cross-origin"
    assert answer.getheader("Cache-Control") == "no-store"


@pytest.mark.parametrize(
    "token", [open_token(RING, HEAD), view_token(RING, HEAD, "1:1"), "", "xyzzy", "AAAA" * 1000, "%00", "..%2f..", "é"]
)
def test_a_token_that_is_none_leads_nowhere(server: Served, token: str) -> None:
    answer = ask(server, f"/c/{token.replace('é', '%C3%A9')}")
    assert (answer.status, answer.getheader("Location")) == (404, None)
    assert token.encode() not in body(answer) or not token
    assert (
        ask(server, f"/v/{'xyzzy' if token == view_token(RING, HEAD, '1:1') else token.replace('é', '%C3%A9')}").status
        == 404
    )


@pytest.mark.parametrize(("wanted", "language"), [("de-CH, en;q=0.5", "de"), ("fr", "fr"), ("es", "es"), ("nl", "en")])
def test_a_page_that_says_so_is_in_the_browsers_language(server: Served, wanted: str, language: str) -> None:
    answer = ask(server, "/c/broken", headers={**BROWSER, "Accept-Language": wanted})
    assert f'<html lang="{language}">'.encode() in body(answer)
    assert NOTHING[language].title.encode() in body(answer)
    assert "'unsafe" not in (answer.getheader("Content-Security-Policy") or "")
    assert {tuple(notices) for notices in (NOTHING, GONE, LATER)} == {tuple(LANGUAGES)}


@pytest.mark.parametrize("token", ["x", click_token(RING, HEAD, "https://shop.example/", 1)])
def test_a_picture_is_shown_whatever_its_token(server: Served, token: str) -> None:
    assert body(ask(server, f"/o/{token}.gif"))[:6] == b"GIF89a"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 400), st.characters(codec="ascii", categories=["L", "N", "P"]))
def test_no_changed_token_leads_anywhere_else(server: Served, place: int, other: str) -> None:
    token = click_token(RING, HEAD, "https://shop.example/", 1)
    changed = token[: place % len(token)] + other + token[place % len(token) + 1 :]
    answer = ask(server, "/c/" + "".join(f"%{byte:02X}" for byte in changed.encode()))
    assert answer.getheader("Location") in (None, "https://shop.example/")
    assert answer.status == 404 or changed == token or _same_bits(changed, token)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 400), st.sampled_from(["", *"ABCXYZabcxyz0189-_"]))
def test_no_changed_token_shows_a_message(server: Served, place: int, other: str) -> None:
    """One character is another one; or the token ends there. The whole one is known: its message is gone."""
    token = view_token(RING, HEAD, "1:7")
    place %= len(token)
    changed = token[:place] + other + token[place + 1 :] if other else token[:place]
    known = changed == token or (bool(other) and _same_bits(changed, token))
    answer = ask(server, "/v/" + changed)
    assert answer.status == 404 or (known and answer.status == 410)


def test_a_link_for_something_else_shows_no_message(server: Served) -> None:
    claims = {"id": "7", "address": "ada@mail.example", "channel": "email", "topic": ""}
    others = (click_token(RING, HEAD, "https://shop.example/", 1), open_token(RING, HEAD))
    for token in (*others, unsubscribe_token(RING, b"k" * 16, claims)):
        assert ask(server, "/v/" + token).status == 404
    assert ask(server, "/v/" + view_token(RING, HEAD, "1:7")).status == 410


def _same_bits(one: str, other: str) -> bool:
    """The last character of a token has bits that mean nothing."""
    return one[:-1] == other[:-1]


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("https://shop.example/ä b\u2028", "https://shop.example/%C3%A4%20b%E2%80%A8"),
        ("https://Bücher.example:8080/é?ü#ö", "https://xn--bcher-kva.example:8080/%C3%A9?%C3%BC#%C3%B6"),
        ("HTTP://shop.example", "HTTP://shop.example"),
        ("https://shop.example/%41?a=%20", "https://shop.example/%41?a=%20"),
        ("https://shop.example/\r\nSet-Cookie: a=b", "https://shop.example/%0D%0ASet-Cookie:%20a=b"),
        ("javascript:alert(1)", ""),
        ("//shop.example/", ""),
        ("https:///x", ""),
        ("https://[::1/x", ""),
        ("https://a..ü.example/", ""),
        ("https://İstanbul.example/", ""),
    ],
)
def test_a_location_is_ascii_and_nothing_but_a_page(url: str, header: str) -> None:
    assert location(url) == header


# Who it was


@pytest.mark.parametrize(
    "agent", [*(f"Mozilla/5.0 (compatible; {name}/1.0)" for name in PROGRAMS), PRIVACY, "", "SomeBot 1"]
)
def test_programs_are_machines(agent: str) -> None:
    assert is_machine("GET", {"user-agent": agent})


@pytest.mark.parametrize(
    "agent",
    [
        BROWSER["User-Agent"],
        "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "Mozilla/5.0 (Linux; Android 12; Cubot X19) AppleWebKit/537.36",
    ],
)
def test_readers_are_people(agent: str) -> None:
    assert not is_machine("GET", {"user-agent": agent})
    assert len(READERS) == 2


def test_who_only_looks_or_fetches_ahead_is_a_machine() -> None:
    agent = {"user-agent": BROWSER["User-Agent"]}
    assert is_machine("HEAD", agent)
    assert is_machine("GET", {**agent, "sec-purpose": "prefetch;prerender"})
    assert is_machine("GET", {**agent, "purpose": "preview"})


# From a visit to its count


def a_visit(number: int = 1, key: bytes = b"k" * 16, *, counts: bool = True) -> Visit:
    return Visit("run0000000000001", key, counts, f"https://shop.example/{number}", number)


class Counting:
    """Takes events, as an intake does; away for so many tries."""

    def __init__(self, away: int = 0) -> None:
        self.away, self.events, self.lost = away, list[Event](), list[tuple[int, str]]()

    async def take(self, account: str, events: Sequence[Event]) -> None:
        assert account == "connect"
        if self.away:
            self.away -= 1
            raise OutsideError.of("warehouse-locked", "somebody else is writing")
        self.events += events

    def lose(self, count: int, why: str) -> None:
        self.lost.append((count, why))


async def run(visitors: Visitors, clock: FakeClock, seconds: float) -> None:
    """So long, and then the end."""
    stop = asyncio.Event()
    running = asyncio.ensure_future(visitors.run(stop))
    until = clock.monotonic() + seconds
    while clock.monotonic() < until and not running.done():
        await clock.asleep()
        clock.advance(0.5)
    stop.set()
    await running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 20, 12, tzinfo=UTC))


async def test_what_was_held_for_long_enough_is_counted(clock: FakeClock) -> None:
    counting = Counting()
    visitors = Visitors(counting.take, clock, counting.lose)
    visitors.came(a_visit(), EventType.clicked, machine=False)
    visitors.came(a_visit(), EventType.opened, machine=True)
    visitors.came(a_visit(counts=False), EventType.clicked, machine=False)
    await run(visitors, clock, WITHIN + 1)
    assert [(one.type.value, one.link, one.machine, one.run_id) for one in counting.events] == [
        ("clicked", "https://shop.example/1", False, "run0000000000001"),
        ("opened", "https://shop.example/1", True, "run0000000000001"),
    ]
    assert len({one.id for one in counting.events}) == 2


async def test_who_opens_several_links_at_once_is_a_machine_from_the_first_on(clock: FakeClock) -> None:
    counting = Counting()
    visitors = Visitors(counting.take, clock, counting.lose)
    other = b"o" * 16
    for number in (1, 1, 1, 1):  # a person who is impatient
        visitors.came(a_visit(number, other), EventType.clicked, machine=False)
    for number in (1, 2, 3):
        visitors.came(a_visit(number), EventType.clicked, machine=False)
        clock.advance(0.5)
    await run(visitors, clock, 10)
    assert [one.machine for one in counting.events if one.key == other] == [False] * 4
    assert [one.machine for one in counting.events if one.key != other] == [True] * 3
    assert not visitors._clicks


async def test_links_that_are_opened_one_after_the_other_are_a_persons(clock: FakeClock) -> None:
    counting = Counting()
    visitors = Visitors(counting.take, clock, counting.lose)
    for number in (1, 2, 3, 4):
        visitors.came(a_visit(number), EventType.clicked, machine=False)
        clock.advance(1.5)
    await run(visitors, clock, 10)
    assert [one.machine for one in counting.events] == [False] * 4


async def test_while_the_warehouse_is_away_they_wait(clock: FakeClock) -> None:
    counting = Counting(away=3)
    visitors = Visitors(counting.take, clock, counting.lose)
    visitors.came(a_visit(), EventType.clicked, machine=False)
    await run(visitors, clock, 15)
    assert (len(counting.events), counting.lost) == (1, [])


async def test_those_that_could_not_be_counted_are_told(clock: FakeClock) -> None:
    counting = Counting(away=1000)
    visitors = Visitors(counting.take, clock, counting.lose, most=10)
    for _ in range(12):
        visitors.came(a_visit(), EventType.opened, machine=False)
    await run(visitors, clock, 100)
    assert sorted(counting.lost) == [(2, "queue_full"), (10, "warehouse-locked")]


async def test_the_last_ones_are_counted_before_the_server_ends(clock: FakeClock) -> None:
    counting = Counting()
    visitors = Visitors(counting.take, clock, counting.lose)
    visitors.came(a_visit(), EventType.clicked, machine=False)
    stop = asyncio.Event()
    stop.set()
    await visitors.run(stop)
    assert len(counting.events) == 1


def test_one_message_is_shown_a_few_times_a_minute_and_all_of_them_a_few_times_a_second(clock: FakeClock) -> None:
    allowance = Allowance(clock, of_one=2, of_all=5)
    assert [allowance.takes(b"a") for _ in range(3)] == [True, True, False]
    assert [allowance.takes(key) for key in (b"b", b"c", b"d")] == [True, True, False]
    clock.advance(1)
    assert [allowance.takes(key) for key in (b"a", b"d")] == [False, True]
    clock.advance(60)
    assert allowance.takes(b"a")


def test_a_message_without_a_page_is_shown_as_text() -> None:
    email = Email(Mailbox("a@b.example"), (Mailbox("c@d.example"),), "<Hi>", "x@y.example", text="1 < 2\n<b>")
    assert "<title>&lt;Hi&gt;</title>" in document(email)
    assert "1 &lt; 2\n&lt;b&gt;" in document(email)


def test_who_has_seen_what_is_remembered_of_so_many_only(clock: FakeClock) -> None:
    allowance = Allowance(clock, of_all=10_000, most=100)
    for number in range(1000):
        allowance.takes(number.to_bytes(2, "big"))
    assert len(allowance._minutes) == 100


def test_the_part_stands_in_the_server() -> None:
    from connect.server.parts import PARTS

    assert Tracking in PARTS


def test_visits_that_nobody_counts_are_in_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "connect.yml").write_text("name: shop\nsecret: ${CONNECT_SECRET}\nserve: {metrics: true}\n")
    monkeypatch.setenv("CONNECT_SECRET", SECRET)

    def make_parts(site: Site) -> list[Part]:
        tracking = Tracking(site)
        tracking.visitors.most = 0
        return [tracking, Metrics(site)]

    with served(tmp_path, make_parts=make_parts) as crowded:
        for _ in range(3):
            ask(crowded, f"/o/{open_token(RING, HEAD)}.gif")
        while b"connect_visits_lost_total 3.0" not in body(ask(crowded, "/metrics")):
            time.sleep(0.05)
