"""The people of the benchmark: guests of a café, invented by the warehouse itself."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

from benchmarks import cores, processes

_GUESTS = """
select i as id, 'guest' || i || '@mail.example' as email,
  '+61412' || lpad((i % 1000000)::varchar, 6, '0') as phone_number,
  true as subscribed, ['Ann', 'Zoë', 'Jürgen', 'Mary Jane', 'Sam', 'Noor', 'Łukasz'][1 + i % 7] as first_name,
  'Guest ' || (i % 9973) as last_name, ['Lyon', 'Perth', 'Galway'][1 + i % 3] as city,
  ['gold', 'silver', 'bronze'][1 + i % 3] as tier, i % 1000 as points, (i % 100) / 4.0 as balance,
  date '2020-01-01' + (i % 2000)::integer as joined_on, date '2027-01-01' + (i % 300)::integer as renews_on,
  'M' || upper(substr(md5(i::varchar), 1, 7)) as referral_code, ['Harbour & Row', 'Old Mill'][1 + i % 2] as store,
  1 + i % 40 as visits,
  [{'name': 'flat white', 'quantity': 1 + i % 3, 'price': 3.5e0},
   {'name': 'barley loaf', 'quantity': 1, 'price': 6.25e0},
   {'name': ['plum cake', 'trout & eggs'][1 + i % 2], 'quantity': 2, 'price': 4.75e0},
   {'name': 'elderflower', 'quantity': 1, 'price': 2.5e0}] as items
from range(%d) as people(i)
"""


def build(file: Path, count: int) -> None:
    """A warehouse with so many guests. In a process of its own: the memory of building must not be counted."""
    script = f"import duckdb; duckdb.connect({str(file)!r}).execute({'create table guests as ' + query(count)!r})"
    processes.measured([sys.executable, "-c", script], on=cores.EVERY)


def some(count: int) -> list[dict[str, object]]:
    """Guests as rows."""
    found = duckdb.execute(query(count))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def columns(rows: list[dict[str, object]]) -> dict[str, list[object]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def query(count: int) -> str:
    """SQL that gives so many."""
    return _GUESTS.replace("%d", str(count))
