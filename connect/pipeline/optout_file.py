"""A CSV file of opt-outs: every row looked at before any is written, and no cell repeated in what is said of it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from connect.errors import Location, OutsideError, Problem, UserError
from connect.pipeline.subscriptions import Change, unheard
from connect.vocabulary import Channel, SubscriptionStatus

COLUMNS = ("id", "address", "channel", "topic", "status", "at")
_MOST_SHOWN = 20
_EARLIEST = 1970
_AHEAD = timedelta(hours=1)
"""How far a clock that wrote the file may be ahead of ours."""


@dataclass(frozen=True)
class OptOutFile:
    """A file, and what its cells are read with."""

    path: Path
    zone: str
    """Of times without an offset."""
    now: datetime
    at: datetime | None = None
    """When rows without a time were said."""
    subscribed_values: tuple[str, ...] = ("subscribed",)

    def check(self) -> Counter[SubscriptionStatus]:
        """How many rows say what. Raises UserError with the first problems, each with its line and column."""
        counts: Counter[SubscriptionStatus] = Counter()
        problems: list[Problem] = []
        wrong = 0
        for found in self._read():
            if isinstance(found, Change):
                counts[found.status] += 1
            else:
                wrong += 1
                problems += found[: max(0, _MOST_SHOWN - len(problems))]
        if wrong:
            raise UserError(*problems, *self._more(wrong, problems))
        if not counts:
            raise self._refused(1, "there is no row in it", "each row is an opt-out, below a line of names")
        return counts

    def changes(self) -> Iterator[Change]:
        """Each row, in order. Raises UserError where the file is no more what was checked."""
        for found in self._read():
            if not isinstance(found, Change):
                raise UserError(*found)
            yield found

    def _more(self, wrong: int, problems: list[Problem]) -> list[Problem]:
        lines = {problem.location.line for problem in problems if problem.location}
        if len(lines) >= wrong:
            return []
        return [Problem("bad-opt-out", f"{wrong - len(lines):,} more rows of {self.path} are wrong")]

    def _read(self) -> Iterator[Change | list[Problem]]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                lines = _Lines(file)
                yield from self._rows(lines, csv.reader(lines, strict=True))
        except OSError as error:
            raise OutsideError.of("missing-file", f"{self.path} can not be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError.of("not-utf-8", f"{self.path} is not UTF-8 text", "save it as UTF-8") from None

    def _rows(self, lines: _Lines, reader: Iterator[list[str]]) -> Iterator[Change | list[Problem]]:
        try:
            header = self._header(next(reader, []))
            lines.taken()
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield self._change(_Row(self.path, header, cells, lines.taken()))
                else:
                    lines.taken()
        except csv.Error:
            raise self._refused(lines.number, "this line is no CSV", "is a quote left open?") from None

    def _header(self, cells: list[str]) -> list[str]:
        """The names of the columns. A file without them begins with somebody's data, which is not repeated."""
        names = [cell.strip().lower() for cell in cells]
        hint = f"the first line names the columns: any of {', '.join(COLUMNS)}, separated by commas"
        for number, name in enumerate(names, 1):
            if name not in COLUMNS:
                raise self._refused(1, f"column {number} is none of those of an opt-out", hint)
            if name in names[: number - 1]:
                raise self._refused(1, f"there are two columns `{name}`", hint)
        if not {"id", "address"} & set(names):
            raise self._refused(1, "there is neither a column `id` nor a column `address`", hint)
        if "at" not in names and self.at is None:
            hint = "add it, or say with `--at` when it was: of several rows about the same, the latest decides"
            raise self._refused(1, "there is no column `at`", hint)
        return names

    def _change(self, row: _Row) -> Change | list[Problem]:
        if len(row.cells) != len(row.header):
            said = f"this line has {len(row.cells)} columns, and the first has {len(row.header)}"
            return [row.problem(said, "put a cell that has a comma in it into quotes", None)]
        at, status = self._at(row), self._status(row.cell("status"))
        channel = row.cell("channel").lower()
        wrong = [at] if isinstance(at, Problem) else []
        if status is None:
            hint = f"one of {', '.join(SubscriptionStatus)}; blank is unsubscribed"
            wrong.append(row.problem("this is no status", hint, "status"))
        if channel not in ("", *Channel):
            wrong.append(row.problem("this is no channel", f"one of {', '.join(Channel)}; blank is all", "channel"))
        if wrong or status is None or not isinstance(at, datetime):
            return wrong
        change = Change(
            status,
            at,
            "import",
            row.cell("id") or None,
            row.cell("address") or None,
            Channel(channel) if channel else None,
            row.cell("topic") or None,
        )
        if said := unheard(change):
            hint = "give an id, an e-mail address, or a phone number such as +61412345678"
            return [row.problem(f"no run would find this: {said}", hint, "address" if change.address else None)]
        return change

    def _status(self, text: str) -> SubscriptionStatus | None:
        """None where it is no status; blank is opted out, as it is where runs read it."""
        if text in self.subscribed_values:
            return SubscriptionStatus.subscribed
        with suppress(ValueError):
            return SubscriptionStatus(text.lower() or SubscriptionStatus.unsubscribed)
        return None

    def _at(self, row: _Row) -> datetime | Problem:
        text = row.cell("at")
        if not text:
            hint = "fill it in, or say with `--at` when rows without it were said"
            return self.at or row.problem("there is no time", hint, "at")
        try:
            found = datetime.fromisoformat(text)
            found = (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(self.zone))).astimezone(UTC)
        except (ValueError, OverflowError):
            return row.problem("this is no time", "ISO 8601, such as 2026-11-27 or 2026-11-27T09:00:00+11:00", "at")
        if found.year < _EARLIEST or found > self.now + _AHEAD:
            said = "this time is still to come" if found > self.now else f"this time is before {_EARLIEST}"
            return row.problem(said, "when was it said? the latest of several rows decides", "at")
        return found

    def _refused(self, line: int, said: str, hint: str) -> UserError:
        return UserError.of("bad-opt-out", said, hint, Location(str(self.path), line, 1))


class _Lines:
    """The lines of a file as they are read, to say where a row stands."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self.number = lines, 0
        self._pending: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self._pending.append(line)
        return line

    def taken(self) -> tuple[int, str]:
        """(number, text) of the first line of the row that was read last."""
        row, self._pending = self._pending, []
        return self.number - len(row) + 1, row[0]


@dataclass(frozen=True, slots=True)
class _Row:
    path: Path
    header: list[str]
    cells: list[str]
    line: tuple[int, str]

    def cell(self, name: str) -> str:
        return self.cells[self.header.index(name)].strip() if name in self.header else ""

    def problem(self, said: str, hint: str, name: str | None) -> Problem:
        place = Location(str(self.path), self.line[0], self._column(name))
        return Problem("bad-opt-out", f"`{name}`: {said}" if name else said, hint, place)

    def _column(self, name: str | None) -> int:
        """Where a cell begins, as far as no quotes make that hard to tell."""
        if name not in self.header or '"' in self.line[1]:
            return 1
        return 1 + sum(len(cell) + 1 for cell in self.cells[: self.header.index(name)])
