"""How often a run is going to read its audience, and what that is billed for, where the warehouse tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from connect.errors import Problem, Severity
from connect.pipeline.accounts import providers_of
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.project.types import Rate
from connect.vocabulary import QuietZone
from connect.warehouses.interface import Capabilities, Warehouse
from connect.warehouses.wrapping import Wrapping

_FRESH = timedelta(minutes=15)
"""Opt-outs of rows that have waited for longer are asked for again, with a read."""
_TOGETHER = 12 * 1024
"""About so many rows are read at once for a sender that can not keep up: half the memory, at a kilobyte each."""
_MANY = 5


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run's reads are billed for, as far as one can know before it."""

    size: int
    """Bytes of one read of the whole audience."""
    reads: int
    per_zone: bool = False
    """It may be so many for each time zone in which there is somebody."""

    @property
    def total(self) -> int:
        return self.size * self.reads


def read_size(warehouse: Warehouse, wrapping: Wrapping, timeout: timedelta) -> int | None:
    """The bytes that one read of the audience is billed for; None where the warehouse does not tell."""
    if not warehouse.capabilities.tells_cost:
        return None
    return warehouse.cost(wrapping.sweep_query(None, None), timeout)


def bill(project: Project, campaign: Campaign, warehouse: Warehouse, size: int | None, rows: int) -> Bill | None:
    """None where the warehouse does not tell what a read costs."""
    if size is None:
        return None
    if campaign.audience.snapshot:  # the warehouse reads it once, to copy it
        return Bill(size, 1)
    parts = campaign.policy.batches.count if campaign.policy.batches else 1
    accounts = (project.providers.get(name) for name in providers_of(campaign))
    rates = [campaign.policy.rate, *(account.rate for account in accounts if account)]
    each = reads(warehouse.capabilities, campaign.audience.timeout, -(-rows // parts), rates)
    return Bill(size, parts * each, _goes_by_zones(campaign))


def reads(capabilities: Capabilities, timeout: timedelta, rows: int, rates: Iterable[Rate | None]) -> int:
    """How many reads so many rows take. Without a rate nobody is waited for."""
    known = [rate.count / rate.per.total_seconds() for rate in rates if rate is not None]
    if not capabilities.holds_reads:
        return max(1, -(-rows // _TOGETHER))
    if not known:
        return 1
    held = min(capabilities.longest_read, timeout * 0.8, _FRESH)
    rest = rows - int(min(known) * held.total_seconds())
    together = min(_TOGETHER, max(1, int(min(known) * _FRESH.total_seconds())))
    return 1 + max(0, -(-rest // together))


def warnings(bill: Bill | None) -> list[Problem]:
    if bill is None or not bill.size or (bill.reads <= _MANY and not bill.per_zone):
        return []
    often = "once or more for each time zone" if bill.per_zone else f"about {bill.reads:,} times"
    message = f"the warehouse bills each read of the audience, and this run reads it {often}"
    hint = "`snapshot: true` under `audience` copies it once, and reads the copy"
    return [Problem("many-billed-reads", message, hint, severity=Severity.warning)]


def _goes_by_zones(campaign: Campaign) -> bool:
    quiet = campaign.policy.quiet_hours
    by_clock = quiet is not None and (quiet.timezone is QuietZone.user or bool(quiet.countries))
    return by_clock or bool(getattr(campaign.trigger, "local_time", False))


_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def in_words(size: float) -> str:
    """`1.2 GB`."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"
