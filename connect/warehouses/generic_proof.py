"""Whether an engine writes positions, and trims, as Python does: asked with constants, and never with an audience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connect.errors import UserError
from connect.identity import key_text, position
from connect.warehouses.interface import Dialect, Query

_SALT = "salt"
_IDS: Sequence[str | int] = ("1", "00012", "é", "e\u0301", "🤦🏼‍♂️", 'it\'s "so" \\', "日本語", 7, -(2**40))
_TRIMMED = (" a b\t\r\n", "\u00a0é\u3000", "é", " ")
_PHONES = {"+61 (4) 00-1": "+614001", "61 400": "61400"}


def query(dialect: Dialect) -> Query:
    """One row of texts."""
    values: dict[str, object] = {"connect_salt": _SALT}
    cells = []
    for number, identifier in enumerate(_IDS):
        values[f"connect_id_{number}"] = identifier
        cells.append(_position(dialect, dialect.parameter(f"connect_id_{number}")))
    for number, text in enumerate((*_TRIMMED, *_PHONES)):
        values[f"connect_text_{number}"] = text
        written = dialect.trimmed if number < len(_TRIMMED) else dialect.phone_digits
        cells.append(written(dialect.text(dialect.parameter(f"connect_text_{number}"))))
    return Query("select " + ", ".join(f"{cell} as c{number}" for number, cell in enumerate(cells)), values)


def _position(dialect: Dialect, identifier: str) -> str:
    text = dialect.text(identifier)
    key = dialect.joined(dialect.text(dialect.length(text)), "':'", text)
    return dialect.md5(dialect.joined(dialect.text(dialect.parameter("connect_salt")), key))


def wrong(rows: Sequence[Sequence[Any]]) -> str:
    """What differs, in a few words; blank where nothing does."""
    expected = [position(_SALT, key_text([str(one)])) for one in _IDS]
    found = list(rows[0]) if rows else []
    if found[: len(expected)] != expected:
        return "md5, the length of a text, or a cast to text"
    trims = [text.strip() for text in _TRIMMED]
    rest = [cell or "" for cell in found[len(expected) :]]
    if rest[: len(trims)] != trims:
        return "trimming"
    return "" if rest[len(trims) :] == list(_PHONES.values()) else "the digits of a number"


def differs(name: str, engine: str, what: str = "") -> UserError:
    said = f"{what} is not as in Python" if what else "it has not what positions need (md5, trim, regexp_replace)"
    hint = "read this audience from an engine that Connect has an adapter for; see docs/warehouses/sqlalchemy.md"
    return UserError.of("positions-differ", f"`{name}` ({engine}) can not be read from: {said}", hint)
