"""YAML means what it says: text until a field gives it a type, with its exact place."""

from __future__ import annotations

import pytest

from connect.project.content import text_of
from connect.project.nodes import Scalar
from connect.project.yaml import read


def top(source):
    found = read("a.yml", source)
    assert found.problems == ()
    return found.top


def problem(source):
    found = read("a.yml", source)
    assert len(found.problems) == 1, found.problems
    return found.problems[0]


@pytest.mark.parametrize("written", ["no", "21:00", "0123", "+61234567890", "yes", "1e3", "0x10", "2026-01-01", ".5"])
def test_every_scalar_is_text(written):
    assert top(f"key: {written}\n")["key"] == written


def test_places_count_from_one():
    node = top("a:\n  b: 'x'\n")["a"]["b"]
    assert (node.place.file, node.place.line, node.place.column, node.place.text) == ("a.yml", 2, 6, "  b: 'x'")


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1),
        ("a: !!str x\n", "yaml-tag", 1, 4),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "merge-key", 3, 3),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", 2, 2),
        ("a: 1\n---\nb: 1\n", "yaml-syntax", 2, 1),
        ("- a\n", "wrong-type", 1, 1),
        ("a: *b\n", "yaml-syntax", 1, 4),
        ("a: &x [*x]\n", "yaml-syntax", 1, 8),
        ("a: b\x00\n", "yaml-syntax", 1, 5),
        ("{a: 1}: 2\n", "yaml-quotes", 1, 1),
        ("? [a]\n: 2\n", "yaml-syntax", 1, 3),
        ("a: " + "[" * 60 + "]" * 60 + "\n", "yaml-syntax", 1, 44),
    ],
)
def test_what_is_refused_with_its_place(source, code, line, column):
    found = problem(source)
    assert (found.code, found.location.line, found.location.column) == (code, line, column)


@pytest.mark.parametrize(
    "value",
    [
        "{{ user.name }}",
        "{{ user.name }} hello",
        "{% if x %}",
        "*bold*",
        "@acme",
        "`x`",
        "%d",
        "Hello: you",
        "& co",
        "!x",
    ],
)
def test_what_needs_quotes_says_so(value):
    found = read("a.yml", f"subject: {value}\nb: c\n").problems
    assert "quote" in found[0].hint or found[0].code == "yaml-tag"


def test_an_unquoted_reference_in_a_flow_list_needs_quotes():
    assert "quote" in problem("secret: [${A}, ${B}]\n").hint


def test_a_tab_says_so():
    assert "spaces" in problem("a:\n\tb: 1\n").hint


def test_aliases_repeat_a_value_but_may_not_explode():
    assert top("a: &x [1]\nb: *x\n")["b"] == ["1"]
    levels = ["a0: &a0 [x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert problem("\n".join(levels)).message == "aliases that multiply into too much"


def test_cells_of_people_are_not_shown_even_in_a_syntax_error():
    found = problem("audience:\n  people:\n    - {id: 1, email: ann@example.com\nmessage: x\n")
    assert "ann@" not in str(found)
    again = problem("audience:\n  people:\n  - email: 'ann@example.com'x\n")
    assert "ann@" not in str(again)
    other = problem("people: []\nb: [1\nc: 1\n")
    assert other.location.text == "c: 1"


@pytest.mark.parametrize(
    ("source", "marked"),
    [
        ("a: x {{ y }}\n", "{{"),
        ("a: 'x {{ y }}'\n", "{{"),
        ('a: "x {{ y }}"\n', "{{"),
        ("a:\n  - b: |\n      one\n      {{ y }}\n", "{{"),
        ("a:\n  - b: |2\n        one\n      {{ y }}\n", "{{"),
        ("a:\n  - b: |-\n\n      one\n\n        {{ y }}\n", "{{"),
        ("a: &x x {{ y }}\n", "{{"),
        ("a: >\n  one two\n  three {{ y }}\n", "{{"),
        ("a: >\n  one\n\n  two\n    kept\n  three {{ y }}\n", "{{"),
        ("a: one\n  two\n  three {{ y }}\n", "{{"),
        ("a: 'it''s {{ y }}'\n", "{{"),
        ('a: "tab \\t \\u00e9 \\" {{ y }}"\n', "{{"),
        ('a: "one\n  two \\\n  three\n\n  {{ y }}"\n', "{{"),
        ("a: |\r\n  one\r\n  {{ y }}\r\n", "{{"),
    ],
)
def test_a_place_inside_a_text_is_its_place_in_the_file(source, marked):
    node = top(source)["a"]
    while not isinstance(node, Scalar):
        node = node[0] if isinstance(node, list) else node["b"]
    text = text_of(node)
    place = text.at(text.source.index(marked))
    line = source.split("\n")[place.line - 1]
    assert line[place.column - 1 :].startswith(marked), place


def shown(source, name, *keys):
    """The line that an error shows about a name inside a text, and what stands there from its column on."""
    node = top(source)
    for key in keys:
        node = node[key]
    text = text_of(node)
    place = text.at(text.source.index(name))
    return place.text, place.text[place.column - 1 :].startswith(name)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a:\n  key: 'Hi {{ user.nme }}'  # why\n", "  key: 'Hi {{ user.nme }}'  # why"),
        ('a:\n  key: "Hi {{ user.nme }}"\n', '  key: "Hi {{ user.nme }}"'),
        ("a:\n  key: Hi {{ user.nme }}\n", "  key: Hi {{ user.nme }}"),
        ("a:\n  key: |\n    Hi {{ user.nme }}\n", "    Hi {{ user.nme }}"),
        ("a:\n  key: >-\n    Hi\n    {{ user.nme }} and\n    so on\n", "    {{ user.nme }} and"),
        ('a:\n  key: "Hi\n    it\\u0027s {{ user.nme }}"\n', '    it\\u0027s {{ user.nme }}"'),
        ("a: {key: 'Hi {{ user.nme }}', b: 1}\n", "a: {key: 'Hi {{ user.nme }}', b: 1}"),
        ("a:\r\n  key: 'Hi {{ user.nme }}'\r\n", "  key: 'Hi {{ user.nme }}'"),
    ],
)
def test_an_error_inside_a_text_shows_the_line_of_the_file(source, line):
    assert shown(source, "user.nme", "a", "key") == (line, True)


def test_a_line_with_people_on_it_is_not_shown():
    source = "a: {people: [{email: canary@example.com}], key: 'Hi {{ user.nme }}'}\n"

    line, under = shown(source, "user.nme", "a", "key")

    assert "canary" not in line
    assert under


def test_the_lines_of_a_file_are_not_stored_with_its_texts():
    text = text_of(top("key: 'Hi' # canary\n")["key"])

    assert "canary" in text.at(0).text
    assert "canary" not in text.model_dump_json()
    assert text == type(text).model_validate_json(text.model_dump_json())
