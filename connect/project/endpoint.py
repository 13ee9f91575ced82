"""Where an HTTP content goes: what can be known to be wrong with its URL and its headers as they stand in the file."""

from __future__ import annotations

import re
from dataclasses import replace

from connect.project.nodes import Block, Node, Scalar
from connect.project.reading import Reading
from connect.project.vault import FORMS, REFERENCE

_LIQUID = re.compile(r"\{[{%]")
_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_BEGINNING = re.compile(r"https?://", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/?#@\s]*@")
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key"})


def check_url(node: Scalar | None, name: str, reading: Reading) -> None:
    """Report a URL that is none, or that holds a secret: nobody but its account's settings may."""
    if node is None or node.unresolved:
        return
    if found := REFERENCE.search(node):
        said = f"`{found[0]}` is not read in the `{name}` of a content"
        hint = "give the account its endpoint in connect.yml, where references are read, and leave it out here"
        reading.report("reference-in-content", said, hint, node=node)
        return
    literal, liquid = _parted(node.strip())
    if _PASSWORD.search(literal):
        _report_secret(node, "a password in a URL", "put it into an `Authorization` header: `Basic ${NAME}`", reading)
    elif not (_BEGINNING.match(literal) if liquid and literal else liquid or _URL.fullmatch(literal)):
        reading.report("bad-url", f"`{name}` is not a URL", "it begins with https:// (or http://)", node=node)


def _parted(text: str) -> tuple[str, bool]:
    """What stands before the first Liquid, and whether there is any."""
    found = _LIQUID.search(text)
    return (text[: found.start()], True) if found else (text, False)


def check_headers(node: Node | None, reading: Reading) -> None:
    """Report credentials that are written out, and names that differ only in their case."""
    seen: dict[str, str] = {}
    for name, value in node.items() if isinstance(node, Block) else ():
        lowered = name.lower()
        if lowered in seen:
            said = f"the headers `{seen[lowered]}` and `{name}` are the same"
            assert isinstance(node, Block)
            reading.report("bad-header", said, "their names differ in case only", place=node.key_places.get(name))
        seen.setdefault(lowered, name)
        if lowered in _CREDENTIALS and isinstance(value, Scalar) and _is_literal(value):
            _report_secret(value, f"the header `{name}`", f"refer to it: {FORMS}", reading)


def _is_literal(value: Scalar) -> bool:
    return not (value.is_null or REFERENCE.search(value) or _LIQUID.search(value))


def _report_secret(node: Scalar, what: str, hint: str, reading: Reading) -> None:
    place = replace(node.place, text="") if node.place else None
    reading.report("literal-secret", f"{what} is written literally", hint, place=place)
