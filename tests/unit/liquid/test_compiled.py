"""Compiled templates are the interpreter's equals: in text, in skips, and in every refusal and its place."""

# ruff: noqa: E501 - one template a line
from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from connect.errors import UserError
from connect.liquid import Library, Refusal, Skip, Template
from connect.liquid.filters import FILTERS
from connect.project.text import Text
from tests.examples import some
from tests.unit.liquid.conftest import outcomes

Compile = Callable[..., Template]

FILES = {
    "frame": "[{% block head %}{{ user.a }}{% endblock %}|{{ n }}{% block body %}{% block deep %}d{% endblock %}{% endblock %}]",
    "middle": "{% layout 'frame' %}{% assign n = 'm' %}{% block head %}<{{ block.super }}>{% endblock %}",
    "card": "({{ item.name }}{{ forloop.index }}{{ other | default: '-' }}{% assign kept = kept | append: 'k' %}{{ kept }})",
    "card_in_card": "{% for x in item.list %}{% render 'card', item: item, other: x %}{% endfor %}",
    "framed": "{% layout 'frame' %}{% block body %}{{ given }}{% endblock %}",
    "counts": "{% increment n %}{% increment n %}{{ n }}{% cycle 'a', 'b' %}{% ifchanged %}{{ item }}{% endifchanged %}",
}
PEOPLE: list[dict[str, object]] = [
    {
        "a": "Ann & <Bob>",
        "b": 7,
        "c": [{"name": "Tea", "list": [1, 2], "n": 1}, {"name": None, "list": [], "n": Decimal("2.50")}, {"x": "<i>"}],
        "d": datetime(2026, 3, 14, 9, 30, tzinfo=UTC),
        "e": "",
        "list": ["x", "y", "y", None, 3],
        "map": {"name": "M", "size": 9, "deep": {"er": ["one", "two"]}},
        "key": "a",
    },
    {
        "a": None,
        "b": Decimal("3.10"),
        "c": None,
        "d": date(2026, 1, 1),
        "e": " ",
        "list": [],
        "map": {},
        "key": "name",
    },
    {
        "a": Markup("<b>"),
        "b": -2.5,
        "c": "text",
        "d": "2026-03-01",
        "e": False,
        "list": "abc",
        "map": [1, 2],
        "key": 0,
    },
    {"a": True, "b": 10**30, "c": {"k": "v", "l": "w"}, "d": 0, "e": True, "list": (1, 2), "map": "m", "key": None},
    {"a": "ÄÖ\N{GRINNING FACE}", "b": "12", "c": [[1, "<"], []], "list": [[["x"]]], "map": {"first": 1}, "key": [1]},
    {},
]
CORPUS = [
    "",
    "plain",
    "{{ user.a }}",
    "{{ user.a }}{{ user.b }} {{ user.d }}/{{ user.e }}",
    "{{ user.map.name }}{{ user.map['size'] }}{{ user.map.size }}{{ user.map.first }}{{ user.map.deep.er[1] }}",
    "{{ user.list.size }}{{ user.list.first }}{{ user.list.last }}{{ user.list[0] }}{{ user.list[-1] }}{{ user.list[9] }}",
    "{{ user.map[user.key] }}{{ user[user.key] }}",
    "{{ user }}",
    "{{ user.a.b.c | default: 'none' }}{{ nobody | default: 'none' }}",
    "{{ 'a' }}{{ 1 }}{{ 1.5 }}{{ true }}{{ nil }}{{ (1..3) }}{{ empty }}",
    "{{ 'a<b' | upcase | append: '&' }}{{ 'x' | append: user.a | prepend: user.e }}",
    "{{ user.a | append: '<br>' }}{{ user.a | prepend: '<br>' | append: '!' }}{{ user.a | upcase | append: '<' }}",
    "{{ user.a | upcase }}{{ user.a | downcase }}{{ user.a | capitalize }}{{ user.a | strip }}{{ user.a | size }}",
    "{{ user.a | truncate: 5 }}{{ user.a | truncate: 5, '<' }}{{ user.a | replace: '&', user.b }}{{ user.a | raw }}",
    "{{ user.a | upcase | default: 'x' | downcase }}{{ user.e | fallback: 'y' }}{{ user.e | default: 'z', allow_false: true }}",
    "{{ user.b | plus: 1 }}",
    "{{ user.b | times: 2 | minus: user.b }}",
    "{{ user.b | round: 1 }}{{ user.b | at_least: 3 | money: 'EUR' }}",
    "{{ user.d | date: '<%d.%m.%Y>' }}{{ user.d | date: user.a }}{{ 'now' | date: '%F' }}{{ now | date: '%Y' }}",
    "{{ user.list | join: '<br>' }}{{ user.list | first }}{{ user.c | map: 'name' | compact | join }}",
    "{{ campaign.name }}{{ run.id }}{{ params.x.y | default: 'p' }}{{ event.z | default: 'e' }}{{ url.unsubscribe_link }}{{ url.unsubscribe }}",
    "{% if user.a %}a{% elsif user.b %}b{% else %}c{% endif %}",
    "{% if user.a == 'Ann & <Bob>' or user.b > 5 and user.e %}1{% endif %}{% unless user.e == blank %}2{% else %}3{% endunless %}",
    "{% if user.b < 5 %}1{% elsif user.b >= 7 %}2{% endif %}{% if user.d <= '2026-02-01' %}3{% endif %}",
    "{% if user.a != nil %}1{% endif %}{% if user.list contains 'x' %}2{% endif %}{% if 'Ann' == user.a %}3{% endif %}",
    "{% if user.list == empty %}1{% endif %}{% if user.b == 7.0 %}2{% endif %}{% if user.e == true %}3{% endif %}{% if 1 == 1 %}4{% endif %}",
    "{% if nothing %}{% endif %}{% if nothing == 1 %}{% endif %}x",
    "{% if user.a %} {% if user.b == 3 %} {% endif %} {% endif %}",
    "{% case user.b %}{% when 7 %}7{% when 3.10, 'x' %}3{% when '12' %}s{% else %}?{% endcase %}",
    "{% case user.key %}{% when 'a', 'a' %}twice{% else %}no{% endcase %}",
    "{% case 1 %}{% else %}first{% when 1 %}{% assign user_b = 2 %}{{ user_b }}{% else %}last{% endcase %}",
    "{% assign x = 1 %}{% case x %}{% when 1 %}{% assign x = 2 %}a{% when 2 %}b{% endcase %}",
    "{% for i in user.list %}{{ forloop.index }}:{{ i }};{% else %}none{% endfor %}",
    "{% for i in user.c %}{{ i.name }}{{ i['n'] }}{{ i.list.size }}{{ i[0] }}{% endfor %}",
    "{% for i in user.c limit: 2 offset: 1 %}{{ i.name }}{% endfor %}{% for i in user.list reversed %}{{ i }}{% endfor %}",
    "{% for i in user.list limit: user.b %}{{ i }}{% endfor %}{% for i in (1..user.b) limit: 3 reversed %}{{ i }}{% endfor %}",
    "{% for i in user.list limit: 2 %}{{ i }}{% endfor %}-{% for i in user.list offset: continue %}{{ i }}{% endfor %}",
    "{% for i in (1..4) %}{% if i == 2 %}{% continue %}{% elsif i == 4 %}{% break %}{% endif %}{{ i }}{{ forloop.rindex }}{% endfor %}",
    "{% for i in (1..3) %}{% for j in (1..2) %}{{ forloop.parentloop.index }}{{ forloop.index0 }}{{ forloop.last }}{% endfor %}{{ forloop.name }}{% endfor %}",
    "{% for i in (1..3) %}{{ forloop.parentloop.index | default: 'top' }}{{ forloop.length }}{{ forloop.first }}{% endfor %}",
    "{% for i in (1..3) %}{{ forloop.nothing | default: '?' }}{{ forloop.size }}{% endfor %}",
    "{% for i in (1..3) %}{% assign l = forloop %}{{ l.index }}{% endfor %}",
    "{% for i in (1..3) %}{% assign i = 9 %}{{ i }}{% endfor %}{{ i }}",
    "{% for i in (1..3) %}{% capture x %}{{ x | default: '' }}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endcapture %}{% endfor %}{{ x }}",
    "{% if user.b == 7 %}{% assign x = user.a %}{% endif %}{{ x | default: 'unset' }}",
    "{% assign x = user.a %}{{ x }}{% assign x = x | append: '!' %}{{ x }}{% assign y = user.list %}{{ y.size }}",
    "{{ x | default: '0' }}{% assign x = 1 %}{{ x }}",
    "{% capture x %}<{{ user.a }}>{% endcapture %}{{ x }}{{ x | size }}{% capture y %} {% endcapture %}[{{ y }}]",
    "{% increment n %}{% increment n %}{% decrement m %}{{ n }}{{ m }}{% assign n = 'v' %}{{ n }}{% increment n %}",
    "{% for i in (1..5) %}{% cycle 'a', user.a %}{% cycle 'g': 1, 2, 3 %}{% cycle 'g': 8 %}{% endfor %}",
    "{% for i in user.list %}{% ifchanged %}{{ i }}{% endifchanged %}{% endfor %}",
    "{% tablerow i in user.list cols: 2 %}{{ i }}{{ tablerowloop.col }}{{ tablerowloop.first }}{% endtablerow %}",
    "{% tablerow i in (1..3) %}{% if i == 2 %}{% break %}{% endif %}{% endtablerow %}",
    "{% liquid\nassign x = user.b\nif x\necho x\nendif\n%}{% echo user.a | upcase %}",
    "{% raw %}{{ user.a }}{% endraw %}{% comment %}{{ user.zzz }}{% endcomment %}{% # no %}{% doc %}x{% enddoc %}",
    "{% render 'card', item: user.map %}{% render 'card' with user.map as item, other: user.b %}",
    "{% render 'card' for user.c as item %}{% render 'card' for user.c as item, other: user.a %}",
    "{% for item in user.c %}{% render 'card', item: item, forloop: forloop %}{% endfor %}",
    "{% for item in user.c %}{% render 'card_in_card', item: item %}{% endfor %}",
    "{% render 'framed', given: user.a %}{% render 'counts' for user.list as item %}{% render 'counts', item: 1 %}",
    "{% layout 'middle' %}{% assign n = user.b %}{% block deep %}{{ n }}{{ user.a }}{% assign n = 5 %}{{ n }}{% endblock %}",
    "{% layout 'middle' %}{% block head %}{{ block.super }}{% for i in (1..2) %}{{ block.super }}{% endfor %}{% endblock %}",
    "{% layout 'frame' %}{% block head %}{{ block.super | upcase }}{% endblock %}",
    "{% block x %}{% for i in (1..2) %}{{ forloop.parentloop.index | default: '-' }}{% endfor %}{% assign q = 1 %}{% endblock %}{{ q | default: 'out' }}",
    "{% for i in (1..2) %}{% block x %}{{ i }}{{ forloop.index }}{% if i == 1 %}{% continue %}{% endif %}{% endblock %}!{% endfor %}",
    "{% random 100 %}{% for i in (1..3) %}{% random user.b %}{% endfor %}",
    "a{% if user.b == 7 %}{% skip 'seven' %}{% endif %}{{ user.a }}",
    "{% for i in user.list %}{{ i }}{% capture x %}{% skip 'in a loop' %}{% endcapture %}{% endfor %}{{ user.zzz }}",
    "{% assign user = user.map %}{{ user.name }}",
    "{% for event in user.list %}{{ event }}{% endfor %}",
    "{{ [user.key] | default: 'dynamic' }}",
    "{{ user.a | date: '%F' }}",
    "{{ user.b | divided_by: 0 }}",
    "{% if user.a < 3 %}{% endif %}",
    "{% for i in user.b %}x{% endfor %}{% for i in user.list limit: 'x' %}{% endfor %}",
]
FALLS_BACK = (
    "forloop %}{{ l",
    "forloop.nothing",
    "block.super | upcase",
    "assign user =",
    "for event in",
    "[user.key] |",
)
OPTIONS = [
    {"escape": escape, "undefined": undefined, "nulls": nulls}
    for escape in (False, True)
    for undefined, nulls in (("refuse", "blank"), ("blank", "blank"), ("refuse", "refuse"), ("blank", "refuse"))
]
LIBRARY = Library({name: Text(source=source, file=f"templates/{name}") for name, source in FILES.items()})
FIXED: dict[str, object] = {
    "campaign": {"name": "Spring & all"},
    "run": {"id": "r1"},
    "params": {"x": {"y": "<p>"}},
    "url": {"unsubscribe_link": "https://a.example/?a&b", "unsubscribe": Markup("<a>u</a>")},
    "now": datetime(2026, 3, 11, 8, tzinfo=timezone(timedelta(hours=10))),
}


def agree(template: Template, scope: Mapping[str, object], seed: bytes = b"someone") -> None:
    wanted, *others = outcomes(template, scope, seed)
    assert others == [wanted] * len(others)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("source", CORPUS, ids=lambda source: source[:60])
def test_what_is_compiled_equals_what_is_interpreted(source: str, options: dict[str, object]) -> None:
    template = LIBRARY.compile(Text(source=source, file="hello.yml"), **options)  # type: ignore[arg-type]
    for user in PEOPLE:
        agree(template, {"user": user, **FIXED})
    agree(template, {})


@pytest.mark.parametrize("source", CORPUS, ids=lambda source: source[:60])
def test_what_can_be_compiled_is(source: str) -> None:
    template = LIBRARY.compile(Text(source=source), escape=True)
    left = any(mark in source for mark in FALLS_BACK) or "{% break %}{% endif %}{% endtablerow" in source
    assert (template.compiled is None) == left


@pytest.mark.parametrize("source", [source for source in CORPUS if not any(mark in source for mark in FALLS_BACK)])
def test_the_interpreter_is_not_asked_for_what_goes_well(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = LIBRARY.compile(Text(source=source), escape=True, undefined="blank")
    scope = {"user": PEOPLE[0], **FIXED}
    try:
        wanted = template.interpreted(scope, b"x")
    except (Refusal, Skip):
        return
    if template.compiled is None or "for user.c as" in source or "'a', 'a'" in source:
        return
    monkeypatch.setattr(Template, "interpreted", None)
    assert template.render(scope, random_seed=b"x") == wanted


texts = st.text(max_size=6) | st.sampled_from(
    ["<b>&\"'", "  ", "0", "12.5", "2026-03-14", "name", "ß\N{GRINNING FACE}"]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.integers()
    | st.floats(allow_nan=False, width=32)
    | st.decimals(allow_nan=False, places=2)
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | texts
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "n", "size", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)

names = st.sampled_from(
    [
        "user.a",
        "user.b",
        "user.c",
        "user.a.name",
        "user.c[0]",
        "user.b.size",
        "user.gone",
        "x",
        "i",
        "i.name",
        "y",
        "user[user.a]",
        "now",
        "campaign.name",
        "forloop.index",
        "n",
        "user.a.first",
    ]
)
literals = st.sampled_from(["'x'", "'<b>'", "''", "1", "-3", "2.5", "true", "false", "nil", "'2026-01-01'", "'12'"])
operands = names | literals
filters = st.tuples(st.sampled_from(sorted(FILTERS)), st.lists(operands, max_size=2)).map(
    lambda call: f" | {call[0]}" + (": " + ", ".join(call[1]) if call[1] else "")
)
likely = st.sampled_from(
    [
        " | default: 'd'",
        " | fallback: user.b",
        " | upcase",
        " | append: '<'",
        " | prepend: user.a",
        " | plus: 2",
        " | date: '%F'",
    ]
)
outputs = st.builds(lambda left, calls: left + "".join(calls), operands, st.lists(filters | likely, max_size=3))
comparisons = st.builds(
    lambda left, sign, right: f"{left} {sign} {right}",
    operands,
    st.sampled_from(["==", "!=", "<", ">", "<=", ">=", "contains"]),
    operands | st.sampled_from(["blank", "empty"]),
)
conditions = st.lists(operands | comparisons, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([" and ", " or "]).map(lambda word: word.join(parts))
)
iterables = names | st.just("(1..3)") | st.just("(user.a..3)")
slices = st.sampled_from(
    ["", "", " reversed", " limit: 2", " offset: 1", " limit: user.b", " offset: continue", " limit: 0 reversed"]
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return st.one_of(
        st.builds(
            "{{% if {} %}}{}{{% elsif {} %}}{}{{% else %}}{}{{% endif %}}".format,
            conditions,
            body,
            conditions,
            body,
            body,
        ),
        st.builds("{{% unless {} %}}{}{{% endunless %}}".format, conditions, body),
        st.builds("{{% for i in {}{} %}}{}{{% else %}}{}{{% endfor %}}".format, iterables, slices, body, body),
        st.builds("{{% tablerow i in {} cols: 2 %}}{}{{% endtablerow %}}".format, iterables, body),
        st.builds(
            "{{% case {} %}}{{% when {}, {} %}}{}{{% when {} %}}{}{{% else %}}{}{{% endcase %}}".format,
            operands,
            operands,
            operands,
            body,
            operands,
            body,
            body,
        ),
        st.builds("{{% capture x %}}{}{{% endcapture %}}".format, body),
        st.builds("{{% ifchanged %}}{}{{% endifchanged %}}".format, body),
        st.builds(
            "{{% for i in (1..3) %}}{}{{% if i == 2 %}}{{% {} %}}{{% endif %}}{}{{% endfor %}}".format,
            body,
            st.sampled_from(["break", "continue"]),
            body,
        ),
        st.builds("{{% block z %}}{}{{% endblock %}}".format, body),
    )


pieces = st.recursive(
    st.one_of(
        outputs.map("{{{{ {} }}}}".format),
        outputs.map("{{{{ {} }}}}".format),
        st.text(alphabet="ab <>&\n", max_size=4),
        outputs.map("{{% assign x = {} %}}".format),
        outputs.map("{{% assign y = {} %}}".format),
        st.builds(
            "{{% render '{}', item: {}, given: {} %}}".format, st.sampled_from(sorted(FILES)[:4]), operands, operands
        ),
        st.builds("{{% render 'card' for {} as item %}}".format, names),
        st.builds("{{% cycle {}, {} %}}".format, operands, operands),
        operands.map("{{% random {} %}}".format),
        st.sampled_from(["{% increment n %}", "{% decrement n %}", "{% skip 'why not' %}"]),
    ),
    nested,
    max_leaves=6,
)
templates = st.lists(pieces, min_size=1, max_size=4).map("".join)


@settings(max_examples=some(140), deadline=None)
@given(templates, values, values, values, st.sampled_from(OPTIONS))
def test_any_template_renders_equally_over_any_data(
    source: str, a: object, b: object, c: object, options: dict[str, object]
) -> None:
    try:
        template = LIBRARY.compile(Text(source=source, file="hello.yml"), **options)  # type: ignore[arg-type]
    except UserError:
        return
    agree(template, {"user": {"a": a, "b": b, "c": c}, **FIXED})


@settings(max_examples=some(60), deadline=None)
@given(
    st.lists(pieces, max_size=2).map("".join),
    st.lists(pieces, max_size=2).map("".join),
    values,
    st.sampled_from(OPTIONS),
)
def test_any_layout_renders_equally(beside: str, body: str, a: object, options: dict[str, object]) -> None:
    source = f"{{% layout 'middle' %}}{{% block head %}}{body}{{{{ block.super }}}}{{% endblock %}}{{% block deep %}}{body}{{% endblock %}}"
    try:
        template = LIBRARY.compile(Text(source=source.replace("z %}", "q %}"), file="hello.yml"), **options)  # type: ignore[arg-type]
    except UserError:
        return
    agree(template, {"user": {"a": a, "b": 1, "c": [beside]}, **FIXED})


@settings(max_examples=some(140), deadline=None)
@given(templates, values, values, values, st.sampled_from(OPTIONS))
def test_columns_that_a_template_does_not_name_are_not_needed(
    source: str, a: object, b: object, c: object, options: dict[str, object]
) -> None:
    try:
        template = LIBRARY.compile(Text(source=source, file="hello.yml"), **options)  # type: ignore[arg-type]
    except UserError:
        return
    if template.columns is None or template.columns & {"size", "first", "last"}:
        return
    every = {"a": (a,), "b": (b,), "c": (c,)}
    named = {name: column for name, column in every.items() if name in template.columns}

    def told(columns: Mapping[str, tuple[object]]) -> tuple[object, ...]:
        try:
            return ("text", template.over(columns, FIXED)(0, b"someone", FIXED["url"]))
        except Skip as stop:
            return ("skip", stop.reason)
        except Refusal as stop:
            return ("refusal", stop.reason, stop.problem.message)

    assert told(named) == told(every)
