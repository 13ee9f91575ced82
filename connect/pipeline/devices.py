"""Devices that a push provider has called dead: written down once that is durable, and left out by later runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connect.channels.devices import devices
from connect.errors import ConnectError
from connect.ledger.store import Ledger
from connect.pipeline.books import Settlement
from connect.pipeline.sealing import sealed
from connect.pipeline.sources import OpenSource
from connect.pipeline.subscriptions import Change, record
from connect.project.project import Project, Subscriptions
from connect.vocabulary import Channel, Outcome, Reason, SubscriptionStatus
from connect.warehouses import tokens
from connect.warehouses.interface import Warehouse
from connect.warehouses.wrapping import OptOuts

SOURCE = "delivery"
_BATCH = 500
_COLUMNS = ("channels", "device_token")
_LOG = logging.getLogger("connect")


@dataclass(frozen=True)
class Known:
    """Asks the source of the opt-outs which devices of a read are not to be sent to."""

    warehouse: Warehouse
    optouts: OptOuts
    timeout: timedelta

    @classmethod
    def of(cls, warehouse: Warehouse, optouts: OptOuts, timeout: timedelta) -> Known | None:
        """None where the message is for no devices, or nobody can tell. `warehouse` is the audience's own."""
        return cls(optouts.home or warehouse, optouts, timeout) if tokens.answers(optouts) else None

    def among(self, found: Iterable[str]) -> dict[str, int]:
        """Device token → flag, of those that are not to be sent to. Raises as `Warehouse.rows` does."""
        return tokens.opted_out(self.warehouse, self.optouts, found, self.timeout)


def tokens_of(columns: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Every device of these rows."""
    cells = [columns.get(name) for name in _COLUMNS]
    known = next((column for column in cells if column is not None), ())
    for row in range(len(known)):
        channels, token = (column[row] if column is not None else None for column in cells)
        yield from (device.address for device in devices(channels, token, None).devices)


class Dead:
    """The devices that a live run finds dead, on their way into `subscriptions.write`.

    What the warehouse does not take is sealed into the ledger. Where that can not be, a line counts them: the next
    run learns them again.
    """

    def __init__(self, project: Project, subscriptions: Subscriptions, ledger: Ledger, source: OpenSource) -> None:
        self._project, self._subscriptions = project, subscriptions
        self._ledger, self._source = ledger, source
        self._found: list[str] = []
        self._writing: asyncio.Task[None] | None = None

    def heard(self, settled: Iterable[Settlement]) -> None:
        """These have ended, durably."""
        self._found += [end.address for end in settled if _is_dead(end)]
        if len(self._found) >= _BATCH and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write())

    async def written(self) -> None:
        """Returns when all that was found is durable, or lost and told."""
        if self._writing is not None:
            await self._writing
        await self._write()

    async def _write(self) -> None:
        while self._found:
            some, self._found = self._found, []
            await asyncio.to_thread(self._keep, some)

    def _keep(self, found: Sequence[str]) -> None:
        try:
            at = self._ledger.now()
            changes = [
                Change(
                    SubscriptionStatus.bounced,
                    at,
                    SOURCE,
                    address=token,
                    channel=Channel.push,
                    reason=Reason.unregistered.value,
                )
                for token in dict.fromkeys(found)
            ]
            if not self._taken(changes):
                self._hold(changes)
        except ConnectError as trouble:
            _lost(len(found), trouble)

    def _taken(self, changes: Sequence[Change]) -> bool:
        """Whether the warehouse has them now."""
        try:
            warehouse = self._source(self._project, self._subscriptions.source)
            try:
                record(warehouse, self._subscriptions, changes)
            finally:
                warehouse.close()
        except ConnectError:
            if not self._project.secret.secrets:
                raise
            return False
        return True

    def _hold(self, changes: Sequence[Change]) -> None:
        self._ledger.hold(sealed(self._project.secret, changes))


def _is_dead(end: Settlement) -> bool:
    """Other reasons may be the project's mistake: an app's wrong key calls every token bad."""
    return (
        end.channel is Channel.push
        and end.outcome is Outcome.failed
        and end.reason == Reason.unregistered
        and bool(end.address)
    )


def _lost(count: int, trouble: ConnectError) -> None:
    code = trouble.problems[0].code if trouble.problems else type(trouble).__name__
    _LOG.warning(
        "dead-devices-lost: %d devices were not written down (%s); the next run learns them again", count, code
    )
