"""Secrets stand outside the files: `${NAME}`, `${file:path}` and `${keyring:service/name}` in connect.yml."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from connect.project.nodes import Block, Items, Node, Scalar
from connect.project.reading import Reading
from connect.project.vault import FORMS, MALFORMED, REFERENCE, Vault

_URL_PASSWORD = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_URL_KEYS = frozenset({"url", "state"})


def read_dotenv(root: Path, reading: Reading) -> dict[str, str]:
    """The `.env` beside connect.yml: `NAME=value` lines; quotes, `export` and comments as usual."""
    path = root / ".env"
    found: dict[str, str] = {}
    lines = path.read_text("utf-8-sig").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*", line)
        if parts:
            found[parts[1]] = _unquoted(parts[2])
        else:  # the line is not shown: it may hold a secret
            reading.report("env-syntax", f"line {number} of .env is not NAME=value", "see `.env` beside connect.yml")
    return found


def _unquoted(value: str) -> str:
    if quoted := re.match(r"""(["'])(.*?)\1(?:\s+#.*)?$""", value):
        return quoted[2]
    return re.sub(r"\s+#.*$", "", value)


class References:
    """Puts the values of references in. What is missing is reported at its place."""

    def __init__(self, vault: Vault, reading: Reading) -> None:
        self.vault, self.reading = vault, reading
        self.values: set[str] = set()
        """Every secret that was put in, as it is and as it stands in a URL."""

    def put_in(self, node: Node, key: str = "") -> Node:
        """The tree with every reference replaced; URL-quoted where it is a part of a URL."""
        if isinstance(node, Block):
            made = node.like()
            for name, inner in node.items():
                made.put(name, self.put_in(inner, name), node.key_places.get(name))
            return made
        if isinstance(node, Items):
            items = Items(node.place)
            items.extend(self.put_in(inner, key) for inner in node)
            return items
        return self._scalar(node, key) if "${" in node else node

    def _scalar(self, node: Scalar, key: str) -> Scalar:
        if wrong := MALFORMED.search(REFERENCE.sub("", node)):
            said = f"`{wrong[0]}` is not a reference"
            self.reading.report("bad-reference", said, f"write {FORMS}", node=node)
        names = REFERENCE.findall(node)
        found = {name: self._value(name, node) for name in names}
        values = {name: value for name, value in found.items() if value is not None}
        if len(values) < len(found) or wrong:
            node.unresolved = True
            return node
        quoted = key in _URL_KEYS and not REFERENCE.fullmatch(node)
        self.values.update(values.values(), (quote(value, safe="") for value in values.values()))
        put = {name: quote(value, safe="") if quoted else value for name, value in values.items()}
        return node.resolved(REFERENCE.sub(lambda match: put[match[1]], node)) if names else node

    def _value(self, name: str, node: Scalar) -> str | None:
        value = self.vault.value(name)
        if value is None:
            self.reading.report("missing-secret", *self.vault.missing(name), node=node)
        return value


def check_literals(node: Node, reading: Reading, key: str = "") -> None:
    """Report secrets that stand in the file itself. Their lines are never shown."""
    if isinstance(node, Block):
        for name, inner in node.items():
            check_literals(inner, reading, name)
    elif isinstance(node, Items):
        for inner in node:
            check_literals(inner, reading, key)
    else:
        without = REFERENCE.sub("", node)
        if _URL_PASSWORD.search(without):
            report_literal(node, "a password in a URL", reading)
        elif key.lower() == "authorization" and not REFERENCE.search(node) and not node.is_null:
            report_literal(node, "an Authorization header", reading)


def report_literal(node: Node, what: str, reading: Reading) -> None:
    place = replace(node.place, text="") if node.place else None
    reading.report("literal-secret", f"{what} is written literally", f"refer to it: {FORMS}", place=place)


def check_no_references(node: Node, reading: Reading) -> None:
    """Campaigns take `${` as text, so a reference in what they inherit would go out as it stands."""
    if isinstance(node, Scalar):
        if found := REFERENCE.search(node):
            said = f"`{found[0]}` is not read under `defaults`"
            reading.report("reference-in-content", said, "write it out; a target can override it", node=node)
        return
    for inner in node.values() if isinstance(node, Block) else node:
        check_no_references(inner, reading)
