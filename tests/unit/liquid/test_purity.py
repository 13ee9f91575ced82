"""Rendering is a function: equal input, equal bytes; and what goes wrong never tells a value."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from connect.errors import UserError
from connect.liquid import Library, Refusal, Skip
from connect.liquid.filters import FILTERS
from connect.project.text import Text
from tests.examples import some

CANARY = "canary@example.com"
NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=True)
    | st.decimals(allow_nan=False, places=2)
    | st.datetimes()
    | st.text(max_size=8)
    | st.text(max_size=4).map(lambda text: f"{text}{CANARY}{text}")
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.just(CANARY) | st.text(max_size=3), inner, max_size=3)
    ),
)

arguments = st.sampled_from(["", ": user.b", ": user.b, user.c", ": 2", ": 'x'", ": user.missing", ": user[user.a]"])
chains = st.lists(st.tuples(st.sampled_from(sorted(FILTERS)), arguments), max_size=3).map(
    lambda calls: "".join(f" | {name}{given}" for name, given in calls)
)
pieces = st.one_of(
    chains.map(lambda chain: f"{{{{ user.a{chain} }}}}"),
    chains.map(lambda chain: f"{{% assign x = user.a{chain} %}}{{{{ x }}}}"),
    chains.map(lambda chain: f"{{% for i in user.c %}}{{{{ i{chain} }}}}{{% cycle user.a, i %}}{{% endfor %}}"),
    st.sampled_from(
        [
            "{% if user.a < user.b %}1{% endif %}",
            "{% if user.a contains user.b %}1{% endif %}",
            "{% case user.a %}{% when user.b, 'x' %}1{% endcase %}",
            "{{ user.a[user.b] }}",
            "{{ user[user.a].x }}",
            "{{ [user.a] }}",
            "{{ user.missing[user.a] }}",
            "{% random user.a %}",
            "{% random 1000 %}",
            "{% for i in user.a limit: user.b offset: user.c %}{{ i }}{% endfor %}",
            "{% for i in (user.a..user.b) limit: 5 %}{{ i }}{% endfor %}",
            "{% tablerow i in user.a cols: user.b %}{{ i }}{% endtablerow %}",
            "{% render 'part', given: user.a %}",
            "{% render 'part' for user.a as given %}",
            "{{ user.a | date: user.b }}{{ 'now' | date: '%c' }}",
            "{{ now | time_zone: user.a }}",
        ]
    ),
)
templates = st.lists(pieces, min_size=1, max_size=3).map("".join)
LIBRARY = Library({"part": Text(source="{{ given }}{{ user.b }}{% random 9 %}", file="templates/part")})


def outcome(source: str, scope: Mapping[str, object], options: dict[str, object]) -> str | Refusal | None:
    try:
        template = LIBRARY.compile(Text(source=source, file="hello.yml"), **options)  # type: ignore[arg-type]
    except UserError:
        return None
    try:
        return template.render(scope, random_seed=b"someone")
    except Refusal as refusal:
        return refusal


choices = st.fixed_dictionaries(
    {
        "escape": st.booleans(),
        "undefined": st.sampled_from(["refuse", "blank"]),
        "nulls": st.sampled_from(["blank", "refuse"]),
    }
)


@settings(max_examples=some(120), deadline=None)
@given(templates, values, values, values, choices)
def test_rendering_is_pure_and_its_trouble_names_no_value(
    source: str, a: object, b: object, c: object, options: dict[str, object]
) -> None:
    scope = {"user": {"a": a, "b": b, "c": c}, "now": NOW}
    first, again = outcome(source, scope, options), outcome(source, scope, options)
    if isinstance(first, Refusal):
        told = "".join(traceback.format_exception(first)) + repr(first) + repr(first.problem) + str(first.problem)
        assert CANARY not in told
        assert first.__context__ is None
        assert first.problem.location is not None
        assert isinstance(again, Refusal)
        assert again.problem == first.problem
    else:
        assert first == again


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused_with_a_place(source: str) -> None:
    outcome(source, {}, {"escape": False})


@given(st.text(alphabet="{}%|-' \"aif.endskp:=<1\n", max_size=60))
def test_any_near_template_compiles_or_is_refused(source: str) -> None:
    try:
        result = outcome("{% if a %}" + source, {}, {"escape": False})
    except Skip:
        return
    assert result is None or isinstance(result, (str, Refusal))


def test_the_scope_is_not_changed() -> None:
    user = {"a": [3, 1, 2], "b": {"x": Decimal("1.5")}}
    source = "{{ user.a | sort | reverse | concat: user.a | uniq }}{% for i in user.a reversed %}{% endfor %}"
    outcome(source, {"user": user}, {"escape": True})
    assert user == {"a": [3, 1, 2], "b": {"x": Decimal("1.5")}}
