"""What is too large is refused, soon, and says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connect.liquid import Refusal, Template
from connect.vocabulary import Reason

Compile = Callable[..., Template]
BIG = "x" * 5_000_000


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.big }}",
        "{{ user.big | size }}",
        "{{ user.big | truncate: 3 }}",
        "{% if user.big == 'x' %}{% endif %}",
        "{% for x in user.bigs %}{{ x }}{% endfor %}",
        "{{ user.bigs | join: '' }}",
        "{{ user.many | first }}",
        "{% for i in (1..100001) %}{% endfor %}",
        "{% for i in (1..9999999999999999999999) %}{% endfor %}",
        "{% for i in (1..9999999999) reversed %}{% endfor %}",
        "{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}",
        "{{ (1..9999999999) | reverse }}",
        "{% tablerow i in (1..200000) %}{% endtablerow %}",
        "{% assign x = 'xxxxxxxx' %}{% for i in (1..40) %}{% assign x = x | append: x %}{% endfor %}",
        "{% assign x = 99 %}{% for i in (1..40) %}{% assign x = x | times: x %}{% endfor %}",
        "{{ user.large | replace: '', user.large }}",
        "{{ user.few | join: user.large }}",
        "{% for i in (1..3) %}{{ user.large }}{% endfor %}",
        "{% for i in (1..2) %}{% capture x %}{{ x | default: '' }}{{ user.large }}{% endcapture %}{% endfor %}{{ x }}",
        "{% capture x %}{{ user.large }}{{ user.large }}{{ user.large }}{% endcapture %}",
        "{% layout 'base' %}{% block a %}{{ block.super }}{{ block.super }}{{ block.super }}{% endblock %}",
        "{{ user.wide }}{{ user.wide }}",
    ],
)
def test_too_large_is_refused(compiled: Compile, source: str) -> None:
    user = {
        "big": BIG,
        "bigs": [BIG],
        "many": list(range(10_001)),
        "few": [1, 2, 3],
        "large": "x" * 900_000,
        "wide": "\N{GRINNING FACE}" * 300_000,
    }
    template = compiled(source, files={"base": "{% block a %}{{ user.large }}{% endblock %}"})
    with pytest.raises(Refusal) as refusal:
        template.render({"user": user})
    assert (refusal.value.reason, refusal.value.problem.code) == (Reason.content_too_large, "content-too-large")
    assert "xxx" not in str(refusal.value).replace("'xxxxxxxx'", "")


def test_what_is_large_but_not_used_does_not_matter(compiled: Compile) -> None:
    assert compiled("{{ user.a }}").render({"user": {"a": 1, "big": BIG}}) == "1"


def test_two_megabytes_less_one_are_printed(compiled: Compile) -> None:
    text = compiled("{{ user.a }}{{ user.a }}").render({"user": {"a": "x" * 999_999}})
    assert len(text) == 1_999_998
