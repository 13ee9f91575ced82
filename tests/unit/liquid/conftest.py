"""Short ways to compile and render, for the tests of this folder. Whatever is rendered here is rendered in three ways:
by the compiled template from a scope, by the same over columns, and by the interpreter; they must not differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from connect.liquid import Library, Refusal, Skip, Template
from connect.liquid.wire import WireText
from connect.project.text import Text

Compile = Callable[..., Template]
Render = Callable[..., str]
Outcome = tuple[object, ...]


def outcome(render: Callable[[], str | WireText]) -> Outcome:
    """What comes of a rendering, as something that can be compared."""
    try:
        text = render()
    except Skip as skip:
        return ("skip", skip.reason)
    except Refusal as refusal:
        return ("refusal", refusal.reason, refusal.problem)
    assert type(text) in (str, WireText)
    return ("text", text)


def as_text(wanted: Outcome, found: Outcome) -> Outcome:
    """What was found on the wire as text, which is what was wanted where it has the same octets."""
    if not isinstance(found[1], WireText):
        return found
    wire = found[1]
    text = str(wanted[1]).replace("\r\n", "\n").replace("\r", "\n")
    lines = re.sub("[\ud800-\udfff]", "\ufffd", text)
    data = lines.encode()
    assert (str(wire), wire.lines, wire.data) == (lines, data, data.replace(b"\n", b"\r\n"))
    assert wire.added == len(data) - len(lines)
    known = wire.literals
    assert known.ascii <= lines.isascii() or not wire.values.isascii()
    if known.longest is not None:
        assert max(map(len, data.split(b"\n"))) <= known.longest + len(wire.values)
    controls = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", lines + "")
    if controls and not known.has_controls:
        assert re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", wire.values)
    if "\0" in lines:
        assert known.has_nul or "\0" in wire.values
    return wanted


def outcomes(template: Template, scope: Mapping[str, object], seed: bytes) -> list[Outcome]:
    """By interpreter, by compiled template, and by the same over columns, where the row has columns."""
    found = [
        outcome(lambda: template.interpreted(scope, seed)),
        outcome(lambda: Template.render(template, scope, random_seed=seed)),
    ]
    user = scope.get("user")
    if isinstance(user, dict) and "url" in scope:
        columns = {name: ["not this", value] for name, value in user.items()}
        row = template.over(columns, {name: value for name, value in scope.items() if name not in ("user", "url")})
        found.append(outcome(lambda: row(1, seed, scope["url"])))
        wire = template.wire(columns, {name: value for name, value in scope.items() if name not in ("user", "url")})
        found.append(as_text(found[0], outcome(lambda: wire(1, seed, scope["url"]))))
    return found


class InEveryWay(Template):
    """A template that is rendered in every way there is."""

    def render(self, scope: Mapping[str, object], *, random_seed: bytes = b"") -> str:
        wanted, *others = outcomes(self, {"url": {}, **scope}, random_seed)
        assert others == [wanted] * len(others)
        return super().render(scope, random_seed=random_seed)


@pytest.fixture
def compiled() -> Compile:
    """compiled(source, files={name: source}, escape=…, undefined=…, nulls=…)"""

    def compiled(source: str, files: Mapping[str, str] | None = None, **options: object) -> Template:
        texts = {name: Text(source=text, file=f"templates/{name}") for name, text in (files or {}).items()}
        options = {"escape": False} | options
        text = Text(source=source, file="campaigns/hello.yml", line=7, column=12)
        template = Library(texts).compile(text, **options)  # type: ignore[arg-type]
        template.__class__ = InEveryWay
        return template

    return compiled


@pytest.fixture
def rendered(compiled: Compile) -> Render:
    """rendered(source, user={…}, …): with this person's row."""

    def rendered(
        source: str, *, user: object = None, scope: Mapping[str, object] | None = None, **options: object
    ) -> str:
        return compiled(source, **options).render({"user": user or {}, **(scope or {})}, random_seed=b"someone")

    return rendered
