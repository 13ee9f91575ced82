"""A request from rendered strings, and what is a URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.channels.http import (
    LONGEST_URL,
    MOST_BODY_BYTES,
    MOST_HEADER_CHARACTERS,
    build_request,
    http_url,
    request_header_problem,
)
from connect.channels.message import Request
from connect.channels.parts import Bad
from connect.redact import Secret
from connect.vocabulary import Reason

URL = "https://hooks.acme.example/in"


def built(url: str = URL, **fields: object) -> Request | Bad:
    given: dict[str, object] = {
        "method": "POST",
        "body": b"{}",
        "content_type": "application/json",
        "headers": (),
        "signing_secret": None,
        "allow_private": None,
    }
    return build_request(url, **{**given, **fields})  # type: ignore[arg-type]


def test_a_request() -> None:
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    fields = {"method": "PUT", "body": b"[1]", "signing_secret": secret, "allow_private": True}
    assert built(" HTTPS://Hooks.acme.example/in?a=1#top ", headers=(("X-Name", " Zoë "),), **fields) == Request(
        to="https://hooks.acme.example/in?a=1", headers=(("X-Name", "Zoë"),), **fields
    )


def test_the_accounts_own_endpoint_has_no_url() -> None:
    assert built("") == Request(to="", body=b"{}")
    assert built(" ") == Bad(Reason.invalid_url, "url")


def test_a_content_type_among_the_headers_is_the_requests() -> None:
    made = built(headers=(("content-Type", "application/cloudevents+json"), ("X-A", "1")))
    assert made == Request(to=URL, body=b"{}", content_type="application/cloudevents+json", headers=(("X-A", "1"),))


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({"url": "hooks.acme.example"}, Bad(Reason.invalid_url, "url")),
        ({"headers": (("X A", "1"),)}, Bad(Reason.invalid_header, "headers")),
        ({"headers": (("", "1"),)}, Bad(Reason.invalid_header, "headers")),
        ({"headers": (("X-A", "1\r\nX-B: 2"),)}, Bad(Reason.invalid_header, "headers")),
        ({"headers": (("X-A", "\ud83c"),)}, Bad(Reason.invalid_header, "headers")),
        ({"headers": (("Host", "elsewhere.example"),)}, Bad(Reason.invalid_header, "headers")),
        ({"headers": (("X-A", "x" * MOST_HEADER_CHARACTERS),)}, Bad(Reason.content_too_large, "headers")),
        ({"body": b"x" * (MOST_BODY_BYTES + 1)}, Bad(Reason.content_too_large, "body")),
    ],
)
def test_why_there_is_no_request(fields: dict[str, object], bad: Bad) -> None:
    assert built(**fields) == bad  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        *("host", "Content-Length", "CONNECTION", "transfer-encoding", "webhook-id", "Webhook-Timestamp"),
        *("webhook-signature", "Idempotency-Key", "content-encoding", "expect", "upgrade", "te"),
    ],
)
def test_headers_that_are_not_a_contents(name: str) -> None:
    assert "by Connect" in (request_header_problem(name) or "")


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "user-agent", "Accept", "Content-Type"])
def test_headers_that_are(name: str) -> None:
    assert request_header_problem(name) is None


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://a.example", "http://a.example"),
        ("  https://A.Example:8443/Path?q=A%20b#Frag \n", "https://a.example:8443/Path?q=A%20b#Frag"),
        ("https://a.example?x={1}|2", "https://a.example?x=%7B1%7D%7C2"),
        ("https://a.example/größe?ü=1", "https://a.example/gr%C3%B6%C3%9Fe?%C3%BC=1"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://BÜCHER。example/", "https://xn--bcher-kva.example/"),
        ("http://localhost:08080/", "http://localhost:8080/"),
        ("http://my_service.internal./x", "http://my_service.internal./x"),
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("http://[2001:DB8::0:1]/", "http://[2001:db8::1]/"),
        ("https://a.example/@me", "https://a.example/@me"),
    ],
)
def test_urls(written: str, url: str) -> None:
    assert http_url(written) == url
    assert http_url(url) == url


@pytest.mark.parametrize(
    "written",
    [
        *["", " ", "a.example", "//a.example/", "ftp://a.example/", "mailto:a@b.example", "javascript:alert(1)"],
        *["http://", "http:///path", "http:a.example", "https://?q", "http://:80/", "http://."],
        *["http://user@a.example/", "http://user:pass@a.example/", "http://a.example@b.example/", "http://@a.example/"],
        *["http://a.example:0/", "http://a.example:65536/", "http://a.example:/", "http://a.example:x/"],
        *[
            "http://a b.example/",
            "http://a.example/a b",
            "http://a.example/\nx",
            "http://a.example\r\n.b/",
            "http://a\tb/",
        ],
        *["http://a.example\\@b.example/", "http://a.example/\\b", "http://a%2eexample/", "http://a..example/"],
        *["http://-a.example/", f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/"],
        *["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://a.example.5/"],
        *["http://1.2.3.4./", "http://0x/"],
        *["http://[::1", "http://[::1%25eth0]/", "http://[1.2.3.4]/", "http://[::1]x/", "http://::1/"],
        *["http://a.example/\ud83c", "http://a.example/\x7f", "http://a.example/\u2028x", "http://a.example/\u00a0x"],
        *["http://\u2603\u200d.example/", "http://a\uff0fb.example/", "http://\ud83c.example/"],
    ],
)
def test_what_is_no_url(written: str) -> None:
    assert http_url(written) is None


def test_the_longest_url() -> None:
    start = "https://a.example/"
    assert http_url(start + "x" * (LONGEST_URL - len(start)))
    assert http_url(start + "x" * (LONGEST_URL - len(start) + 1)) is None
    assert http_url(start + "ü" * 2000) is None  # twelve thousand when it is asked for


@given(st.text(max_size=30), st.sampled_from(["http://", "https://a.example/", "https://a", "", "http://[", "//"]))
def test_what_is_a_url_can_be_asked_for(text: str, start: str) -> None:
    from connect.providers.http_request import target

    url = http_url(start + text)
    if url is not None:
        origin, path = target(url)
        assert url.isascii()
        assert url.isprintable()
        assert " " not in url
        assert origin.host
        assert path.startswith("/")
        assert http_url(url) == url
