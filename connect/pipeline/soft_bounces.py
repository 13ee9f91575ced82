"""Addresses that bounce softly again and again: ten times within thirty days counts as a hard bounce.

The user's warehouse answers it, by joining the tables of deliveries and events; nothing about anybody is kept here but
the addresses that have just bounced, in memory, until they are asked about.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from connect.pipeline.noticed import ADDRESSED, SOURCE, Noticed
from connect.pipeline.subscriptions import Change, unheard
from connect.project.destination import Destination
from connect.providers.events import Bounce, EventType
from connect.vocabulary import Channel, Personal, SubscriptionStatus
from connect.warehouses.interface import Dialect, Query, Warehouse

ENOUGH = 10
WITHIN = timedelta(days=30)
REASON = "soft_bounces"
_MOST = 5_000
"""Addresses that wait to be asked about. One that is forgotten is met again when it bounces next."""
_AT_ONCE = 100
_TIMEOUT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Bounced:
    """A delivery that has just bounced softly."""

    run: str
    key: str
    channel: Channel
    address: str = field(repr=False)


class SoftBounces:
    """Those that were noted since the last time that somebody asked."""

    def __init__(self) -> None:
        self._noted: OrderedDict[str, _Bounced] = OrderedDict()
        self._asked: list[_Bounced] = []

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, noticed: Sequence[Noticed]) -> None:
        """What has been written into the table of events."""
        for one in noticed:
            event = one.event
            if event.type is not EventType.bounced or event.bounce is not Bounce.soft or not event.address:
                continue
            if one.written and event.run_id and event.key and event.channel in ADDRESSED:
                self._noted[event.address] = _Bounced(event.run_id, event.key.hex(), event.channel, event.address)
                if len(self._noted) > _MOST:
                    self._noted.popitem(last=False)

    def due(self, warehouse: Warehouse, destination: Destination, now: datetime) -> list[Change]:
        """The opt-outs of those, among the hundred that were noted first, who have bounced often enough.

        They stay noted until `let_go`, when the opt-outs are durable. Raises as `Warehouse.rows` does. Where the table
        of deliveries says neither id nor address, nobody can be known again, and there are none.
        """
        self._asked = list(islice(self._noted.values(), _AT_ONCE))
        if not self._asked or not destination.include:
            return []
        return _changes(_often(warehouse, destination, self._asked, now), now)

    def let_go(self) -> None:
        """Forget those who were asked about last, and have not bounced again since."""
        for one in self._asked:
            if self._noted.get(one.address) is one:
                del self._noted[one.address]


def _changes(bounced: Sequence[_Bounced], now: datetime) -> list[Change]:
    made = [
        Change(SubscriptionStatus.bounced, now, SOURCE, address=one.address, channel=one.channel, reason=REASON)
        for one in bounced
    ]
    return [change for change in made if not unheard(change)]


def _often(warehouse: Warehouse, destination: Destination, some: Sequence[_Bounced], now: datetime) -> list[_Bounced]:
    values: dict[str, object] = {"connect_since": now - WITHIN}
    for number, one in enumerate(some):
        values |= {f"connect_run_{number}": one.run, f"connect_key_{number}": one.key}
    rows = warehouse.rows(Query(_sql(warehouse.dialect, destination, len(some)), values), _TIMEOUT)
    # Engines differ in how they write the names of columns.
    found = {tuple(str(value) for value in row.values()) for row in rows}
    return [one for one in some if (one.run, one.key) in found]


def _sql(dialect: Dialect, destination: Destination, count: int) -> str:
    """By address where the deliveries say it: who has several is not to lose them all for one."""
    bind = dialect.parameter
    who = dialect.quote((Personal.address if Personal.address in destination.include else Personal.id).value)
    asked = " or ".join(
        f"(d.run = {bind(f'connect_run_{number}')} and d.message_key = {bind(f'connect_key_{number}')})"
        for number in range(count)
    )
    return f"""select a.run, a.message_key
from (
select d.run, d.message_key, d.channel, d.{who} as who
from {destination.deliveries} as d where d.{who} is not null and ({asked})
) as a
join {destination.deliveries} as d on d.{who} = a.who and d.channel = a.channel
join {destination.events} as e on e.run = d.run and e.message_key = d.message_key
where e.type = 'bounced' and e.bounce = 'soft' and e.happened_at >= {bind("connect_since")}
group by a.run, a.message_key
having count(distinct e.event_key) >= {ENOUGH}"""
