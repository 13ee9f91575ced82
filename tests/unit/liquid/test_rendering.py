"""What one person's data makes of a template: printed, skipped or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from markupsafe import Markup

from connect.liquid import Refusal, Skip, Template
from connect.vocabulary import Reason

Compile = Callable[..., Template]
Render = Callable[..., str]


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.plna }}",
        "{{ user.plna | upcase }}",
        "{{ user.plna | plus: 1 }}",
        "{{ 1 | plus: user.plna }}",
        "{{ user.plna | size }}",
        "{{ user.plna | join: ',' }}",
        "{{ user.plna.deep }}",
        "{{ user['plna'] }}",
        "{{ user[user.plna] }}",
        "{% for x in user.plna %}{% endfor %}",
        "{% if user.plna == 'pro' %}{% endif %}",
        "{% if user.plan == user.plna %}{% endif %}",
        "{% if user.plna contains 'pro' %}{% endif %}",
        "{% unless user.plna > 3 %}{% endunless %}",
        "{% case user.plna %}{% when 'pro' %}{% endcase %}",
        "{% random user.plna %}",
        "{% assign x = user.plna %}{{ x }}",
        "{% render 'card', x: user.plna %}",
    ],
)
def test_a_name_that_is_not_in_the_data_is_refused_at_its_place(compiled: Compile, source: str) -> None:
    template = compiled(source, files={"card": "{{ x }}"})
    with pytest.raises(Refusal) as refusal:
        template.render({"user": {"plan": "pro"}})
    problem = refusal.value.problem
    assert (refusal.value.reason, problem.code) == (Reason.render_error, "undefined-name")
    assert problem.location is not None
    assert (problem.location.file, problem.location.line) == ("campaigns/hello.yml", 7)
    assert source[problem.location.column - 12 :].startswith("user")


def test_the_nearest_column_is_named(compiled: Compile) -> None:
    with pytest.raises(Refusal, match=r"did you mean `user.first_name`\?"):
        compiled("{{ user.frist_name }}").render({"user": {"first_name": "Ann"}})


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("{{ user.plna | default: 'x' }}", "x"),
        ("{{ user.plna | upcase | fallback: 'x' }}", "x"),
        ("{{ user.plna.deep | default: 'x' }}", "x"),
        ("{% if user.plna %}a{% else %}b{% endif %}", "b"),
        ("{% unless user.plna %}a{% endunless %}", "a"),
        ("{% if user.plna == nil or user.plna == blank %}a{% endif %}", "a"),
        ("{% if user.plan and user.plna %}a{% else %}b{% endif %}", "b"),
        ("{% assign x = user.plna %}{{ x | default: 'x' }}", "x"),
        ("{% render 'card', x: user.plna %}", "x"),
    ],
)
def test_a_name_may_be_absent_where_it_is_defaulted_or_asked_for(rendered: Render, source: str, printed: str) -> None:
    assert rendered(source, user={"plan": "pro"}, files={"card": "{{ x | default: 'x' }}"}) == printed


def test_undefined_blank_prints_nothing(rendered: Render) -> None:
    source = "[{{ user.a }}{{ user.a.b | upcase }}{% for x in user.a %}x{% endfor %}{% if user.a == 1 %}y{% endif %}]"
    assert rendered(source, undefined="blank") == "[]"


@pytest.mark.parametrize("name", ["first_name", "today", "self", "user.size", "user.first", "user.__class__"])
def test_only_the_objects_can_be_named(compiled: Compile, name: str) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled("{{ " + name + " }}").render({"user": {"a": 1}, "first_name": "Ann", "self": 1})
    assert refusal.value.problem.code == "undefined-name"


def test_a_null_prints_nothing(rendered: Render) -> None:
    assert rendered("[{{ user.a }}{{ user.a | upcase }}{{ 'b' | append: user.a }}]", user={"a": None}) == "[b]"


@pytest.mark.parametrize(
    "source",
    [
        "{{ user.a }}",
        "{% echo user.a %}",
        "{{ user.a | upcase }}",
        "{{ 'x' | append: user.a }}",
        "{{ user.all | first }}",
    ],
)
def test_a_printed_null_is_refused_where_the_message_says_so(compiled: Compile, source: str) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled(source, nulls="refuse").render({"user": {"a": None, "all": []}})
    assert (refusal.value.reason, refusal.value.problem.code) == (Reason.null_value, "null-value")


def test_a_defaulted_or_tested_null_is_not_refused(rendered: Render) -> None:
    source = "{{ user.a | upcase | default: 'x' }}{% if user.a %}y{% endif %}{{ user.all | join: ',' }}"
    assert rendered(source, user={"a": None, "all": ["b"]}, nulls="refuse") == "xb"


def test_skip_ends_the_rendering_with_its_reason(compiled: Compile) -> None:
    template = compiled("Hi {% for i in (1..2) %}{% capture x %}{% skip ' sold out ' %}{% endcapture %}{% endfor %}")
    with pytest.raises(Skip) as skip:
        template.render({})
    assert skip.value.reason == "sold out"


def test_skip_works_beside_the_blocks_of_a_layout(compiled: Compile) -> None:
    source = "{% layout 'base' %}{% if user.left == 0 %}{% skip 'sold out' %}{% endif %}"
    source += "{% block a %}{{ user.b }}{% endblock %}"
    template = compiled(source, files={"base": "{% block a %}{% endblock %}"})
    with pytest.raises(Skip):
        template.render({"user": {"left": 0}})


class Row(Mapping[str, object]):
    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Indexed:
    def __getitem__(self, key: str) -> object:
        return {"a": 1}[key]


@pytest.mark.parametrize("user", [{"a": 1}, Row({"a": 1}), Indexed()])
def test_the_user_can_be_anything_that_is_asked_by_key(rendered: Render, user: object) -> None:
    assert rendered("{{ user.a }}{{ user.b | default: 2 }}", user=user) == "12"


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        (1e20, "100000000000000000000"),
        (1.5, "1.5"),
        (True, "true"),
        (datetime(2026, 3, 14, 9, 30, 1, 5), "2026-03-14 09:30:01"),
        (datetime(2026, 3, 14, 9, 30, tzinfo=UTC), "2026-03-14 09:30:00 UTC"),
        (date(2026, 3, 14), "2026-03-14"),
        (["a", 1, None, True], "a1true"),
        ({"a": [1, None, Decimal("1.0")]}, '{"a": [1, null, "1.0"]}'),
    ],
)
def test_values_of_a_warehouse_print_without_python_showing(rendered: Render, value: object, printed: str) -> None:
    assert rendered("{{ user.a }}", user={"a": value}) == printed
    assert rendered("{{ '' | append: user.a }}", user={"a": value}) == printed


@pytest.mark.parametrize("value", [object(), {"a", "b"}, b"bytes", Indexed()])
@pytest.mark.parametrize("source", ["{{ user.a }}", "{{ user.a | upcase }}", "{% cycle user.a %}", "{{ user.list }}"])
def test_what_would_print_differently_each_time_is_refused(compiled: Compile, source: str, value: object) -> None:
    with pytest.raises(Refusal, match=r"can not be (printed|compared)"):
        compiled(source).render({"user": {"a": value, "list": [value]}})


def test_map_takes_a_property_of_each_and_refuses_what_has_none(rendered: Render) -> None:
    assert rendered("{{ user.a | map: 'x' | compact | join }}", user={"a": [{"x": 1}, {}, {"x": 2}]}) == "1 2"
    with pytest.raises(Refusal, match="not every item"):
        rendered("{{ user.a | map: 'x' }}", user={"a": ["text"]})


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("{{ user.a }}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.a | raw }}", '<b>"&'),
        ("{{ user.a | append: '<br>' }}", "&lt;b&gt;&#34;&amp;<br>"),
        ("{{ user.a | prepend: user.a | slice: 0, 3 }}", "&lt;b&gt;"),
        ("{{ user.list | join: '<br>' }}", "&lt;i&gt;<br>x"),
        ("{{ user.list }}", "&lt;i&gt;x"),
        ("{{ user.a | replace: '<b>', '<i>' }}", "&lt;i&gt;&#34;&amp;"),
        ("{{ '<p>%s</p>' | append: '' | raw }}", "<p>%s</p>"),
        ("{{ user.a | format: '<p>%s</p>' }}", "<p>&lt;b&gt;&#34;&amp;</p>"),
        ("{{ 1 | format: '<p>%d</p>' }}", "<p>1</p>"),
        ("{{ user.at | date: '<b>%Y</b>' }}", "<b>2026</b>"),
        ("{{ user.at | date: user.pattern }}", "&lt;b&gt;2026"),
        ("{{ user.a | default: '<br>' }}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.none | default: '<br>' }}", "<br>"),
        ("{% capture x %}{{ user.a }}<br>{% endcapture %}{{ x }}", "&lt;b&gt;&#34;&amp;<br>"),
        ("{% assign x = user.a %}{{ x }}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.a | escape }}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.a | url_encode | url_decode }}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.encoded | base64_decode }}", "&lt;b&gt;"),
        ("{{ url.unsubscribe }}", "<a>u</a>"),
        ("{% cycle user.a %}", "&lt;b&gt;&#34;&amp;"),
        ("{{ user.a | delimiter: '<' | default: 'x' }}", None),
        ("{{ 1234 | delimiter: '<' }}", "1&lt;234"),
    ],
)
def test_html_is_escaped_unless_it_is_the_templates_own(rendered: Render, source: str, html: str | None) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    user = {"a": '<b>"&', "list": ["<i>", "x"], "none": None, "at": at, "pattern": "<b>%Y", "encoded": "PGI+"}
    if html is None:
        with pytest.raises(Refusal):
            rendered(source, user=user, escape=True)
    else:
        assert rendered(source, user=user, escape=True, scope={"url": {"unsubscribe": Markup("<a>u</a>")}}) == html


def test_text_is_not_escaped(rendered: Render) -> None:
    assert rendered("{{ user.a }} {{ user.a | raw }}", user={"a": "<b>&"}) == "<b>& <b>&"


def test_dates_compare_with_dates_and_text_and_nulls(rendered: Render) -> None:
    source = "{% if user.at < now %}a{% endif %}{% if user.day >= '2026-01-01' %}b{% endif %}"
    source += "{% if user.none < now %}c{% endif %}"
    user = {"at": datetime(2026, 1, 1), "day": date(2026, 1, 1), "none": None}
    assert rendered(source, user=user, scope={"now": datetime(2026, 1, 2, tzinfo=UTC)}) == "ab"


def test_values_that_can_not_be_compared_are_refused(compiled: Compile) -> None:
    with pytest.raises(Refusal) as refusal:
        compiled("{% if user.a < 3 %}{% endif %}").render({"user": {"a": "secret"}})
    assert refusal.value.problem.code == "render-error"
    assert "secret" not in str(refusal.value)


def test_random_is_one_persons_own_and_differs_by_place_and_turn(compiled: Compile) -> None:
    template = compiled("{% for i in (1..4) %}{% random 999999 %} {% endfor %}{% random 999999 %}")
    first, again, other = (template.render({}, random_seed=seed) for seed in (b"a", b"a", b"b"))
    assert first == again
    assert first != other
    assert len(set(first.split())) == 5


def test_random_reaches_both_ends_and_nothing_beyond(compiled: Compile) -> None:
    template = compiled("{% random 3 %}")
    assert {template.render({}, random_seed=str(n).encode()) for n in range(100)} == {"0", "1", "2", "3"}


def test_random_does_not_depend_on_the_file_it_is_in(compiled: Compile) -> None:
    one = compiled("{% render 'a' %}", files={"a": "{% random 999999 %}"})
    two = compiled("{% render 'b' %}", files={"b": "{% random 999999 %}"})
    assert one.render({}, random_seed=b"x") == two.render({}, random_seed=b"x")
