"""`make chaos`: one row for each scenario, and exit code 1 when a promise is broken.

python -m benchmarks.chaos [--kills N] [--seed S] [--json FILE] [--only TEXT] [--jobs N] [--speed N]

After the runs come the daemons, four at a time, by themselves: they want the machine for themselves. Then people who
unsubscribe at a server.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

from benchmarks.chaos.accounts import Account, Evidence, account, violations
from benchmarks.chaos.daemons import Siege, besieged
from benchmarks.chaos.faults import dealt
from benchmarks.chaos.leavers import Exodus, departures
from benchmarks.chaos.scenario import POSTGRESQL, SQLITE, Scenario, chosen
from benchmarks.chaos.timetable import COLUMNS, timetable
from benchmarks.chaos.trial import Trouble, trial
from connect.errors import ConnectError

_WORDS = {
    "kills": "kills",
    "audience": "audience",
    "sent": "sent",
    "duplicates": "duplicates",
    "lost": "lost",
    "unknown": "unknown",
    "of_those_delivered": "of those delivered",
    "gone": "gone",
    "otherwise": "otherwise",
    "sum": "sum",
}


def main() -> int:
    options = _options()
    seed = SystemRandom().randrange(10**6) if options.seed is None else options.seed
    missing = _no_postgresql()
    print(f"seed {seed}{f', without PostgreSQL: {missing}' if missing else ''}")
    rows, broken = _runs(options, seed, bool(missing))
    more, broken_too = _daemons(options, seed, bool(missing))
    leavers, broken_as_well = _leavers(options, seed, bool(missing))
    if options.json:
        options.json.write_text(json.dumps(rows + more + leavers, indent=2) + "\n")
    return 1 if broken + broken_too + broken_as_well else 0


_Rows = list[dict[str, object]]


def _runs(options: argparse.Namespace, seed: int, no_postgresql: bool) -> tuple[_Rows, int]:
    """What `connect run` goes through; returns the rows of the table, and how many promises were broken."""
    rows: _Rows = []
    broken = 0
    scenarios = [each for each in chosen(options.only) if not (no_postgresql and each.ledger == POSTGRESQL)]
    if not scenarios:
        return rows, broken
    print(_line("receiver, policy, ledger, audience", list(_WORDS.values())), flush=True)
    with ThreadPoolExecutor(options.jobs) as trials:
        for done in trials.map(partial(_row, seed), _shared(options.kills or 200, scenarios)):
            rows += [done.row] if done.row else []
            broken += len(done.problems)
            print(done, flush=True)
    print(_line(f"seed {seed}, {'broken' if broken else 'all promises hold'}", _totals(rows)))
    return rows, broken


def _daemons(options: argparse.Namespace, seed: int, no_postgresql: bool) -> tuple[_Rows, int]:
    """What four daemons on one ledger go through."""
    rows: _Rows = []
    broken = 0
    ledgers = [SQLITE, *([] if no_postgresql else [POSTGRESQL])]
    sieges = [Siege(ledger, kills=min(60, options.kills or 60), speed=options.speed) for ledger in ledgers]
    for siege in sieges:
        if options.only not in str(siege):
            continue
        if not rows:
            print(_daemons_line("four daemons", list(COLUMNS.values())), flush=True)
        row, problems = _siege(siege, seed)
        rows.append(row)
        broken += len(problems)
        print(_daemons_line(str(siege), [row.get(word, "") for word in COLUMNS]))
        print("".join(f"    BROKEN: {problem}\n" for problem in problems), end="", flush=True)
    return rows, broken


def _leavers(options: argparse.Namespace, seed: int, no_postgresql: bool) -> tuple[_Rows, int]:
    """What people who unsubscribe go through."""
    rows: _Rows = []
    broken = 0
    for ledger in (SQLITE, *(() if no_postgresql else (POSTGRESQL,))):
        exodus = Exodus(ledger, kills=options.kills or 100)
        if options.only not in str(exodus):
            continue
        row, problems = _exodus(exodus, seed)
        rows.append({**row, "scenario": str(exodus), "seed": seed})
        broken += len(problems)
        print(f"{exodus!s:<24} " + "  ".join(f"{value} {name}" for name, value in row.items()))
        print("".join(f"    BROKEN: {problem}\n" for problem in problems), end="", flush=True)
    return rows, broken


def _exodus(exodus: Exodus, seed: int) -> tuple[dict[str, object], list[str]]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            found = departures(exodus, seed, Path(folder))
        except (Trouble, ConnectError, OSError) as trouble:
            return {}, [f"{type(trouble).__name__}: {trouble}"]
    return found.row(), list(found.problems())


def _siege(siege: Siege, seed: int) -> tuple[dict[str, object], list[str]]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            testimony = besieged(siege, seed, Path(folder))
        except (Trouble, ConnectError, OSError) as trouble:
            return {"siege": str(siege)}, [f"{type(trouble).__name__}: {trouble}"]
    found = timetable(testimony)
    diary = ["\n        ".join(["the diary of this siege", *testimony.diary])] if found.problems else []
    row = {word: getattr(found, word) for word in COLUMNS}
    return {**row, "siege": str(siege), "speed": siege.speed, "seed": seed}, found.problems + diary


def _daemons_line(name: str, cells: list[object] | list[str]) -> str:
    widths = [max(6, len(word)) for word in COLUMNS.values()]
    return f"{name:<22} " + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument(
        "--kills", type=int, help="in all, shared among the scenarios: 200; and of daemons, on each ledger: 60"
    )
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="scenarios of this receiver, or whose name holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="scenarios at a time")
    parser.add_argument("--speed", type=float, default=Siege.speed, help="of the daemons' clocks, of real time")
    return parser.parse_args()


def _no_postgresql() -> str:
    """Why there is no PostgreSQL server here; empty when there is one."""
    from connect.testing.postgres import NoServer, shared_server

    try:
        shared_server()
    except NoServer as why:
        return str(why)
    return ""


def _shared(kills: int, scenarios: list[Scenario]) -> list[tuple[Scenario, int]]:
    """As many kills for each; the first ones take what is left over."""
    each, more = divmod(kills, len(scenarios) or 1)
    shared = [(scenario, each + (number < more)) for number, scenario in enumerate(scenarios)]
    return [(scenario, count) for scenario, count in shared if count]


@dataclass(frozen=True)
class _Done:
    """One scenario, when it is over."""

    scenario: Scenario
    row: dict[str, object] | None
    problems: list[str]
    seconds: float

    def __str__(self) -> str:
        cells = [self.row[word] for word in _WORDS.values()] if self.row else []
        line = f"{_line(str(self.scenario), cells)}   {self.seconds:4.0f} s"
        return "\n".join([line, *(f"    BROKEN: {problem}" for problem in self.problems)])


def _row(seed: int, planned: tuple[Scenario, int]) -> _Done:
    scenario, kills = planned
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            faults = dealt(kills, Random(f"{seed} {scenario}"))
            evidence = trial(scenario, faults, seed, Path(folder))
        except (Trouble, ConnectError, OSError) as trouble:
            return _Done(scenario, None, [f"{type(trouble).__name__}: {trouble}"], time.monotonic() - began)
    found = account(evidence)
    row = as_row(evidence, found, seed)
    problems = list(violations(evidence, found))
    if problems:
        problems.append("\n        ".join(["the diary of this trial", *evidence.diary]))
    return _Done(scenario, row, problems, time.monotonic() - began)


def as_row(evidence: Evidence, found: Account, seed: int) -> dict[str, object]:
    """The row as it stands in the JSON file."""
    return {
        **{word: getattr(found, name) for name, word in _WORDS.items()},
        "bound": found.bound,
        "worst": found.worst,
        "repeats": found.repeats,
        "dropped": found.dropped,
        **{str(fault): count for fault, count in sorted(evidence.kills.items())},
        **vars(evidence.scenario),
        "seed": seed,
    }


def _totals(rows: list[dict[str, object]]) -> list[object]:
    return [sum(int(str(row[word])) for row in rows) for word in _WORDS.values()]


def _line(name: str, cells: list[object] | list[str]) -> str:
    widths = [max(7, len(word)) for word in _WORDS.values()]
    told = [
        f"{cell:>{width},}" if isinstance(cell, int) else f"{cell:>{width}}"
        for cell, width in zip(cells, widths, strict=False)
    ]
    return f"{name:<44} " + "  ".join(told)


if __name__ == "__main__":
    sys.exit(main())
