"""The people whom a call of the API brings: checked, made ready for a query, and in nobody's memory but this one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connect.errors import Problem, UserError
from connect.identity import key_text
from connect.project.audience import Limits
from connect.project.campaign import Campaign, digest
from connect.project.campaigns import Loaded

MOST_COLUMNS = 100
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LARGEST = 2**63
_DEEPEST = 32

People = list[dict[str, Any]]


def people_of(given: Sequence[Mapping[str, Any]], most: int) -> People:
    """The rows of a call. Raises UserError `bad-recipients`, which says which row, and nothing of what is in it."""
    if not 0 < len(given) <= most:
        raise UserError.of("bad-recipients", f"a call brings one recipient at least, and {most:,} at most")
    problems = list(_of_columns(given)) or [problem for row in enumerate(given) for problem in _of_row(*row)]
    if problems:
        raise UserError(*problems[:20])
    return [{name: _cell(value) for name, value in row.items()} for row in given]


def sound(value: object, depth: int = 0) -> bool:
    """Whether a value of JSON can be bound and printed everywhere: no NaN, no NUL, no half of a character, not deep."""
    if depth > _DEEPEST:
        return False
    match value:
        case str():
            return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
        case bool() | None:
            return True
        case int():
            return -_LARGEST <= value < _LARGEST
        case float():
            return math.isfinite(value)
        case list():
            return all(sound(inner, depth + 1) for inner in value)
        case dict():
            return all(sound(key) and sound(inner, depth + 1) for key, inner in value.items())
    return False


def brought(loaded: Loaded, people: People) -> Loaded:
    """The campaign for these people instead of its own. Its segments, key and largest size hold for them too."""
    campaign = loaded.campaign
    if campaign is None:
        return loaded
    audience = campaign.audience.model_copy(
        update={
            **dict.fromkeys(("sql", "csv", "parquet", "sheet")),
            "people": tuple(people),
            "snapshot": False,
            "limits": Limits(max=campaign.audience.limits.max),
        }
    )
    changed: Campaign = campaign.model_copy(update={"audience": audience})
    changed = changed.model_copy(update={"digest": digest(changed)})
    return Loaded(changed, loaded.problems, (), loaded.file, loaded.origins, loaded.places)


def keys_of(people: Sequence[Mapping[str, object]], key: Sequence[str]) -> list[str | None]:
    """The key text of each row, as a warehouse makes it of texts and whole numbers; None where a row has none."""
    named = {name.casefold() for row in people for name in row}
    # As `key_columns` of the warehouse: `email` serves where nobody has an `id`.
    columns = ("email",) if tuple(key) == ("id",) and "id" not in named else key
    return [_key(row, columns) for row in people]


def must_tell_apart(people: Sequence[Mapping[str, object]], key: Sequence[str]) -> None:
    """Raises UserError `bad-recipients` where a key is neither text nor a whole number."""
    columns = {name.casefold() for name in key}
    for number, row in enumerate(people):
        for name, value in row.items():
            if name.casefold() in columns and isinstance(value, bool | float):
                said = f"`recipients/{number}`: what tells people apart is text or a whole number"
                raise UserError.of("bad-recipients", said, f"that is {', '.join(f'`{column}`' for column in key)}")


def _key(row: Mapping[str, object], columns: Sequence[str]) -> str | None:
    folded = {name.casefold(): value for name, value in row.items()}
    values = [folded.get(name.casefold()) for name in columns]
    texts = [str(value) for value in values if value is not None and str(value).strip()]
    if len(texts) < len(columns):
        return None
    return key_text([texts[0].strip().lower()] if list(columns) == ["email"] else texts)


def _of_columns(given: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    names = {name for row in given for name in row}
    if len(names) > MOST_COLUMNS:
        yield _problem(f"recipients have {MOST_COLUMNS} columns at most")
    elif not all(map(_COLUMN.fullmatch, names)):
        yield _problem("a column's name is letters, digits and `_`, 63 at most, and begins with no digit")
    elif len({name.casefold() for name in names}) < len(names):
        yield _problem("two columns have one name but for upper and lower case")
    elif any(name.casefold().startswith("connect_") for name in names):
        yield _problem("no column's name begins with `connect_`")


def _of_row(number: int, row: Mapping[str, Any]) -> Iterator[Problem]:
    if not all(map(sound, row.values())):
        said = f"`recipients/{number}` holds what no text or number can be"
        yield _problem(said, "no NaN, no NUL, no half of a character; whole numbers have 64 bits")


def _problem(said: str, hint: str = "") -> Problem:
    return Problem("bad-recipients", said, hint)


def _cell(value: object) -> object:
    """A value, or a list or an object as JSON, which every engine takes."""
    return json.dumps(value) if isinstance(value, list | dict) else value
