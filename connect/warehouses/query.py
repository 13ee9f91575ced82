"""The user's SQL: parsed to be one SELECT, checked, and its `:name` parameters bound. The text stays as it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from connect.errors import Location, Problem, Severity
from connect.project.text import Text
from connect.warehouses import traps, window
from connect.warehouses.interface import Dialect, Query

# It logs what it only understands in part, with the SQL; that it is no SELECT is said by `check`.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

KNOWN = ("fire_date", "fire_time")
"""What every query may bind, beside the campaign's own `params`."""

_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Command,
    exp.Into,
    exp.Copy,
    exp.Set,
    exp.Lock,
    exp.TruncateTable,
)

_VOLATILE_WORDS = {"current_date", "current_time", "current_timestamp", "current_datetime", "current_localtime"}
_VOLATILE_WORDS |= {"current_localtimestamp", "localtime", "localtimestamp", "sysdate", "systimestamp"}
"""Volatile without parentheses too."""

_RANDOM = {"random", "rand", "randn", "randstr", "uniform", "uuid", "gen_random_uuid", "generate_uuid", "uuid_string"}
_RANDOM |= {"newid", "uuidv4", "uuidv7", "generateuuidv4", "setseed", "nextval", "currval", "txid_current"}

_CLOCKS = {"now", "today", "getdate", "getutcdate", "sysdatetime", "sysutcdatetime", "curdate", "curtime", "utc_date"}
_CLOCKS |= {"utc_time", "utc_timestamp", "unix_timestamp", "transaction_timestamp", "statement_timestamp"}
_CLOCKS |= {"clock_timestamp", "timeofday", "get_current_timestamp", "get_current_time"}

_VOLATILE_CALLS = _VOLATILE_WORDS | _RANDOM | _CLOCKS


def check(
    sql: Text, *, dialect: str, parameters: Collection[str] | None, clock_warehouse: bool, events: bool = False
) -> list[Problem]:
    """What is wrong with a query: not one SELECT, unknown or unused parameters, volatile functions, a bad window.

    `dialect` is sqlglot's name of the engine; `parameters` are the names of the campaign's `params`, and None where
    they are not known, so that parameters are not judged. `events`: it is an event trigger's, which has a window.
    """
    try:
        tokens = sqlglot.tokenize(sql.source, read=dialect)
        statements = _statements(_plain(sql.source, tokens), dialect)
    except TokenError as error:
        return [_unreadable(sql, error)]
    except ParseError as error:
        return [_unparsed(sql, error)]
    problems = list(_shape(sql, tokens, statements))
    if not problems:
        problems = [] if parameters is None else list(_parameters(sql, tokens, parameters, events))
        problems += traps.problems(sql, tokens, statements[0], _places(sql.source, tokens), dialect)
        if events and not any(problem.code == "unknown-parameter" for problem in problems):
            problems += window.problems(sql, statements[0], _places(sql.source, tokens), dialect)
        if not clock_warehouse:
            problems += _volatile(sql, tokens, statements[0])
    return problems


def parsed(sql: Text, dialect: str) -> exp.Query | None:
    """The one SELECT, whose `:name` parameters are columns named `_name`; None for anything else.

    Raises sqlglot's errors where the text can not be read.
    """
    statements = _statements(_plain(sql.source, sqlglot.tokenize(sql.source, read=dialect)), dialect)
    return statements[0] if len(statements) == 1 and isinstance(statements[0], exp.Query) else None


def bind(sql: Text, dialect: Dialect) -> str:
    """The query with `:name` written as the dialect binds it and without its last `;`; else as the user wrote it."""
    text = sql.source
    for start, end, written in reversed(_edits(sql, dialect)):
        text = text[:start] + written + text[end:]
    return text


def place_of(sql: Text, dialect: Dialect, offset: int) -> Location:
    """The place in the user's file of a place in the text that `bind` made."""
    for start, end, written in _edits(sql, dialect):
        if offset < start + len(written):
            return sql.at(min(offset, start))
        offset += end - start - len(written)
    return sql.at(min(offset, len(sql.source)))


def _edits(sql: Text, dialect: Dialect) -> list[tuple[int, int, str]]:
    """(from, to, what stands there instead), in order."""
    tokens = sqlglot.tokenize(sql.source, read=dialect.sqlglot)
    edits = [(marker.start, marker.end, dialect.parameter(marker.name)) for marker in _markers(sql.source, tokens)]
    return sorted([*edits, *((token.start, token.end + 1, "") for token in _closing(tokens))])


def bound(sql: Text, dialect: Dialect, values: Mapping[str, object]) -> Query:
    """The query, ready to run: bound, with the values of the parameters that it uses and no others."""
    names = used(sql, dialect.sqlglot)
    return Query(bind(sql, dialect), {name: value for name, value in values.items() if name in names})


def used(sql: Text, dialect: str) -> set[str]:
    """The names of the parameters in a query."""
    return {marker.name for marker in _markers(sql.source, sqlglot.tokenize(sql.source, read=dialect))}


def people(rows: Sequence[Mapping[str, object]], dialect: Dialect) -> Query:
    """A literal list as a query: every cell a bound parameter, missing cells null, mixed types as text."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    mixed = {name for name in columns if _is_mixed([row.get(name) for row in rows])}
    # A null has no type by itself, and a union of two nulls is text: it borrows that of the column's first value.
    typed = {
        name: f"connect_cell_{number}_{place}"
        for place, name in enumerate(columns)
        for number, row in reversed(list(enumerate(rows)))
        if row.get(name) is not None
    }
    parameters: dict[str, object] = {}
    listed: list[list[str]] = []
    for number, row in enumerate(rows):
        cells = []
        for place, name in enumerate(columns):
            parameter = f"connect_cell_{number}_{place}"
            value = _as_text(row.get(name)) if name in mixed else row.get(name)
            if value is None and name in typed:
                cell = f"case when 1 = 0 then {dialect.parameter(typed[name])} end"
            else:
                parameters[parameter], cell = value, dialect.parameter(parameter)
            cells.append(cell)
        listed.append(cells)
    if not columns:
        return Query("select null as id where 1 = 0", {})
    return Query(dialect.listed([dialect.quote(name) for name in columns], listed), parameters)


def _is_mixed(values: Sequence[object]) -> bool:
    return len({type(value) for value in values if value is not None}) > 1


def _as_text(value: object) -> object:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(source: str, tokens: Sequence[Token]) -> str:
    """The text with every `:name` as a name of the same length: sqlglot takes `select :name` for an alias."""
    letters = list(source)
    for marker in _markers(source, tokens):
        letters[marker.start] = "_"
    return "".join(letters)


def _statements(source: str, dialect: str) -> list[exp.Expr]:
    """The statements of a text; `select 1; -- done` parses as two, of which the second is only a comment."""
    parsed = sqlglot.parse(source, read=dialect)
    return [statement for statement in parsed if statement is not None and not isinstance(statement, exp.Semicolon)]


# What sqlglot says, in our words


def _unreadable(sql: Text, error: TokenError) -> Problem:
    """A quote or comment that is never closed: sqlglot tells where a quote stands in the text of the cause only."""
    found = re.search(r"Missing .* from \d+:(\d+)", str(error.__cause__))
    offset = int(found[1]) if found else max(0, sql.source.rfind("/*"))
    return Problem("sql-syntax", "a quote or a comment in this query is never closed", "close it", sql.at(offset))


def _unparsed(sql: Text, error: ParseError) -> Problem:
    first = error.errors[0] if error.errors else {}
    near = str(first.get("highlight") or "")
    line, column = int(first.get("line") or 1), max(1, int(first.get("col") or 1) - len(near) + 1)
    written = (sql.source.splitlines() or [""])[line - 1][column - 1 :][: len(near)]
    message = f"this SQL can not be read at `{written}`" if written else "this SQL can not be read"
    hint = "if the warehouse does accept it, put this part into a view"
    return Problem("sql-syntax", message, hint, sql.location(line, column))


def _shape(sql: Text, tokens: Sequence[Token], statements: Sequence[exp.Expr]) -> Iterator[Problem]:
    """Problems that make a text something else than one SELECT."""
    if len(statements) > 1:
        message = f"there are {len(statements)} statements; an audience is one SELECT"
        yield Problem("several-statements", message, "keep the SELECT", sql.at(_second(tokens)))
    elif not statements or not isinstance(statements[0], exp.Query):
        place = sql.at(tokens[0].start if tokens else 0)
        hint = "write a query that begins with `select` or `with`"
        yield Problem("not-a-select", "this is not a SELECT", hint, place)
    else:
        written = next((node for node in statements[0].walk() if isinstance(node, _WRITES)), None)
        if written is not None:
            word = _WORDS.get(type(written), type(written).__name__.upper())
            hint = "an audience only reads; change data in a job of its own"
            place = sql.at(_place_of_word(tokens, word))
            yield Problem("sql-writes", f"this query would write or lock: `{word}`", hint, place)


_WORDS: dict[type[exp.Expr], str] = {exp.Lock: "FOR", exp.TruncateTable: "TRUNCATE"}


def _second(tokens: Sequence[Token]) -> int:
    """Where the second statement begins."""
    ended = False
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            ended = True
        elif ended:
            return int(token.start)
    return 0


def _place_of_word(tokens: Sequence[Token], word: str) -> int:
    return next((int(token.start) for token in tokens if token.text.upper().split(" ")[0] == word), 0)


# Parameters


@dataclass(frozen=True, slots=True)
class _Marker:
    name: str
    start: int
    end: int


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERANDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.R_PAREN}
_OPERANDS |= {TokenType.R_BRACKET, TokenType.R_BRACE}
_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_ENDING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}


def _markers(source: str, tokens: Sequence[Token]) -> Iterator[_Marker]:
    """Every `:name` that is a parameter, and not a slice, a JSON path, a struct's field or a prefix alias.

    After an operand a colon belongs to it (`items[1:n]`, `{'a':b}`, `payload:field`); after anything else no
    grammar has one, so that it must be a parameter. A `[` that follows an operand opens a subscript (`items[:n]`).
    """
    brackets: list[tuple[TokenType, bool]] = []
    before: Token | None = None
    for token in tokens:
        after_operand = before is not None and before.token_type in _OPERANDS
        if token.token_type in _OPENING:
            brackets.append((token.token_type, after_operand))
        elif token.token_type in _ENDING and brackets:
            brackets.pop()
        elif token.token_type is TokenType.COLON:
            name = _NAME.match(source, token.end + 1)
            if name and not _belongs(token, before, brackets):
                yield _Marker(name[0], token.start, name.end())
        before = token


def _belongs(colon: Token, before: Token | None, brackets: Sequence[tuple[TokenType, bool]]) -> bool:
    """Whether a colon belongs to what stands before it."""
    inside, subscript = brackets[-1] if brackets else (None, False)
    if before is None:
        return False
    if before.token_type in _OPERANDS:
        return before.end + 1 == colon.start or inside in (TokenType.L_BRACKET, TokenType.L_BRACE)
    return before.token_type is TokenType.L_BRACKET and subscript


def _closing(tokens: Sequence[Token]) -> list[Token]:
    """The semicolons at the end."""
    closing: list[Token] = []
    for token in reversed(tokens):
        if token.token_type is not TokenType.SEMICOLON:
            break
        closing.append(token)
    return closing


def _places(source: str, tokens: Sequence[Token]) -> dict[str, list[int]]:
    """Parameter → where it stands."""
    found: dict[str, list[int]] = {}
    for marker in _markers(source, tokens):
        found.setdefault(marker.name, []).append(marker.start)
    return found


def _parameters(sql: Text, tokens: Sequence[Token], parameters: Collection[str], events: bool) -> Iterator[Problem]:
    own = (*KNOWN, *window.NAMES) if events else KNOWN
    known = sorted({*own, *parameters})
    found = list(_markers(sql.source, tokens))
    for marker in found:
        if marker.name in window.NAMES and marker.name not in known:
            yield _windowless(sql, marker)
        elif marker.name not in known:
            yield _unknown(sql, f":{marker.name}", marker.name, marker.start, known)
    for token in _foreign(sql.source, tokens):
        match = _NAME.match(sql.source, token.end + 1)
        name = match[0] if match else ""
        yield _unknown(sql, sql.source[token.start] + name, name, token.start, known)
    for name in sorted(set(parameters) - set(own) - {marker.name for marker in found}):
        message = f"the parameter `{name}` is never used in this query"
        yield Problem("unused-parameter", message, f"write `:{name}` or remove it", sql.at(0), Severity.warning)


def _foreign(source: str, tokens: Sequence[Token]) -> Iterator[Token]:
    """`$name` and `?`, which are markers of other tools."""
    for token in tokens:
        if token.token_type in (TokenType.PARAMETER, TokenType.PLACEHOLDER) and source[token.start] in "$?":
            yield token


def _windowless(sql: Text, marker: _Marker) -> Problem:
    hint = "only an event trigger has a window of time: `trigger: {type: event, every: 5m}`"
    return Problem("unknown-parameter", f"there is no parameter `:{marker.name}` here", hint, sql.at(marker.start))


def _unknown(sql: Text, written: str, name: str, offset: int, known: Sequence[str]) -> Problem:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean `:{near[0]}`?" if near else "there are: " + ", ".join(f"`:{one}`" for one in known)
    return Problem("unknown-parameter", f"there is no parameter `{written}`", hint, sql.at(offset))


# Functions that give another answer on the next read


def _volatile(sql: Text, tokens: Sequence[Token], statement: exp.Expr) -> Iterator[Problem]:
    for place, token in enumerate(tokens):
        name = token.text.lower()
        if name in _VOLATILE_CALLS and _is_call(sql.source, tokens, place, name):
            yield _changes(sql, f"`{name}`", token.start, _instead(name))
    if any(isinstance(node, exp.Anonymous) and _is_age_of_today(node) for node in statement.walk()):
        yield _changes(sql, "`age` of one date", _place_of_word(tokens, "AGE"), "write `age(:fire_time, …)`")
    if any(isinstance(node, exp.TableSample) for node in statement.walk()):
        offset = _place_of_word(tokens, "TABLESAMPLE") or _place_of_word(tokens, "USING")
        yield _changes(sql, "a sample", offset, "filter on a column instead")


def _is_age_of_today(call: exp.Anonymous) -> bool:
    return call.name.lower() == "age" and len(call.expressions) == 1


def _is_call(source: str, tokens: Sequence[Token], place: int, name: str) -> bool:
    """Whether this word calls the function: not a quoted name, a column of a table, or an alias."""
    token = tokens[place]
    before = tokens[place - 1].token_type if place else None
    after = tokens[place + 1].token_type if place + 1 < len(tokens) else None
    if not source[token.start].isalpha() or before in (TokenType.DOT, TokenType.ALIAS, TokenType.COLON):
        return False
    return name in _VOLATILE_WORDS or after is TokenType.L_PAREN


def _instead(name: str) -> str:
    if name in _RANDOM:
        return "filter or order by a column instead"
    return "write `:fire_date`" if "date" in name or name == "today" else "write `:fire_time`"


def _changes(sql: Text, what: str, offset: int, instead: str) -> Problem:
    message = f"{what} gives another answer on every read, and a run reads its audience more than once"
    hint = f"{instead}, or set `clock: warehouse` if it is meant"
    return Problem("volatile-function", message, hint, sql.at(offset))
