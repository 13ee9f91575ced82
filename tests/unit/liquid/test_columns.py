"""What a template needs of its data, told before it is rendered, and rendering over columns."""

# ruff: noqa: E501 - one template a line
from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from connect.liquid import Refusal, Skip, Template
from connect.liquid.printing import PRINTERS

Compile = Callable[..., Template]
FILES = {
    "base": "{{ user.base }}{% block a %}{{ user.in_block }}{% endblock %}",
    "card": "{{ item.x }}{{ user.in_card }}",
    "plain": "no data {{ campaign.name }}",
    "forever": "{% if user.more %}{% render 'forever' %}{% endif %}",
}


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("plain", set()),
        ("{{ user.a }}{{ user['b c'].d }}{{ campaign.e }}", {"a", "b c"}),
        ("{{ 'x' | append: user.a }}{% if user.b == user.c %}{% endif %}", {"a", "b", "c"}),
        ("{% for x in user.a limit: user.b offset: user.c %}{{ user.d }}{% else %}{{ user.e }}{% endfor %}", set("abcde")),
        ("{% for x in (user.a..user.b) %}{{ user.c[user.d] }}{% endfor %}", set("abcd")),
        ("{% case user.a %}{% when user.b %}{{ user.c }}{% else %}{{ user.d }}{% endcase %}", set("abcd")),
        ("{% tablerow x in user.a cols: user.b %}{% cycle user.c, user.d %}{% endtablerow %}{% random user.e %}", set("abcde")),
        ("{% assign x = user.a %}{% capture y %}{{ user.b }}{% endcapture %}{% liquid\necho user.c\n%}", set("abc")),
        ("{% render 'card' for user.a as item %}{% render 'card', item: user.b %}", {"a", "b", "in_card"}),
        ("{% layout 'base' %}{% assign q = user.a %}{% block a %}{{ block.super }}{{ user.b }}{% endblock %}", {"a", "b", "base", "in_block"}),
        ("{% if user.a %}{% elsif user.b %}{% endif %}{% unless user.c %}{% endunless %}", set("abc")),
        ("{% render 'forever' %}", {"more"}),
        ("{{ user }}", None),
        ("{{ user[params.column] }}", None),
        ("{{ user[0] }}", None),
        ("{{ [params.root] }}", None),
        ("{% assign user = params %}{{ user.a }}", None),
        ("{% for user in params.users %}{{ user.a }}{% endfor %}", None),
        ("{% render 'card', user: params %}", None),
    ],
)  # fmt: skip
def test_columns_are_all_that_may_be_read(compiled: Compile, source: str, columns: set[str] | None) -> None:
    assert compiled(source, files=FILES).columns == columns


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ("plain", True),
        ("{{ campaign.name }}{{ run.id }}{{ params.x }}{{ now | date: '%F' }}{% render 'plain' %}", True),
        ("{% for i in (1..3) %}{{ i }}{% cycle 1, 2 %}{% increment n %}{% endfor %}", True),
        ("{{ user.a }}", False),
        ("{% if event.a %}{% endif %}", False),
        ("{{ url.unsubscribe_link }}", False),
        ("{% random 3 %}", False),
        ("{% skip 'never' %}", False),
        ("{% render 'card' %}", False),
        ("{% layout 'base' %}", False),
        ("{{ [params.root] }}", False),
    ],
)
def test_constant_is_what_nobody_can_change(compiled: Compile, source: str, constant: bool) -> None:
    assert compiled(source, files=FILES).constant is constant


def test_rows_are_rendered_one_by_one_over_columns(compiled: Compile) -> None:
    template = compiled(
        "{{ user.a }}{{ campaign.name }}{{ url.unsubscribe_link }}{% if user.a == 3 %}{% skip '3' %}{% endif %}"
    )
    row = template.over({"a": [1, 2, 3, None], "unused": [0, 0, 0, 0]}, {"campaign": {"name": "c"}})
    assert [row(index, b"", {"unsubscribe_link": index}) for index in (1, 0, 3)] == ["2c1", "1c0", "c3"]
    with pytest.raises(Skip, match="3"):
        row(2, b"", {"unsubscribe_link": ""})


def test_a_refusal_over_columns_names_the_nearest_column(compiled: Compile) -> None:
    row = compiled("{{ user.frist_name }}").over({"first_name": ["Ann"]}, {})
    with pytest.raises(Refusal, match=r"did you mean `user.first_name`\?") as refusal:
        row(0, b"", None)
    assert refusal.value.__context__ is None


def test_whole_rows_are_built_where_they_are_needed(compiled: Compile) -> None:
    row = compiled("{{ user }}{{ user[params.column] }}").over(
        {"a": [1, 2], "b": ["x", "y"]}, {"params": {"column": "b"}}
    )
    assert row(1, b"", None) == '{"a": 2, "b": "y"}y'


def test_a_url_that_refuses_refuses(compiled: Compile) -> None:
    class Refusing(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            raise ValueError("no link")

    with pytest.raises(Refusal):
        compiled("{{ url.unsubscribe_link }}").over({}, {})(0, b"", Refusing())


def test_the_source_holds_nothing_of_the_template(compiled: Compile) -> None:
    template = compiled(
        "Quoted'\"\\{x} {{ user.first_name | default: 'friend' | append: \"dangerous\" }}"
        "{% for item in user.cart %}{% assign local = item.price %}{{ local }}{% endfor %}{% skip 'reason' %}"
    )
    assert template.compiled is not None
    source = template.compiled.source
    assert not re.findall("Quoted|first_name|friend|dangerous|cart|local|price|reason|default", source)


def test_printers_say_what_everything_else_says(compiled: Compile) -> None:
    assert {kind.__name__ for kind in PRINTERS} == {"float", "Decimal", "bool", "datetime", "date"}
