"""`event.*` is the row under another name: the same columns, in every way there is to render."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from connect.errors import UserError
from connect.liquid import Library, Refusal, Template
from connect.liquid.template import Template as Compiled
from connect.project.text import Text
from tests.unit.liquid.conftest import Outcome, outcomes
from tests.unit.liquid.test_compiled import CORPUS, FILES, FIXED, OPTIONS, PEOPLE, pieces

Compile = Callable[..., Template]

EVENTS = Library({name: Text(source=source, file=f"templates/{name}") for name, source in FILES.items()}, events=True)
BOTH = ("event", "user")
OTHERWISE = r"random|raw %|continue|forloop.name|assign user|for event"
"""What the names themselves make different: what is drawn, printed as it is, remembered for a loop, named anew."""


def renamed(source: str, names: tuple[str, ...] = ("event",)) -> str:
    """The template with `event` for `user`, or with both in turn."""
    found = iter(range(source.count("user") + 1))
    return re.sub(r"\buser\b", lambda match: names[next(found) % len(names)], source)


def compiled(source: str, **options: Any) -> Template:
    return EVENTS.compile(Text(source=source, file="hello.yml"), **{"escape": False, **options})


def all_of(template: Template, user: Mapping[str, object], seed: bytes = b"someone") -> Outcome:
    """What comes of it, in every way the same."""
    wanted, *others = outcomes(template, {"user": user, **FIXED}, seed)
    assert others == [wanted] * len(others)
    return wanted


def told(outcome: Outcome) -> Outcome:
    """What comes of it but for the place of what is refused, which the longer name moves."""
    return outcome[:2]


@pytest.mark.parametrize("options", OPTIONS[::3], ids=str)
@pytest.mark.parametrize("source", CORPUS, ids=lambda source: source[:60])
def test_it_says_what_user_says(source: str, options: dict[str, object]) -> None:
    as_user = compiled(source, **options)
    as_event, mixed = compiled(renamed(source), **options), compiled(renamed(source, BOTH), **options)
    for person in PEOPLE:
        found = all_of(as_user, person), all_of(as_event, person), all_of(mixed, person)
        if not re.search(OTHERWISE, source):
            assert told(found[0]) == told(found[1]) == told(found[2])


@given(pieces)
@settings(max_examples=150, deadline=None)
def test_templates_nobody_wrote_agree(source: str) -> None:
    try:
        template = compiled(renamed(source, BOTH))
    except UserError:
        return
    for person in PEOPLE[:3]:
        all_of(template, person)


@pytest.mark.parametrize("source", CORPUS, ids=lambda source: source[:60])
def test_it_compiles_where_user_does(source: str) -> None:
    if not re.search("assign user|for event", source):
        as_user, as_event = compiled(source), compiled(renamed(source))
        assert (as_event.compiled is None) == (as_user.compiled is None)
        assert as_event.columns == as_user.columns


def test_both_names_read_one_column_and_build_no_row() -> None:
    template = compiled("{{ event.page }} {{ user.page }} {{ user.name }}")
    assert template.columns == {"page", "name"}
    assert template.compiled is not None
    assert sorted(template.compiled.columns) == ["name", "page"]
    assert template.compiled.objects == ()
    assert "user_at(" not in template.compiled.source


def test_the_whole_row_is_built_once_for_both() -> None:
    template = compiled("{{ event }}{{ user }}")
    assert template.compiled is not None
    assert template.compiled.source.count("user_at(") == 1
    assert template.over({"page": ["/", "/pricing"]}, {})(1, b"", {}) == '{"page": "/pricing"}' * 2


def test_nothing_else_can_be_the_event() -> None:
    scope = {"user": {"page": "/pricing"}, "event": {"page": "another"}}
    for source in ("{{ event.page }}", "{{ event['page'] }}{% if event == user %}{% endif %}"):
        assert compiled(source).render(scope) == "/pricing"
    assert compiled("{{ event.page | default: 'none' }}").render({"event": {"page": "another"}}) == "none"


def test_what_it_lacks_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refusal, match=r"`event.pgae` is not in the data(.|\n)*did you mean `event.page`\?"):
        compiled("{{ event.pgae }}").over({"page": ["/"]}, {})(0, b"", {})


def test_elsewhere_the_event_is_not_the_row(compiled: Compile) -> None:
    assert compiled("{{ event.page | default: 'none' }}").render({"user": {"page": "/pricing"}}) == "none"


def test_a_library_of_events_is_made_once() -> None:
    library = Library({})
    assert library.of_events is library.of_events
    assert library.of_events.of_events is library.of_events
    assert isinstance(library.of_events.compile(Text(source="{{ event.x }}"), escape=False), Compiled)
