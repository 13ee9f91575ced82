"""What `validate` says of templates: every mistake at once, at its place in the user's file, with a stable code."""

from __future__ import annotations

import pytest

from connect.errors import Location, Problem, UserError
from connect.liquid import Library
from connect.project.text import Text


def problems(source: str, files: dict[str, str] | None = None) -> tuple[Problem, ...]:
    texts = {name: Text(source=text, file=f"templates/{name}") for name, text in (files or {}).items()}
    with pytest.raises(UserError) as error:
        Library(texts).compile(Text(source=source, file="hello.yml", line=7, column=12), escape=False)
    return error.value.problems


def only(source: str, files: dict[str, str] | None = None) -> Problem:
    found = problems(source, files)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("source", "code", "column", "hint"),
    [
        ("Hi {{ user.name", "liquid-syntax", 15, ""),
        ("{{ user.name | }}", "liquid-syntax", 12, ""),
        ("{% if %}x{% endif %}", "liquid-syntax", 15, ""),
        ("a {% if user.vip %}x", "liquid-syntax", 17, "add {% endif %}"),
        ("a {% raw %}x", "liquid-syntax", 17, "add {% endraw %}"),
        ("x{% endif %}", "liquid-syntax", 16, ""),
        ("{% else %}", "liquid-syntax", 15, ""),
        ("{% break %}", "liquid-syntax", 15, ""),
        ("{{ user.name | upcse }}", "unknown-filter", 27, "did you mean `upcase`?"),
        ("{% asign x = 1 %}", "unknown-tag", 15, "did you mean `assign`?"),
        ("{% include 'x' %}", "unknown-tag", 15, "use {% render %}"),
        ("{% render 'x' %}", "missing-template", 22, "templates are found under templates/"),
        ("{% render user.card %}", "liquid-syntax", 22, ""),
        ("{% skip user.reason %}", "liquid-syntax", 20, ""),
        ("{% skip '' %}", "liquid-syntax", 15, ""),
        (f"{{% skip '{'x' * 61}' %}}", "liquid-syntax", 15, ""),
        ("{{ 1 | plus }}", "filter-arguments", 19, ""),
        ("{{ 1 | plus: 1, 2 }}", "filter-arguments", 19, ""),
        ("{{ now | time_zone: 'Sidney' }}", "filter-arguments", 21, "did you mean 'Sydney'?"),
        ("{{ now | date: '%Q' }}", "filter-arguments", 21, ""),
        ("{{ 1 | money: 'EURO' }}", "filter-arguments", 19, "ISO 4217"),
        ("{{ 1 | format: '%d %d' }}", "filter-arguments", 19, ""),
        ("{{ 'hello' | t }}", "not-yet-supported", 25, ""),
        ("{% feed weather %}", "not-yet-supported", 15, ""),
        ("{{ feed.weather.today }}", "not-yet-supported", 15, ""),
    ],
)
def test_a_mistake_has_code_place_and_hint(source: str, code: str, column: int, hint: str) -> None:
    problem = only(source)
    assert problem.location is not None
    assert (problem.code, problem.location.file, problem.location.line) == (code, "hello.yml", 7)
    assert problem.location.column == column
    assert hint in problem.hint


def test_all_mistakes_are_told_at_once_in_the_text_and_in_what_it_renders() -> None:
    files = {"card.html": "ok\n{{ user.a | dwncase }}", "unused.html": "{{ user.a | nonsense }}"}
    found = problems("{{ user.a | upcse }}{% if a b %}x{% endif %}{% nope %}\n{% render 'card.html' %}", files)
    places = {(problem.code, str(problem.location)) for problem in found}
    assert places == {
        ("unknown-filter", "hello.yml:7:24"),
        ("liquid-syntax", "hello.yml:7:40"),
        ("unknown-tag", "hello.yml:7:59"),
        ("unknown-filter", "templates/card.html:2:13"),
    }


def test_a_mistake_on_a_later_line_is_found_there() -> None:
    problem = only("one\ntwo {{ user.a | upcse }}\n")
    assert problem.location == Location("hello.yml", 8, 17, "two {{ user.a | upcse }}")


def test_a_broken_block_is_one_mistake_and_not_a_cascade() -> None:
    assert only("{% if a b %}{% if c %}x{% endif %}{% else %}y{% endif %} fine").code == "liquid-syntax"


def test_an_unknown_block_tag_is_told_once() -> None:
    assert only("{% panel %}x{% endpanel %}").code == "unknown-tag"


def test_a_mistake_inside_a_liquid_tag_has_its_place() -> None:
    problem = only("{% liquid\n  assign a = 1\n  frobnicate\n%}")
    assert problem.code == "unknown-tag"
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == (9, 3)


def test_a_template_over_a_megabyte_is_refused() -> None:
    assert only("x" * 1_000_001).code == "template-too-large"


def test_blocks_nested_too_deeply_are_refused() -> None:
    deep = "{% if user.a %}" * 40 + "{% endif %}" * 40
    assert "nesting" in problems(deep)[0].message


def test_an_expression_nested_too_deeply_is_a_mistake_not_a_crash() -> None:
    assert problems("{% if " + " and ".join(["user.a"] * 20_000) + " %}x{% endif %}")[0].code == "liquid-syntax"


BASE = {"base.html": "{% block body %}{% endblock %}"}


@pytest.mark.parametrize(
    ("source", "files", "code"),
    [
        ("x {% layout 'base.html' %}", BASE, "liquid-syntax"),
        ("{% layout 'base.html' %}{% layout 'base.html' %}", BASE, "liquid-syntax"),
        ("{% layout 'bass.html' %}", BASE, "missing-template"),
        ("{% layout 'base.html' %}text", BASE, "outside-block"),
        ("{% layout 'base.html' %}{{ user.a }}", BASE, "outside-block"),
        ("{% layout 'base.html' %}{% block boddy %}{% endblock %}", BASE, "unknown-block"),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", {}, "liquid-syntax"),
        ("{% block a %}{% endblock b %}", {}, "liquid-syntax"),
        ("{% layout 'a' %}", {"a": "{% layout 'b' %}", "b": "{% layout 'a' %}"}, "layout-cycle"),
        ("{% layout 'a' %}", {"a": "{% layout 'a' %}"}, "layout-cycle"),
    ],
)
def test_a_layout_that_can_not_work_is_refused(source: str, files: dict[str, str], code: str) -> None:
    assert only(source, files).code == code
