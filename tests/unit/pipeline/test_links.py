"""What `unsubscribe.url` may render to."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from connect.pipeline.links import _URL, _is_url


@given(
    st.builds(
        "{}{}".format, st.sampled_from(["", "http://", "https://", "Http://"]), st.text('a:/? <>"\tü\x7f', max_size=8)
    )
)
@example("http://")
@example("https://")
@example("http:/")
@example("http://a")
@example("https://a://")
def test_a_link_is_judged_as_the_pattern_has_it(text: str) -> None:
    assert _is_url(text) == (_URL.fullmatch(text) is not None)
