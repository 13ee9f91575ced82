"""What a template says to everybody."""

from __future__ import annotations

import pytest

from connect.liquid.library import Library
from connect.pipeline.literal import OUTPUT, Literal, literals
from connect.project.text import Text


@pytest.mark.parametrize(
    ("source", "blanked"),
    [
        ("plain", "plain"),
        ("a {{ b }} c", f"a {OUTPUT * 7} c"),
        ("a{% if b %}c{% endif %}", "a          c           "),
        ("{% comment %} {{ x }} said {% endcomment %}y", " " * 43 + "y"),
        ("{{ 'a }} b", "{{ 'a }} b".replace("{{ 'a }}", OUTPUT * 8)),
        ("{% if a\n%}b", " " * 10 + "b"),
    ],
)
def test_liquid_is_blanked_and_every_offset_stays(source, blanked):
    assert Literal(Text(source=source)).blanked == blanked
    assert len(blanked) == len(source)


@pytest.mark.parametrize(
    ("source", "longest"),
    [
        ("a {{ b }} c", "a  c"),
        ("{% if a %}one{% else %}three{% endif %}!", "three!"),
        ("{% if a %}three{% elsif b %}two{% else %}one{% endif %}!", "three!"),
        ("{% unless a %}x{% endunless %}y", "xy"),
        ("{% case a %}{% when 1 %}one{% when 2 %}three{% endcase %}", "three"),
        ("{% if a %}{% if b %}bb{% else %}b{% endif %}a{% else %}c{% endif %}", "bba"),
        ("{% for a in b %}x{% else %}nobody{% endfor %}", "nobody"),
        ("{% comment %}{% if %}{% endcomment %}a", "a"),
        ("{% assign a = 1 %}b", "b"),
        ("{% endif %}{% else %}a", "a"),
        ("{% if a %}never closed", "never closed"),
    ],
)
def test_the_branches_that_print_most(source, longest):
    assert Literal(Text(source=source)).longest == longest


def test_a_text_with_the_templates_that_it_reaches():
    library = Library(
        {
            "main.html": Text(source="<html>{% block body %}{% endblock %}</html>", file="templates/main.html"),
            "foot.html": Text(source="<p>Foot {% render 'deep.html' %}</p>", file="templates/foot.html"),
            "deep.html": Text(source="deep", file="templates/deep.html"),
            "other.html": Text(source="other", file="templates/other.html"),
        }
    )
    text = Text(source="{% layout 'main.html' %}{% block body %}Hi{% render 'foot.html' %}{% endblock %}", file="a.yml")
    files = [literal.text.file for literal in literals(text, library)]
    assert files == ["a.yml", "templates/deep.html", "templates/foot.html", "templates/main.html"]
