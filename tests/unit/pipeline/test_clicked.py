"""The link of a template is found by what was clicked; nothing of what was clicked is ever given back."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect.pipeline.clicked import Clicked

HTML = """
<a href="https://Shop.example/p/{{ user.product | url_encode }}?from=mail">Product</a>
<a href='https://shop.example/?a=1&amp;b=2'>Sale</a> <a href="https://shop.example">Home</a>
<a class=x HREF="{{ user.link }}">Yours</a> {{ url.unsubscribe }}
{% if user.vip %}<a href="https://shop.example/p/{{ user.product }}/gold">Gold</a>{% endif %}
<img src="https://cdn.shop.example/logo.png">
"""
TEXT = "See https://shop.example/terms. Leave: {{ url.unsubscribe_link }}"
BASE = "https://connect.example"


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://shop.example/p/shoes?from=mail", "https://Shop.example/p/{{ user.product | url_encode }}?from=mail"),
        ("https://shop.example/p/shoes/gold", "https://shop.example/p/{{ user.product }}/gold"),
        ("https://SHOP.example/?a=1&b=2", "https://shop.example/?a=1&amp;b=2"),
        ("https://shop.example/?a=1&b=2&utm_source=mail&utm_term=x", "https://shop.example/?a=1&amp;b=2"),
        ("https://shop.example/?utm_source=mail&a=1&b=2", "https://shop.example/?a=1&amp;b=2"),
        ("https://shop.example/", "https://shop.example"),
        ("https://shop.example/?utm_source=mail", "https://shop.example"),
        ("https://shop.example/terms", "https://shop.example/terms"),
        (f"{BASE}/u/AbC", "{{ url.unsubscribe }}"),
        ("https://elsewhere.example/ada", "{{ user.link }}"),
    ],
)
def test_the_link_is_the_one_that_stands_in_the_template(url: str, link: str) -> None:
    assert Clicked.in_texts([HTML, TEXT], BASE).link(url) == link


def test_of_two_that_are_printed_as_a_whole_it_is_neither() -> None:
    clicked = Clicked.in_texts(['<a href="{{ user.a }}">', '<a href="{{ user.b }}">'])
    assert clicked.link("https://shop.example/ada") == ""


def test_a_page_of_ones_own_is_where_people_unsubscribe() -> None:
    clicked = Clicked.in_texts([TEXT], BASE, "https://shop.example/leave?who={{ user.id }}")
    assert clicked.link("https://shop.example/leave?who=7") == "{{ url.unsubscribe_link }}"


def test_it_is_read_from_what_a_run_has_stored() -> None:
    stored = {
        "campaign": {
            "audience": {"sql": {"source": "select 'https://shop.example/of-the-query'"}},
            "message": {"content": [{"html": {"source": HTML}}, {"url": {"source": "{{ user.home }}"}}]},
        },
        "templates": {"footer.html": {"source": '<a href="https://shop.example/footer">'}},
    }
    clicked = Clicked.of(json.dumps(stored), BASE)
    assert clicked.link("https://shop.example/footer") == "https://shop.example/footer"
    assert clicked.link("https://shop.example/of-the-query") == ""
    assert Clicked.of("", BASE).link("https://shop.example/") == ""


_PIECES = st.one_of(
    st.sampled_from(["/p/", "?a=", "&amp;b=", "#", "{{ user.name }}", "{% if x %}", "{{", "}}", "%20", "utm_x=1"]),
    st.text("abc/?&=é ", max_size=6),
)
_URLS = st.lists(_PIECES, max_size=6).map(lambda pieces: "https://shop.example" + "".join(pieces))
_FRAMES = st.sampled_from(['<a href="%s">', "<a href='%s'>", "see %s now", "%s", "{{ user.link }} %s"])


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.tuples(_FRAMES, _URLS).map(lambda pair: pair[0].replace("%s", pair[1])), max_size=6),
    url=st.one_of(_URLS, st.text(max_size=50)),
)
def test_what_is_given_back_stands_in_a_template(texts: Sequence[str], url: str) -> None:
    link = Clicked.in_texts(texts, BASE).link(url)
    assert link == "" or any(link in text for text in texts)


@given(value=st.text("abcé/?&%+ =-.", max_size=30))
def test_whatever_is_printed_the_link_is_found(value: str) -> None:
    link = "https://shop.example/hello/{{ user.name }}/offer"
    assert Clicked.in_texts([f'<a href="{link}">']).link(f"https://shop.example/hello/{value}/offer") == link


def test_a_quote_that_is_missing_is_no_reason_to_think_for_long() -> None:
    """Once for each way in which the rest of the page could be read, that would be longer than anybody waits."""
    text = '<a href="{{ url.unsubscribe_link }}>Leave</a> ' + "<b>{{ user.name }}</b> " * 60

    assert Clicked.in_texts([text], "https://c.example").link("https://c.example/elsewhere") == ""
