"""CSV as people's tools write it: what stands in the first line, how cells are parted, and where a file is broken.

DuckDB's sniffer also guesses which line is the header, and which lines are notes: a guess can lose people. Here the
first line names the columns, always; every cell is text, so that 00012 and +61400 stay what they are; an empty one is
null.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from connect.errors import Location, Problem, UserError
from connect.warehouses.duckdb_dialect import literal

_DELIMITERS = (",", ";", "\t", "|")
_STRICTLY = "auto_detect = false, header = true, strict_mode = true, null_padding = false"
_HEADER = 1 << 20
"""Bytes within which a header ends."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Form:
    """How one file is written."""

    encoding: str
    """As DuckDB calls it."""
    codec: str
    """As Python calls it."""
    delimiter: str
    columns: tuple[str, ...]


def selects(files: Mapping[str, Path]) -> list[str]:
    """A query for each file. Raises UserError where a header is none, or where two files have different columns."""
    forms = {name: form_of(name, path) for name, path in files.items()}
    first = next(iter(forms))
    for name, form in forms.items():
        if set(form.columns) != set(forms[first].columns):
            said = f"{name} has other columns than {first}"
            raise _wrong("file-header", said, "files of one audience have the same columns", name, 1)
    return [_select(files[name], form) for name, form in forms.items()]


def _select(path: Path, form: Form) -> str:
    columns = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in form.columns)
    options = {"delim": form.delimiter, "quote": '"', "escape": '"', "encoding": form.encoding}
    written = ", ".join(f"{name} = {literal(value)}" for name, value in options.items())
    read = f"read_csv({literal(str(path))}, columns = {{{columns}}}, {written}, {_STRICTLY})"
    return f"select *{subscribed(form.columns)} from {read}"


def subscribed(columns: Sequence[str]) -> str:
    """How a text says that somebody is subscribed; whatever else it says, or nothing, is opted out."""
    name = next((column for column in columns if column.casefold() == "subscribed"), None)
    if name is None:
        return ""
    quoted = '"' + name.replace('"', '""') + '"'
    return f" replace (coalesce(lower(trim({quoted})) in ('true', 't', 'yes', 'y', '1'), false) as {quoted})"


def form_of(name: str, path: Path) -> Form:
    """How a file is written, by its first line. Raises UserError where that is no header."""
    with _opened(name, path) as file:
        start = file.read(_HEADER)
    encoding, codec = next(((duck, own) for mark, duck, own in _MARKS if start.startswith(mark)), ("utf-8", "utf-8"))
    text = _decoded(name, start, codec)
    delimiter = max(_DELIMITERS, key=lambda one: len(_first(name, text, one)))
    columns = tuple(cell.strip() for cell in _first(name, text, delimiter))
    check_header(name, columns)
    return Form(encoding, codec, delimiter, columns)


def _opened(name: str, path: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        said = f"{name} can not be opened: {error.strerror}"
        raise UserError.of("file-unreadable", said, "see who may read it") from None


def _decoded(name: str, start: bytes, codec: str) -> str:
    try:
        return codecs.getincrementaldecoder(codec)().decode(start)
    except UnicodeDecodeError as error:
        line = start[: error.start].count(b"\n") + 1
    raise _not_unicode(name, line)


def _first(name: str, text: str, delimiter: str) -> list[str]:
    """The cells of the first line."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


_NO_NAME = re.compile(r".*@.*|[\d+().,:/ -]*", re.DOTALL).fullmatch


def check_header(name: str, columns: Sequence[str]) -> None:
    """The first line names columns. It is never quoted: where it is none, it is a person."""
    hint = "the first line must name the columns, such as `id,email,first_name`"
    if not any(columns):
        raise _wrong("file-header", f"{name} has no header", hint, name, 1)
    for number, column in enumerate(columns, 1):
        if _NO_NAME(column):
            said = f"what stands above column {number} of {name} is no name"
            raise _wrong("file-header", said, hint, name, 1)
    folded = [column.casefold() for column in columns]
    for number, column in enumerate(folded):
        if folded.index(column) < number:
            said = f"columns {folded.index(column) + 1} and {number + 1} of {name} have the same name"
            raise _wrong("file-header", said, "rename one of them", name, 1)


def _wrong(code: str, said: str, hint: str, name: str, line: int) -> UserError:
    return UserError(Problem(code, said, hint, Location(name, line, 1)))


def _not_unicode(name: str, line: int) -> UserError:
    hint = "save it as UTF-8: what it is else would be a guess, and names would be spelt wrong"
    return _wrong("not-utf-8", f"{name} is not UTF-8 text, nor UTF-16 that says so", hint, name, line)


# What DuckDB says of a row

_ROW = re.compile(r"CSV Error on Line: (\d+)")
_FILE = re.compile(r"^ *file = (.*)$", re.MULTILINE)
_SAID = (
    ("Expected Number of Columns", "this row has not as many cells as the header", "quote cells that hold a delimiter"),
    ("unterminated quote", "a quote in this row is never closed, or text follows it", 'inside quotes a quote is ""'),
    ("Maximum line size", "this row is longer than 2 MB", "is a quote before it never closed?"),
)


def trouble(words: str, files: Mapping[str, Path]) -> UserError:
    """Where a file is broken, with its line; neither the line itself nor a cell of it."""
    told, row = _FILE.search(words), _ROW.search(words)
    name = next((name for name, path in files.items() if told and str(path) == told[1].strip()), next(iter(files)))
    line = _line(files[name], form_of(name, files[name]), int(row[1])) if row else 1
    if "nicode" in words and "encod" in words:
        return _not_unicode(name, line)
    other = ("", "this file is not CSV to its end", "are its line ends all alike, and all quotes closed?")
    _, said, hint = next((one for one in _SAID if one[0] in words), other)
    return _wrong("file-row", f"{name}: {said}", hint, name, line)


def _line(path: Path, form: Form, row: int) -> int:
    """The line on which a row begins: DuckDB counts rows, of which one may have several lines."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=form.codec, errors="replace", newline="") as text:
        reader = csv.reader(cast(Iterator[str], text), delimiter=form.delimiter)
        before = 0
        for number, _ in enumerate((cells for cells in reader), 1):
            if number >= row:
                break
            before = reader.line_num
    return before + 1
