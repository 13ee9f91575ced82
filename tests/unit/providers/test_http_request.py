"""Where a request goes, and that nothing in it can become another one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.providers.http_exchange import NotWritten
from connect.providers.http_request import Origin, head, target


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://api.example/v1/messages?a=b#c", Origin(True, "api.example", 443, "api.example"), "/v1/messages?a=b"),
        ("HTTP://API.example", Origin(False, "api.example", 80, "api.example"), "/"),
        ("http://api.example:80?q", Origin(False, "api.example", 80, "api.example"), "/?q"),
        ("https://api.example:8443/", Origin(True, "api.example", 8443, "api.example:8443"), "/"),
        ("http://[::1]:9/", Origin(False, "::1", 9, "[::1]:9"), "/"),
        (
            "https://bücher.example/ü b",
            Origin(True, "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
            "/%C3%BC%20b",
        ),
    ],
)
def test_where_it_goes(url: str, origin: Origin, path: str) -> None:
    assert target(url) == (origin, path)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "/path",
            "http://",
            "http:///path",
            "http://a b/",
            "http://a:b/",
            "http://a:99999/",
            "http://user:pass@a/",
        ),
        *("http://a\r\nb/", "http://a/\r\nx: y", "http://a/\0", "http://[::1/", "http://..é/", "file:///etc"),
    ],
)
def test_where_nothing_can_go(url: str) -> None:
    with pytest.raises(NotWritten, match="not_a_request"):
        target(url)


def test_a_head() -> None:
    lines = head("POST", "/a", "api.example", {"Content-Type": "text/plain", "x-a": "b"}, 5).decode().split("\r\n")
    assert lines[0] == "POST /a HTTP/1.1"
    assert set(lines[1:]) == {
        *("host: api.example", "accept: */*", "user-agent: connect-campaigns"),
        *("content-type: text/plain", "x-a: b", "content-length: 5", ""),
    }
    assert lines[-2:] == ["", ""]


def test_whoever_asks_may_name_the_agent() -> None:
    said = head("GET", "/", "a", {"User-Agent": "other"}, 0).decode()
    assert said.count("user-agent") == 1
    assert "content-length" not in said


@pytest.mark.parametrize(
    "name", ["", "a b", "a:", "é", "x\r\ny", "Host", "Content-Length", "Transfer-Encoding", "Connection"]
)
def test_fields_that_are_none_or_not_theirs(name: str) -> None:
    with pytest.raises(NotWritten, match="not_a_request"):
        head("POST", "/", "a", {name: "b"}, 0)


@given(st.text())
def test_no_value_becomes_another_field(value: str) -> None:
    try:
        said = head("POST", "/", "a", {"x-a": value}, 1)
    except NotWritten:
        return
    assert said.count(b"\r\n") == said.count(b"\n") == said.count(b"\r") == 7
