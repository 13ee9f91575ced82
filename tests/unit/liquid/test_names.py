"""What a template asks of its data: the caller compares it with the columns of the audience."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connect.liquid import Template
from connect.liquid.library import Library
from connect.project.text import Text

Compile = Callable[..., Template]
Told = tuple[str, bool, bool]


def told(template: Template) -> set[Told]:
    return {(".".join(name.path), name.defaulted, name.printed) for name in template.names}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ user.a }}", {("user.a", False, True)}),
        ("{{ first_name }}", {("first_name", False, True)}),
        ("{{ user['first name'] }}", {("user.first name", False, True)}),
        ("{{ user.a[0].b }}", {("user.a.0.b", False, True)}),
        ("{{ user[params.column].x }}", {("user", False, True), ("params.column", False, False)}),
        ("{{ user.a | default: user.b }}", {("user.a", True, True), ("user.b", False, True)}),
        ("{{ user.a | upcase | fallback: 'x' }}", {("user.a", True, True)}),
        ("{{ 'x' | append: user.a }}", {("user.a", False, True)}),
        ("{{ 'x' | truncate: user.a }}", {("user.a", False, True)}),
        ("{{ 1 | plus: user.a }}", {("user.a", False, False)}),
        ("{% if user.a %}{% endif %}", {("user.a", True, False)}),
        ("{% if user.a and user.b == nil %}{% endif %}", {("user.a", True, False), ("user.b", True, False)}),
        ("{% if user.a == 'x' %}{% endif %}", {("user.a", False, False)}),
        ("{% if user.a > 1 %}{% elsif user.b %}{% endif %}", {("user.a", False, False), ("user.b", True, False)}),
        ("{% case user.a %}{% when user.b %}{% endcase %}", {("user.a", False, False), ("user.b", False, False)}),
        ("{% for x in user.a %}{{ x.c }}{{ forloop.index }}{% endfor %}", {("user.a", False, False)}),
        ("{% for x in (1..user.a) %}{% endfor %}", {("user.a", False, False)}),
        ("{% assign x = user.a %}{{ x }}", {("user.a", False, False)}),
        ("{{ x }}{% assign x = 1 %}", {("x", False, True)}),
        ("{% capture x %}{{ user.a }}{% endcapture %}{{ x }}", {("user.a", False, True)}),
        ("{% liquid\necho user.a\n%}", {("user.a", False, True)}),
        ("{% random user.a %}", {("user.a", False, False)}),
        ("{% tablerow x in user.a %}{{ x }}{{ tablerowloop.col }}{% endtablerow %}", {("user.a", False, False)}),
        ("{% comment %}{{ user.a }}{% endcomment %}{% raw %}{{ user.b }}{% endraw %}", set()),
    ],
)  # fmt: skip
def test_names_say_how_they_are_used(compiled: Compile, source: str, expected: set[Told]) -> None:
    assert told(compiled(source)) == expected


def test_names_reach_into_rendered_templates(compiled: Compile) -> None:
    files = {
        "card": "{{ user.a }}{{ given }}{{ p.x }}{% render 'inner' %}",
        "inner": "{{ user.b }}{{ given | default: 1 }}",
    }
    template = compiled("{% render 'card' for user.all as p, given: user.c %}", files=files)
    assert told(template) == {
        ("user.all", False, False),
        ("user.c", False, False),
        ("user.a", False, True),
        ("user.b", False, True),
        ("given", True, True),
    }


def test_names_have_the_place_where_they_stand(compiled: Compile) -> None:
    template = compiled("Hi\n{% render 'card' %} {{ user.b }}", files={"card": "x\n {{ user.a }}"})
    assert {str(name.location) for name in template.names} == {"templates/card:2:5", "campaigns/hello.yml:8:24"}


def test_names_of_a_block_that_is_replaced_do_not_count(compiled: Compile) -> None:
    files = {"base": "{{ user.a }}{% block x %}{{ user.b }}{% endblock %}{% block y %}{{ user.c }}{% endblock %}"}
    template = compiled("{% layout 'base' %}{% block x %}{{ user.d }}{% endblock %}", files=files)
    assert {name.path[1] for name in template.names} == {"a", "c", "d"}


def test_names_of_a_block_that_super_prints_count(compiled: Compile) -> None:
    files = {"base": "{% block x %}{{ user.b }}{% endblock %}"}
    template = compiled("{% layout 'base' %}{% block x %}{{ block.super }}{% endblock %}", files=files)
    assert {name.path[1] for name in template.names} == {"b"}


def test_every_place_of_a_name_is_told(compiled: Compile) -> None:
    assert len(compiled("{{ user.a }}{{ user.a | default: 1 }}").names) == 2


def test_a_guarded_name_needs_no_default() -> None:
    def printed(source: str) -> list[bool]:
        names = Library({}).compile(Text(source=source), escape=False).names
        return [name.defaulted for name in names if name.printed]

    assert printed("{% if user.a %}{{ user.a }}{% endif %}") == [True]
    assert printed("{% if user.a and user.b != blank %}{{ user.a }}{{ user.b }}{{ user.c }}{% endif %}") == [
        True,
        True,
        False,
    ]
    assert printed("{% if user.a or user.b %}{{ user.a }}{% endif %}") == [False]
    assert printed("{% if user.a %}x{% elsif user.b %}{{ user.b }}{{ user.a }}{% else %}{{ user.a }}{% endif %}") == [
        True,
        False,
        False,
    ]
