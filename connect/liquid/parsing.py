"""From text to parse tree, with everything that is wrong in it at once, at its place in the user's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from liquid import Node, Token
from liquid.exceptions import LiquidError
from liquid.token import TOKEN_TAG

from connect.errors import Problem
from connect.liquid.environment import Environment, registered_blocks
from connect.liquid.limits import TEMPLATE_CHARACTERS
from connect.liquid.source import Source, place
from connect.project.text import Text

_INNER = {
    "else": ("if", "unless", "case", "for"),
    "elsif": ("if", "unless"),
    "when": ("case",),
    "break": ("for", "tablerow"),
    "continue": ("for", "tablerow"),
}
_LATER = {
    "feed": "feeds",
    "fetch_json": "feeds",
    "fetch_html": "feeds",
    "translate": "translations",
}
_INSTEAD = {
    "include": "use {% render %}: it sees user, event and the other objects, and the values that you pass",
    "extends": 'use {% layout "name" %}',
    "halt": 'use {% skip "reason" %}',
    "abort": 'use {% skip "reason" %}',
}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word; empty when nothing is near."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def not_yet_supported(what: str, feature: str, token: Token) -> Problem:
    return Problem("not-yet-supported", f"{what}: {feature} are not supported by this version", "", place(token))


def parse(environment: Environment, text: Text) -> tuple[list[Node], list[Problem]]:
    """The parse tree of a text and its problems; the tree is only whole when there are none."""
    if len(text.source) > TEMPLATE_CHARACTERS:
        return [], [Problem("template-too-large", "the template is longer than 1 MB", "", text.at(0))]
    source = Source.of(text)
    tokens: list[Token] = []
    try:
        for token in environment.tokenizer()(source):
            tokens.append(token)
    except LiquidError as error:
        return [], [*_Structure(environment, tokens).unknown, _problem(error, text)]
    structure = _Structure(environment, tokens)
    if structure.broken:
        return [], structure.unknown + structure.broken
    return _parse(environment, source, structure)


def _parse(environment: Environment, source: Source, structure: _Structure) -> tuple[list[Node], list[Problem]]:
    try:
        nodes, errors = environment.parse_all(source)
    except (LiquidError, RecursionError) as error:
        return [], [*structure.unknown, _problem(error, source.text)]
    fresh = [error for error in errors if not structure.has_judged(error)]
    return nodes, [*structure.unknown, *(_problem(error, source.text) for error in fresh)]


def _unexpected_tag(error: LiquidError) -> bool:
    return str(error.message).startswith("unexpected tag")


def _problem(error: Exception, text: Text) -> Problem:
    """python-liquid's messages at parse time tell of the template alone, so they may be shown."""
    if not isinstance(error, LiquidError):
        return Problem("liquid-syntax", "the template is nested too deeply", "", text.at(0))
    if error.token is not None and _unexpected_tag(error):
        return unknown_tag(error.token, ())
    message = str(error.message)
    return Problem("liquid-syntax", message[:1].lower() + message[1:], "", place(error.token) or text.at(0))


def unknown_tag(token: Token, known: Iterable[str]) -> Problem:
    name = token.value
    if name in _LATER:
        return not_yet_supported(f"the tag `{name}`", _LATER[name], token)
    hint = _INSTEAD.get(name) or nearest(name, known)
    return Problem("unknown-tag", f"there is no tag `{name}`", hint, place(token))


class _Structure:
    """Which tags are unknown, never closed, or where they can not be: asked before parsing, for the better place."""

    def __init__(self, environment: Environment, tokens: Sequence[Token]) -> None:
        self.unknown: list[Problem] = []
        self.broken: list[Problem] = []
        self._ends = dict(registered_blocks(environment))
        self._tags = {*environment.tags, *_INNER} - {"illegal", "output", "content"}
        self._open: list[Token] = []
        self._judged = {token.start_index for token in tokens if token.kind == TOKEN_TAG}
        for token in tokens:
            if token.kind == TOKEN_TAG:
                self._see(token)
        self.broken += [self._never_closed(token) for token in self._open]

    def has_judged(self, error: LiquidError) -> bool:
        """Whether this is about a tag that was looked at here: all but those within {% liquid %}."""
        return _unexpected_tag(error) and error.token is not None and error.token.start_index in self._judged

    def _see(self, token: Token) -> None:
        name = token.value
        if name in self._ends:
            self._open.append(token)
        elif name in self._ends.values():
            self._close(token)
        elif name in _INNER:
            self._inner(token)
        elif name == "raw":  # python-liquid's lexer takes the whole of a raw block that is closed
            self.broken.append(self._never_closed(token))
        elif name not in self._tags and not self._ends_unknown(name):
            self.unknown.append(unknown_tag(token, self._tags))

    def _ends_unknown(self, name: str) -> bool:
        """The end of a tag that is unknown itself is not worth a second report."""
        return name.startswith("end") and any(f"`{name[3:]}`" in problem.message for problem in self.unknown)

    def _close(self, token: Token) -> None:
        if self._open and self._ends[self._open[-1].value] == token.value:
            self._open.pop()
        elif any(self._ends[opened.value] == token.value for opened in self._open):
            while self._ends[self._open[-1].value] != token.value:
                self.broken.append(self._never_closed(self._open.pop()))
            self._open.pop()
        else:
            self.broken.append(Problem("liquid-syntax", f"`{token.value}` closes nothing", "", place(token)))

    def _inner(self, token: Token) -> None:
        around = _INNER[token.value]
        near = self._open if token.value in ("break", "continue") else self._open[-1:]
        if not any(opened.value in around for opened in near):
            places = " or ".join(f"`{name}`" for name in around)
            self.broken.append(Problem("liquid-syntax", f"`{token.value}` stands outside {places}", "", place(token)))

    def _never_closed(self, token: Token) -> Problem:
        end = self._ends.get(token.value, f"end{token.value}")
        return Problem("liquid-syntax", f"`{token.value}` is never closed", f"add {{% {end} %}}", place(token))
