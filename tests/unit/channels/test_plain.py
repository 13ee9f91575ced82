"""Text made from HTML."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.channels.plain import text_from_html

TARGET = "https://acme.example/o?a=1&b=2"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        (" \n", ""),
        ("<!-- nothing -->", ""),
        ("just words", "just words\n"),
        ("<p>One</p><p>Two &amp; <b>three</b> &lt;4&gt;</p>", "One\n\nTwo & three <4>\n"),
        ("one<br>two<br><br><br><br>three", "one\ntwo\n\nthree\n"),
        ("<p>many \n  spaces</p>", "many spaces\n"),
        ("<head><title>T</title><style>p{}</style></head><body>x<script>y()</script></body>", "x\n"),
        ('<p>Grüße <span lang="ja">日本語</span> 👋</p>', "Grüße 日本語 👋\n"),
        ('<?xml version="1.0" encoding="latin-1"?><p>é</p>', "é\n"),
        ('<meta charset="latin-1"><p>é</p>', "é\n"),
        ("<!--[if mso]>Outlook only<![endif]--><p>all</p>", "all\n"),
        ('<div style="padding:99px;margin-top:99px" align="center">x</div>', "x\n"),
        ('<div style="DISPLAY : none !important">hidden</div>shown', "shown\n"),
        ("<p hidden>hidden</p>shown", "shown\n"),
        ('<div style="display:none"><a href="https://x.example">x</a></div>shown', "shown\n"),
    ],
)
def test_what_a_person_reads(html: str, text: str) -> None:
    assert text_from_html(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (f'<a href="{TARGET.replace("&", "&amp;")}">Track <b>it</b></a> now', f"Track it <{TARGET}> now\n"),
        ('<a href=" https://acme.example/\n">here </a>', "here <https://acme.example/>\n"),
        ('<a href="https://acme.example/">https://acme.example/</a>', "https://acme.example/\n"),
        ('<a href="mailto:help@acme.example">help@acme.example</a>', "help@acme.example\n"),
        ('<a href="mailto:help@acme.example">Help</a>', "Help <mailto:help@acme.example>\n"),
        ('<a href="#top">Top</a> <a>none</a> <a href="javascript:x()">x</a>', "Top none x\n"),
        ('<a href="https://acme.example/"><img src="b.png" alt="Shop"></a>', "Shop <https://acme.example/>\n"),
        ('<a href="https://acme.example/pixel"><img src="b.png"></a>x', "x\n"),
        ('<img src="logo.png" alt="Acme"> <img src="pixel.gif" alt="">x', "Acme x\n"),
    ],
)
def test_links_keep_their_targets(html: str, text: str) -> None:
    assert text_from_html(html) == text


def test_lists() -> None:
    text = text_from_html(
        "<ul><li>One</li><li>Two<ul><li>Deep</li></ul></li></ul><ol><li>First</li><li>Second</li></ol>"
    )

    assert [line.strip() for line in text.splitlines()] == ["* One", "* Two", "+ Deep", "1. First", "2. Second"]


DATA = "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Wool socks</td><td>$5</td></tr></table>"


def test_a_table_of_data_keeps_its_columns() -> None:
    header, row = text_from_html(DATA).splitlines()

    assert header.split() == ["Item", "Price"]
    assert row == "Wool socks  $5"


@pytest.mark.parametrize(
    "html",
    [
        '<table role="presentation"><tr><td>Left</td><td>Right</td></tr></table>',
        "<table><tr><td>Left</td></tr><tr><td>Right</td></tr></table>",
        "<table><tbody><tr><td>Left</td><td><table><tr><td>Right</td></tr></table></td></tr></tbody></table>",
    ],
)
def test_a_table_that_only_arranges_the_page_becomes_lines(html: str) -> None:
    assert text_from_html(html) == "Left\nRight\n"


def test_data_inside_an_arrangement_keeps_its_columns() -> None:
    assert "Wool socks  $5\n" in text_from_html(f"<table><tr><td>Hello</td></tr><tr><td>{DATA}</td></tr></table>")


def test_deeply_nested_pages_keep_their_words() -> None:
    assert text_from_html("<div>" * 1500 + "words" + "</div>" * 1500) == "words\n"


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text(st.sampled_from("<>/ap=\"'! -\x00\ud800&;imgtdrle")))
def test_no_page_is_too_broken(html: str) -> None:
    assert "\n\n\n" not in text_from_html(html)
