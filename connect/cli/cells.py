"""Rows on the terminal: as a table, or one row under the other where a table would be too wide; as CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connect.cli import terminal

Row = Sequence[Any]


def show_rows(names: Sequence[str], rows: Sequence[Row], console: Console) -> None:
    """Rows with their columns' names; numbers stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    numbers = {place for place in range(len(names)) if _are_numbers(row[place] for row in rows)}
    for place, name in enumerate(names):
        table.add_column(Text(name), no_wrap=True, justify="right" if place in numbers else "left")
    for row in rows:
        table.add_row(*map(cell, row))
    wide = table.__rich_measure__(console, console.options.update(max_width=_ANY)).maximum
    if console.is_terminal and wide > console.width:
        show_records(names, rows, console)
    elif console.is_terminal:
        console.print(table)
    else:  # as wide as it is: rich would cut it at 80 columns
        Console(file=console.file, width=max(wide, 1), highlight=False).print(table)


_ANY = 1_000_000


def _are_numbers(cells: Iterable[object]) -> bool:
    kinds = [isinstance(value, int | float | Decimal) for value in cells if value is not None]
    return bool(kinds) and all(kinds)


def show_records(names: Sequence[str], rows: Sequence[Row], console: Console) -> None:
    """Each row as a block: a line for each column."""
    for number, row in enumerate(rows, 1):
        if len(rows) > 1:
            console.rule(f"row {number}", align="left", style="dim")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            table.add_row(Text(name), cell(value))
        console.print(table, soft_wrap=False)


def cell(value: object) -> Text:
    """A value as people read it; what is none is dim."""
    return Text("null", style="dim") if value is None else Text(terminal.redactor.text(printable(written(value))))


def written(value: object) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=written)
    return str(value)


def printable(text: str) -> str:
    """Without what moves the cursor or colours the screen: cells come from anywhere."""
    return "".join(character if _is_harmless(character) else _escaped(character) for character in text)


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in _TURNING


_TURNING = set(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that turn the direction of those around them."""


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def print_csv(names: Sequence[str], rows: Sequence[Row]) -> None:
    """On standard output, with a first line of names; null is an empty cell."""
    written_out = io.StringIO()
    writer = csv.writer(written_out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else written(value) for value in row] for row in rows)
    sys.stdout.write(terminal.redactor.text(written_out.getvalue()))
