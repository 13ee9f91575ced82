"""The links of a page are replaced wherever a browser sees one, and nothing else of it changes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.channels.anchors import OFF, attribute_text, scan, url_of
from connect.channels.tracked import LONGEST, Rewriter
from connect.liquid.library import Library
from connect.liquid.wire import WireText, as_wire_text
from connect.project.text import Text


class Marks:
    """Remembers what was asked for."""

    own = ("https://acme.example/u/",)
    begin = "https://t.example/"

    def __init__(self) -> None:
        self.links: list[tuple[int, str]] = []

    def click(self, url: str, number: int) -> str:
        self.links.append((number, url))
        return f"https://t.example/{number}"

    def pixel(self) -> str:
        return "<i>end</i>"


def rewritten(page: str, *, clicks: bool = True, opens: bool = False, add: Callable[[str], str] | None = None) -> str:
    """By both ways, which must agree."""
    rewriter = Rewriter(clicks=clicks, opens=opens, add=add)
    text = rewriter.text(page, Marks(), lasting=False)
    assert str(rewriter.octets(as_wire_text(page), Marks())) == text
    assert rewriter.text(page, Marks(), lasting=True) == text
    return text


def links(page: str) -> list[str]:
    marks = Marks()
    Rewriter(clicks=True, opens=False).text(page, marks, lasting=False)
    assert [number for number, _ in marks.links] == list(range(1, len(marks.links) + 1))
    return [url for _, url in marks.links]


@pytest.mark.parametrize(
    ("page", "url"),
    [
        ('<a href="https://x.example/">x</a>', "https://x.example/"),
        ("<A\nclass=b HREF='http://x.example/?a=1&amp;b=2'>x</A>", "http://x.example/?a=1&b=2"),
        ("<a href=https://x.example/a/b>x</a>", "https://x.example/a/b"),
        ('<a/href="https://x.example/">x</a>', "https://x.example/"),
        ('<a href = "https://x.example/" href="https://second.example/">x</a>', "https://x.example/"),
        ('<area href="https://x.example/">', "https://x.example/"),
        ('<a title="a > b" href="HTTPS://x.example/">x</a>', "HTTPS://x.example/"),
        ('<a href=" \nhttps://x.exam\nple/ ">x</a>', "https://x.example/"),
        ('<a href="https://x.example/?a=1&copy=2&reg;">x</a>', "https://x.example/?a=1&copy=2®"),
        ('<a href="https://x.example/?a=1&#38;b=&#x32;">x</a>', "https://x.example/?a=1&b=2"),
        ('<a href="https://bücher.example/ö">x</a>', "https://bücher.example/ö"),
        ("<!--[if mso]><a href='https://x.example/'>x</a><![endif]-->", "https://x.example/"),
        ("<!--[if !mso]><!--><a href='https://x.example/'>x</a><!--<![endif]-->", "https://x.example/"),
        ('<p title=it\'s><a href="https://x.example/">x</a>', "https://x.example/"),
        ('<><a href="https://x.example/">x</a></>', "https://x.example/"),
        ('1 < 2 <a href="https://x.example/">x</a> > 0', "https://x.example/"),
        ('<style>a > b {}</style ><a href="https://x.example/">x</a>', "https://x.example/"),
        ("<!--><a href='https://x.example/'>x</a>", "https://x.example/"),
    ],
)
def test_a_link_is_found_as_a_browser_finds_it(page: str, url: str) -> None:
    assert links(page) == [url]
    assert "https://t.example/1" in rewritten(page)


@pytest.mark.parametrize(
    "page",
    [
        '<a href="mailto:ada@mail.example">x</a>',
        '<a href="tel:+61491570156">x</a>',
        '<a href="#top">x</a><a href="/page">x</a><a href="">x</a><a href>x</a><a name="x">x</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://x.example/" data-connect-track="off">x</a>',
        "<a DATA-CONNECT-TRACK='OFF' href='https://x.example/'>x</a>",
        "<!-- <a href='https://x.example/'>x</a> -->",
        "<p title=\"<a href='https://x.example/'>\">x</p>",
        "<script>'<a href=\"https://x.example/\">'</script>",
        "<style><a href='https://x.example/'></style>",
        "<textarea><a href='https://x.example/'></textarea>",
        '<link href="https://x.example/"><img src="https://x.example/"><abbr href="https://x.example/">',
        '<a href="https://acme.example/u/token">off</a>',
        f'<a href="https://x.example/{"a" * LONGEST}">x</a>',
        "<a href='https://x.example/'",
        "<!-- <a href='https://x.example/'>x</a>",
    ],
)
def test_whatever_is_no_link_of_the_page_stays(page: str) -> None:
    assert rewritten(page) == page


def test_only_the_value_changes_in_whatever_quotes_it_stands() -> None:
    page = (
        "<p>ü<a class=x href='https://x.example/'>x</a><a href=https://y.example/>y</a><a href=\"https://z.example\">"
    )
    made = "<p>ü<a class=x href='https://t.example/1'>x</a><a href=https://t.example/2>y</a><a href=\"https://t.example/3\">"
    assert rewritten(page) == made


@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("<body>x</body></html>", "<body>x<i>end</i></body></html>"),
        ("<body>x</BODY >", "<body>x<i>end</i></BODY >"),
        ("x<!-- </body> -->", "x<!-- </body> --><i>end</i>"),
        ("x</body>y</body>z", "x</body>y<i>end</i></body>z"),
        ("x</html>", "x<i>end</i></html>"),
        ("x", "x<i>end</i>"),
    ],
)
def test_the_picture_stands_at_the_end_of_the_page(page: str, made: str) -> None:
    assert rewritten(page, clicks=False, opens=True) == made


def test_something_may_be_added_to_links_that_lead_where_they_led() -> None:
    def add(url: str) -> str:
        return f"{url}?a='1'&b=<é>"

    page = "<a href='https://x.example/'>x</a><a href='mailto:a@b.example'>m</a>"
    made = "<a href='https://x.example/?a=&#x27;1&#x27;&amp;b=&lt;é&gt;'>x</a><a href='mailto:a@b.example'>m</a>"
    assert rewritten(page, clicks=False, add=add) == made


@pytest.mark.parametrize(
    "text", ["", "a & b", "&amp;lt;", "&copy=1", "&copy;=1", "&copyx;", "&#0;", "&#xD800;", "&#99999999;"]
)
def test_an_attribute_says_what_it_says_in_a_browser(text: str) -> None:
    said = {"&amp;lt;": "&lt;", "&copy;=1": "©=1", "&#0;": "\ufffd", "&#xD800;": "\ufffd", "&#99999999;": "\ufffd"}
    assert attribute_text(text) == said.get(text, text)


# Whatever the page is

_ODD = st.text(alphabet="<>\"'=/!-? \n\0ahrefsciptyl:.é😀&;#]", max_size=60)
_TAGS = st.sampled_from(
    ("<a href=", "</a>", "<!--", "-->", "<!--[if mso]>", "<![endif]-->", "<style>", "</style>", "<title>", "</title>")
) | st.sampled_from(
    ("<p title='", "'>", '"', ">", "</body>", "<b", "&quot;", "https://x.example/?a=1&amp;b=é", f" {OFF}=off")
)
_PAGES = st.lists(st.one_of(_ODD, _TAGS), max_size=12).map("".join)


@given(_PAGES)
def test_nothing_but_links_changes(page: str) -> None:
    known = page.replace("\r\n", "\n").replace("\r", "\n")
    anchors = scan(known).anchors
    tracked = [one for one in anchors if re.match("(?i)https?://", url_of(known[one.start : one.end]))]
    at, expected = 0, ""
    for number, anchor in enumerate(tracked, start=1):
        expected += known[at : anchor.start] + f"https://t.example/{number}"
        at = anchor.end
    assert rewritten(page) == expected + known[at:]


@given(_PAGES, _PAGES)
def test_what_is_whole_changes_nothing_behind_it(first: str, second: str) -> None:
    """Or a value could hide or make links around it that the skeleton says are there."""
    if scan(first).whole:
        behind = [(anchor.start + len(first), anchor.end + len(first)) for anchor in scan(second).anchors]
        assert scan(first + second).anchors[len(scan(first).anchors) :] == behind


# The two ways of a template


_SLOTS = st.sampled_from(
    [
        "{{ user.a }}",
        "{{ user.b | raw }}",
        '<a href="https://x.example/{{ user.a }}">x</a>',
        "<a href='{{ user.b | raw }}'>x</a>",
        "<a href=https://x.example/{{ user.a }}>x</a>",
        '<a data-connect-track="{{ user.b | raw }}" href="https://x.example/">x</a>',
        "<p title='{{ user.b | raw }}'>",
        "<!-- {{ user.b | raw }} -->",
        "<style>{{ user.b | raw }}</style>",
        "<{{ user.b | raw }}>",
        "</{{ user.b | raw }}>",
        "<p {{ user.b | raw }}>",
        "{% for i in user.c %}<a href='https://x.example/{{ i }}'>{{ i | raw }}</a>{% endfor %}",
        "{% if user.a == 'a' %}<a href='https://y.example/'>{% endif %}",
        '<a href="https://x.example/ü">é</a>',
        "</body>",
        "<b>\n",
    ]
)
_CELLS = st.one_of(
    _ODD,
    st.sampled_from(["a", "off", "<a href='https://v.example/'>v</a>", "https://v.example/?a=1&amp;b", "<!--", "--"]),
)


@given(st.lists(_SLOTS, min_size=1, max_size=6).map("".join), _CELLS, _CELLS, st.lists(_CELLS, max_size=3))
def test_compiled_and_interpreted_pages_get_the_same_links(source: str, a: str, b: str, c: list[str]) -> None:
    template = Library({}).compile(Text(source=source), escape=True)
    columns = {"a": [a], "b": [b], "c": [c]}
    wire, text = template.wire(columns, {})(0, b"", {}), template.over(columns, {})(0, b"", {})
    rewriter, first, second = Rewriter(clicks=True, opens=True, add=lambda url: url + "é"), Marks(), Marks()
    expected = rewriter.text(text, first, lasting=False)
    made = rewriter.octets(wire, second) if isinstance(wire, WireText) else rewriter.text(wire, second, lasting=False)
    assert (str(made), second.links) == (expected, first.links)
    if isinstance(made, WireText):
        assert made.data == as_wire_text(expected).data
        assert made.added == as_wire_text(expected).added


def test_where_links_stand_in_a_template_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from connect.channels import tracked

    looked: list[str] = []
    monkeypatch.setattr(tracked, "scan", lambda page: looked.append(page) or scan(page))
    source = '<p>{{ user.name }} <a href="https://x.example/{{ user.id }}">x</a></p>'
    columns = {"name": [f"Ann {n}" for n in range(50)], "id": [str(n) for n in range(50)]}
    render = Library({}).compile(Text(source=source), escape=True).wire(columns, {})
    rewriter, marks = Rewriter(clicks=True, opens=True), Marks()
    for row in range(50):
        page = render(row, b"", {})
        assert isinstance(page, WireText)
        rewriter.octets(page, marks)
    assert [url for _, url in marks.links] == [f"https://x.example/{n}" for n in range(50)]
    assert len(looked) == 1
