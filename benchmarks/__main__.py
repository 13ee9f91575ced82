"""`make bench`: one table of figures, as ratios within one run.

    python -m benchmarks [--only NAME] [--json FILE] [--quick]

Absolute figures move with the machine and its load; trust the ratios.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.rows import Row, Rows
from benchmarks.sizes import FULL, QUICK, Size

BENCHMARKS = {
    "email_8bit": "end_to_end:email_8bit",
    "email_base64": "end_to_end:email_base64",
    "email_quoted": "end_to_end:email_quoted",
    "sms": "end_to_end:sms",
    "sms_bulk": "end_to_end:sms_bulk",
    "render_html": "render:html",
    "render_escaped": "render:escaped",
    "render_sms": "render:sms",
    "mime": "mime:rows",
    "track": "tracking:rows",
    "dkim": "dkim:rows",
    "ses": "ses:rows",
    "bulk": "bulk:rows",
    "push": "push:rows",
    "ledger": "commits:rows",
    "start": "startup:rows",
    "first_message": "first_message:rows",
    "reading": "reading:rows",
    "memory": "memory:rows",
    "history": "history:rows",
    "workers": "workers:rows",
    "daemon": "idle:rows",
    "webhooks": "webhooks:rows",
    "messages": "messages:rows",
    "throttled": "throttled:changing",
    "two_processes_one_rate": "throttled:two_processes",
}
"""Name → "module:function" of this package; the function takes a Size and yields rows, each named after it."""


def chosen(only: str) -> list[str]:
    """The benchmarks whose names begin like this, or that have rows of this name."""
    found = [name for name in BENCHMARKS if name.startswith(only)]
    return found or [name for name in BENCHMARKS if only.startswith(name + "_")][-1:]


def load(name: str) -> Rows:
    module, _, function = BENCHMARKS[name].partition(":")
    rows: Rows = getattr(import_module(f"benchmarks.{module}"), function)
    return rows


def measure(names: Sequence[str], size: Size) -> list[Row]:
    """Everything of these benchmarks, shown as it is found."""
    found = []
    print(f"{'name':<28} {'value':>12} {'unit':<24} {'ratio':>7}  to")
    for name in names:
        for row in load(name)(size):
            found.append(row)
            print(line(row), flush=True)
    return found


def line(row: Row) -> str:
    ratio = f"{row.ratio:>7.2f}  {row.ratio_to}" if row.ratio_to else ""
    return f"{row.name:<28} {row.value:>12,.0f} {row.unit:<24} {ratio}".rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", default="", help=f"what begins like this, of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--quick", action="store_true", help="smaller audiences; start-up weighs on the figures")
    options = parser.parse_args(arguments)
    names = chosen(options.only)
    if not names:
        parser.error(f"there is no benchmark {options.only}; there are {', '.join(BENCHMARKS)}")
    size = QUICK if options.quick else FULL
    rows = measure(names, size)
    if options.json:
        document = {"machine": machine(), "size": vars(size), "rows": [vars(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
