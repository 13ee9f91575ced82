"""Rendering other templates, and layouts around this one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connect.liquid import Library, Refusal, Template
from connect.project.text import Text

Compile = Callable[..., Template]
Render = Callable[..., str]

BASE = "<{% block title %}News{% endblock %}|{% block body %}{% block inner %}in{% endblock %}{% endblock %}>"


def test_blocks_replace_those_of_the_layout(rendered: Render) -> None:
    source = "{% layout 'base' %} {% block title %}{{ user.a }}{% endblock %}\n"
    assert rendered(source, user={"a": "Hi"}, files={"base": BASE}) == "<Hi|in>"


def test_a_block_within_a_block_can_be_replaced(rendered: Render) -> None:
    assert rendered("{% layout 'base' %}{% block inner %}mine{% endblock %}", files={"base": BASE}) == "<News|mine>"


def test_super_is_what_the_layout_has(rendered: Render) -> None:
    files = {"base": BASE, "middle": "{% layout 'base' %}{% block title %}{{ block.super }}!{% endblock %}"}
    assert (
        rendered("{% layout 'middle' %}{% block title %}{{ block.super }}?{% endblock %}", files=files) == "<News!?|in>"
    )


def test_super_is_not_escaped_twice(rendered: Render) -> None:
    files = {"base": "{% block a %}<b>{{ user.x }}</b>{% endblock %}"}
    source = "{% layout 'base' %}{% block a %}{{ block.super }}{% endblock %}"
    assert rendered(source, user={"x": "<i>"}, files=files, escape=True) == "<b>&lt;i&gt;</b>"


def test_what_is_assigned_beside_the_blocks_is_seen_in_them_and_in_the_layout(rendered: Render) -> None:
    source = "{% layout 'base' %}{% assign a = 'x' %}{% capture b %}y{% endcapture %}"
    source += "{% block body %}{{ a }}{{ b }}{% endblock %}"
    assert rendered(source, files={"base": "{{ a }}:{% block body %}{% endblock %}"}) == "x:xy"


def test_a_template_with_blocks_renders_on_its_own(rendered: Render) -> None:
    assert rendered(BASE) == "<News|in>"


def test_a_rendered_template_can_have_a_layout(rendered: Render) -> None:
    files = {"frame": "[{% block body %}{% endblock %}]", "card": "{% layout 'frame' %}{% block body %}x{% endblock %}"}
    assert rendered("{% render 'card' %}{% block body %}own{% endblock %}", files=files) == "[x]own"


def test_a_rendered_template_sees_the_objects_and_its_arguments_only(rendered: Render) -> None:
    files = {"card": "{{ user.a }}{{ b }}{{ c | default: '-' }}"}
    assert rendered("{% assign c = 3 %}{% render 'card', b: 2 %}", user={"a": 1}, files=files) == "12-"


def test_a_template_in_a_folder_calls_its_item_by_its_own_name(rendered: Render) -> None:
    files = {"cards/product.html": "{{ product }}{{ forloop.index }};"}
    assert rendered("{% render 'cards/product.html' for user.all %}", user={"all": ["a", "b"]}, files=files) == "a1;b2;"


def test_templates_that_render_each_other_forever_are_refused(compiled: Compile) -> None:
    template = compiled("{% render 'a' %}", files={"a": "{% render 'b' %}", "b": "{% render 'a' %}"})
    with pytest.raises(Refusal, match="30 deep"):
        template.render({})


def test_used_names_everything_that_is_reached() -> None:
    sources = {
        "base": "{% render 'foot' %}{% block x %}{% endblock %}",
        "foot": "f",
        "mid": "{% layout 'base' %}",
        "other": "o",
    }
    library = Library({name: Text(source=source) for name, source in sources.items()})
    text = Text(source="{% layout 'mid' %}{% block x %}{% render 'gone' %}{% endblock %}")
    assert library.used(text) == {"mid", "base", "foot", "gone"}


def test_a_block_that_is_replaced_is_not_part_of_what_is_used() -> None:
    library = Library({"base": Text(source="{% block x %}{% render 'old' %}{% endblock %}"), "old": Text(source="")})
    assert library.used(Text(source="{% layout 'base' %}{% block x %}{% endblock %}")) == {"base"}
