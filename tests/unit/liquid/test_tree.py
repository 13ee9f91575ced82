"""JSON with templates in its strings: types are kept, and everything else is as in any template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from connect.errors import Problem
from connect.liquid import Library, Refusal, Skip, Template
from connect.liquid.printing import text_of
from connect.liquid.tree import TreeTemplate, dumps
from connect.project.text import Text
from connect.project.tree import SLOT, Tree
from connect.vocabulary import Reason

Row = Mapping[str, object]
LIBRARY = Library({"card": Text(source="({{ name }})", file="templates/card")})


def tree(value: Any, **options: object) -> TreeTemplate:
    """A tree as `connect.project.tree` reads it: every string of the value is a template."""
    texts: list[Text] = []

    def read(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: read(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [read(inner) for inner in node]
        if not isinstance(node, str):
            return node
        texts.append(Text(source=node, file="campaigns/hook.yml", line=7, column=12))
        return {SLOT: len(texts) - 1}

    given = {"escape": False} | options
    return TreeTemplate.of(
        Tree(value=read(value), texts=tuple(texts)),
        lambda text: LIBRARY.compile(text, **given),  # type: ignore[arg-type]
    )


def made(value: Any, user: Row | None = None, scope: Row | None = None, url: object = None, **options: object) -> Any:
    """What comes of it for one row, which is not the first."""
    columns = {name: ["not this", cell] for name, cell in (user or {}).items()}
    return tree(value, **options).over(columns, scope or {})(1, b"someone", url)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("text", "text"),
        ("", ""),
        (7, 7),
        (-(10**30), -(10**30)),
        (True, True),
        (False, False),
        (None, None),
        (1.5, 1.5),
        (1e300, 1e300),
        (Decimal("12.50"), 12.5),
        (Decimal("12.00"), 12.0),
        (Decimal("0.1"), 0.1),
        (Decimal(12), 12),
        (Decimal("1E+3"), 1000),
        (Decimal("123456789012345678901234567890"), 123456789012345678901234567890),
        (Decimal("12345678901234567.89"), "12345678901234567.89"),  # a double would say 12345678901234568
        (Decimal("-0.10000000000000000001"), "-0.10000000000000000001"),
        (Decimal("1E+500"), "1" + "0" * 500),
        (date(2026, 3, 14), "2026-03-14"),
        (datetime(2026, 3, 14, 9, 30, tzinfo=UTC), "2026-03-14T09:30:00+00:00"),
        (datetime(2026, 3, 14, 9, 30, 0, 5, timezone(timedelta(hours=11))), "2026-03-14T09:30:00.000005+11:00"),
        (datetime(2026, 3, 14, 9, 30), "2026-03-14T09:30:00"),
        (time(9, 30), "09:30:00"),
        ([1, "a", None, [True]], [1, "a", None, [True]]),
        ((1, Decimal("2.5")), [1, 2.5]),
        ([], []),
        ({"a": {"b": [date(2026, 1, 1)]}, 7: None}, {"a": {"b": ["2026-01-01"]}, "7": None}),
        (Markup("<b>"), "<b>"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    ],
)
def test_a_string_that_is_one_value_keeps_its_type(cell: object, value: object) -> None:
    found = made({"x": ["{{ user.cell }}"]}, {"cell": cell})
    assert found == {"x": [value]}
    assert repr(found["x"][0]) == repr(value)  # True is not 1, and 12.0 not 12
    assert json.loads(dumps(found)) == {"x": [value]}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ user.n | plus: 1 }}", 8),
        ("{{ user.n | times: 1.5 }}", 10.5),
        ("{{ user.n | append: '!' }}", "7!"),
        ("{{ user.list | first }}", "x"),
        ("{{ user.list | size }}", 2),
        ("{{ user.list | join: ',' }}", "x,y"),
        ("{{ user.text | split: ' ' }}", ["a", "b"]),
        ("{{ user.gone | default: 5 }}", 5),
        ("{{ user.gone | default: nil }}", None),
        ("{{ user.day | date: '%Y' }}", "2026"),
        ("{{ user.map.deep }}", {"er": 1}),
        ("{{ user.map['deep'].er }}", 1),
        ("{{ user.rows | map: 'n' }}", [1, 2]),
        ("{{- user.n -}}", 7),
        ("{{ 5 }}", 5),
        ("{{ 'five' }}", "five"),
        ("{{ nil }}", None),
        ("{{ true }}", True),
        ("{{ (1..3) }}", [1, 2, 3]),
        ("{{ now }}", "2026-03-14T09:30:00+00:00"),
        ("{{ url.unsubscribe_link }}", "https://acme.example/u"),
        (" {{ user.n }}", " 7"),
        ("{{ user.n }}{{ user.n }}", "77"),
        ("{% echo user.n %}", "7"),
        ("{% if true %}{{ user.n }}{% endif %}", "7"),
        ("no. {{ user.n }}", "no. 7"),
        ("{% render 'card', name: user.n %}", "(7)"),
        ("", ""),
        ("plain", "plain"),
    ],
)
def test_filters_and_texts(source: str, value: object) -> None:
    user: Row = {
        "n": 7,
        "text": "a b",
        "list": ["x", "y"],
        "day": date(2026, 3, 14),
        "map": {"deep": {"er": 1}},
        "rows": [{"n": 1}, {"n": 2}],
    }
    scope = {"now": datetime(2026, 3, 14, 9, 30, tzinfo=UTC)}
    found = made({"x": source}, user, scope, {"unsubscribe_link": "https://acme.example/u"})
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


def test_the_whole_tree_may_be_one_value() -> None:
    assert made("{{ user.cell }}", {"cell": {"a": [1]}}) == {"a": [1]}
    assert made("{{ user }}", {"cell": {"a": [1]}, "day": date(2026, 1, 1)}) == {
        "cell": {"a": [1]},
        "day": "2026-01-01",
    }


def test_what_is_no_string_and_keys_are_as_they_stand() -> None:
    value = {"b": 1, "{{ user.a }}": Decimal("1.50"), "a": [None, True, [], {}]}
    assert made(value, {"a": "x"}) == {"b": 1, "{{ user.a }}": 1.5, "a": [None, True, [], {}]}
    assert list(made({"b": "{{ user.a }}", "a": 1, "c": "{{ user.a }}"}, {"a": 1})) == ["b", "a", "c"]


def test_rows_have_values_of_their_own_and_share_what_is_the_same() -> None:
    render = tree({"same": {"a": ["x", "{{ campaign.name }}"]}, "own": ["{{ user.n }}", "s"]}).over(
        {"n": [1, 2]}, {"campaign": {"name": "hook"}}
    )
    first, second = render(0, b"", {}), render(1, b"", {})
    assert first == {"same": {"a": ["x", "hook"]}, "own": [1, "s"]}
    assert second == {"same": {"a": ["x", "hook"]}, "own": [2, "s"]}
    assert first["same"] is second["same"]


def test_what_it_is_known_to_read() -> None:
    several = tree({"a": "{{ user.n }}", "b": ["{{ user.m | upcase }}!", "{{ campaign.name }}"]})
    assert several.columns == {"n", "m"}
    assert not several.constant
    assert {str(name.path[1]) for name in several.names if name.path[0] == "user"} == {"n", "m"}
    assert tree(["{{ user }}", "{{ user.n }}"]).columns is None
    assert tree({"a": "{{ campaign.name }}", "b": 1}).constant


# ── the same refusals as in any template ───────────────────────────────────────────────────────────────────────────


def refusal(value: Any, user: Row | None = None, **options: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        made(value, user, **options)
    return caught.value


def test_a_name_that_is_not_there() -> None:
    found = refusal({"x": "{{ user.cel }}"}, {"cell": 1})
    assert found.reason is Reason.render_error
    assert found.problem.code == "undefined-name"
    assert found.problem.hint == "did you mean `user.cell`?"
    assert str(found.problem.location) == "campaigns/hook.yml:7:15"
    assert made({"x": "{{ user.cel }}"}, {"cell": 1}, undefined="blank") == {"x": None}


def test_a_null_where_nulls_are_refused() -> None:
    found = refusal({"x": "{{ user.cell }}"}, {"cell": None}, nulls="refuse")
    assert (found.reason, found.problem.code) == (Reason.null_value, "null-value")
    assert made({"x": "{{ user.cell | default: 0 }}"}, {"cell": None}, nulls="refuse") == {"x": 0}


@pytest.mark.parametrize("cell", [float("nan"), float("inf"), Decimal("NaN"), Decimal("-Infinity"), [1, float("nan")]])
def test_numbers_that_json_does_not_have(cell: object) -> None:
    found = refusal({"x": "{{ user.cell }}"}, {"cell": cell})
    assert (found.reason, found.problem.code) == (Reason.not_json, "not-json")
    assert str(found.problem.location) == "campaigns/hook.yml:7:12"


@pytest.mark.parametrize("cell", [b"bytes", {1, 2}, object(), [b"bytes"]])
def test_values_that_can_not_be_printed_either(cell: object) -> None:
    found = refusal({"x": "{{ user.cell }}"}, {"cell": cell})
    assert (found.reason, found.problem.code) == (Reason.render_error, "render-error")


@pytest.mark.parametrize(
    "cell",
    ["x" * 1_000_001, "😀" * 600_000, ["x" * 300_000] * 10, list(range(10_001)), {"k": ["x" * 999_999] * 3}, 10**1300],
)
def test_values_that_are_too_large(cell: object) -> None:
    found = refusal({"x": "{{ user.cell }}"}, {"cell": cell})
    assert (found.reason, found.problem.code) == (Reason.content_too_large, "content-too-large")


def test_a_filter_that_can_not_take_its_value_is_named() -> None:
    found = refusal({"x": "{{ user.cell | divided_by: 0 }}"}, {"cell": 1})
    assert "divided_by" in found.problem.message


def test_nobody_is_told_of_a_constant_that_fails_but_the_people_themselves() -> None:
    template = tree({"x": "{{ run.gone }}"}).over({}, {"run": {}})
    with pytest.raises(Refusal, match="undefined-name"):
        template(0, b"", {})


def test_a_row_can_be_skipped() -> None:
    with pytest.raises(Skip, match="sold out"):
        made({"x": "{% if user.n == 0 %}{% skip 'sold out' %}{% endif %}"}, {"n": 0})


def test_a_link_that_can_not_be_made_says_so_itself() -> None:
    wanted = Refusal(Reason.render_error, Problem("unsubscribe-url", "no URL"))

    class Links(dict[str, object]):
        def __missing__(self, name: str) -> object:
            raise wanted

    for value in ("{{ url.unsubscribe_link }}", "to {{ url.unsubscribe_link }}"):
        with pytest.raises(Refusal) as caught:
            made(value, url=Links())
        assert caught.value is wanted


# ── equality with what is printed ──────────────────────────────────────────────────────────────────────────────────


def outcome(render: Callable[[], object]) -> tuple[object, ...]:
    try:
        return "value", render()
    except Refusal as refused:
        return "refusal", refused.reason, refused.problem


EXPRESSIONS = [
    *("user.a", "user.b", "user.a.b", "user.a[0]", "user.a[user.b]", "user[user.a]", "user", "user.a.size", "gone"),
    *("user.gone", "user.a | default: user.b", "user.a | default: 'x' | upcase", "user.a | append: user.b"),
    *("user.a | plus: 1", "user.a | times: user.b", "user.a | divided_by: user.b", "user.a | size", "user.a | first"),
    *("user.a | join: '-'", "user.a | map: 'k'", "user.a | sort", "user.a | compact | uniq", "user.a | upcase | size"),
    *(
        "user.a | round: 2",
        "user.a | split: ''",
        "user.a | fallback: 'x'",
        "user.a | truncate: 3",
        "user.a | where: 'k'",
    ),
    *("user.a | concat: user.b", "user.a | slice: 0, 2", "user.a | abs | ceil", "user.a | raw"),
    *("user.a | date: '%Y'", "user.a | delimiter", "user.a | money: 'EUR'", "user.a | reverse", "user.a | sum"),
]
TEMPLATES: dict[tuple[str, str, str], Template] = {}


def template(expression: str, undefined: str, nulls: str) -> Template:
    key = (expression, undefined, nulls)
    if key not in TEMPLATES:
        text = Text(source="{{ " + expression + " }}", file="campaigns/hook.yml")
        options: dict[str, Any] = {"undefined": undefined, "nulls": nulls}
        TEMPLATES[key] = LIBRARY.compile(text, escape=False, **options)
    return TEMPLATES[key]


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(["", " ", "12", "k"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["k", "b", "size"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(EXPRESSIONS),
    VALUES,
    VALUES,
    st.sampled_from(["refuse", "blank"]),
    st.sampled_from(["blank", "refuse"]),
)
def test_a_value_prints_as_its_template_does(expression: str, a: object, b: object, undefined: str, nulls: str) -> None:
    one = template(expression, undefined, nulls)
    printed = outcome(lambda: one.over({"a": [a], "b": [b]}, {})(0, b"", {}))
    compiled = outcome(lambda: one.values({"a": [a], "b": [b]}, {})(0, b"", {}))
    interpreted = outcome(lambda: one.interpreted_value({"user": {"a": a, "b": b}, "url": {}}, b""))
    assert repr(compiled) == repr(interpreted)
    if compiled[0] == "value" and printed[0] == "value":
        assert text_of(compiled[1]) == printed[1]
    elif compiled[:2] != ("refusal", Reason.not_json):  # arithmetic may overflow to infinity
        assert compiled == printed


def test_every_expression_is_compiled() -> None:
    for expression in EXPRESSIONS:
        one = template(expression, "refuse", "blank")
        assert (one.valued is None) == (one.compiled is None), expression
    assert sum(one.valued is not None for one in TEMPLATES.values()) > 30


# ── as bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_is_written_in_utf_8_without_spaces() -> None:
    assert dumps({"name": "Zoë 🎉", "n": [1, 2.5, None, True]}) == '{"name":"Zoë 🎉","n":[1,2.5,null,true]}'.encode()


def test_halves_of_characters_are_replaced() -> None:
    assert dumps({"a\ud83c": "b\udf89!"}) == '{"a\ufffd":"b\ufffd!"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": {1}}, {"x": object()}])
def test_what_can_not_be_written(value: object) -> None:
    with pytest.raises(Refusal) as caught:
        dumps(value)
    assert (caught.value.reason, caught.value.problem.code) == (Reason.not_json, "not-json")


def test_nesting_without_end_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Refusal):
        dumps(deep)
    assert refusal({"x": "{{ user.cell }}"}, {"cell": deep}).reason is Reason.render_error


@given(VALUES)
def test_json_says_what_was_meant(value: object) -> None:
    assert json.loads(dumps(made("{{ user.a }}", {"a": value}))) == value
