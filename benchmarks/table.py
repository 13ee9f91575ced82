"""The table of docs/performance.md, from the file that `make bench JSON=file` wrote.

python -m benchmarks.table FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- the last run, by `python -m benchmarks.table FILE` -->", "<!-- end of the last run -->"


def table(document: dict[str, Any]) -> str:
    """The rows, and below them where they were measured."""
    lines = ["| row | value | unit | ratio | to |", "|---|---:|---|---:|---|"]
    lines += [_row(row) for row in document["rows"]]
    whole = f"Whole runs wrote to {document['size']['people']:,} people, the script to {document['size']['script']:,}."
    return "\n".join([*lines, "", f"{_measured_on(document['machine'])} {whole}"])


def _row(row: dict[str, Any]) -> str:
    compared = [f"{row['ratio']:,.2f}", f"`{row['ratio_to']}`"] if row["ratio_to"] else ["", ""]
    cells = [f"`{row['name']}`", f"{row['value']:,.0f}", row["unit"], *compared]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _measured_on(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"Measured on {machine['cores']} cores ({machine['processor']}), Python {machine['python']}, {versions}."


def refreshed(page: str, document: dict[str, Any]) -> str:
    """The page with this run between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the table stands between `{BEGIN}` and `{END}`")
    return f"{before}{BEGIN}\n\n{table(document)}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text("utf-8"), json.loads(Path(sys.argv[1]).read_text())), "utf-8")
