"""The layout of text is that of Inscriptis, for the pages on which it has no faults that we mend."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from connect.channels.plain import _tidy, text_from_html
from tests.examples import some

words = st.sampled_from(
    ["", " ", "one", " two", "three\n ", "<b>four</b> five", "six<br>", "<br>", "日本語", "<i> x</i>"]
)
flow = st.lists(words, min_size=1, max_size=4).map("".join)


def _wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    inside = st.lists(flow | inner, max_size=3).map("".join)
    items = st.lists(inside.map("<li>{}</li>".format), max_size=3).map("".join)
    cell = st.builds(
        '<td align="{}" valign="{}">{}</td>'.format,
        st.sampled_from(["left", "right", "center", "x"]),
        st.sampled_from(["top", "bottom", "middle", "x"]),
        flow,
    )
    rows = st.lists(st.lists(cell, min_size=2, max_size=3).map("".join), min_size=1, max_size=3)
    return st.one_of(
        st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["div", "section", "blockquote", "span"]), inside),
        st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["p", "h1", "h3"]), flow),
        st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["ul", "ol"]), items),
        rows.map(lambda lines: "<div><table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"),
    )


pages = st.lists(st.recursive(flow, _wrapped, max_leaves=12), min_size=1, max_size=4).map("".join)
_CONFIG = ParserConfig(css=CSS_PROFILES["strict"])


@settings(max_examples=some(140), deadline=None)
@given(pages)
@example("<ul><li><ul><li>deep</li></ul></li><li></li><li>x</li></ul>after")
@example('<div>a<table><tr><td valign="bottom">x</td><td>y<br>z<br>w</td></tr></table>b</div>')
def test_the_layout_is_that_of_inscriptis(page: str) -> None:
    assert text_from_html(f"<body>{page}</body>") == _tidy(get_text(f"<body>{page}</body>", _CONFIG))
