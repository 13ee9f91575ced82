"""An opt-out that the warehouse can not take yet, sealed for the ledger; and written from there when it can."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connect.errors import ConnectError, Problem, UserError
from connect.identity import KeyRing, SealBroken
from connect.ledger.records import HeldOptOut
from connect.ledger.store import Ledger
from connect.pipeline.sources import OpenSource
from connect.pipeline.subscriptions import Change, key_of, normal, record
from connect.project.project import Project, Subscriptions
from connect.vocabulary import Channel, SubscriptionStatus
from connect.warehouses.interface import Warehouse

_PURPOSE = "opt-out"


def sealed(ring: KeyRing, changes: Sequence[Change]) -> dict[bytes, bytes]:
    """Name → what is kept of each change. Neither says anything without the project's secret."""
    each = (
        ring.seal(_PURPOSE, _written(change), nonce_seed=key_of(change).encode()) for change in map(normal, changes)
    )
    return {hashlib.blake2b(one, digest_size=16).digest(): one for one in each}


def opened(ring: KeyRing, held: HeldOptOut) -> Change | None:
    """The change; None where no secret of the project opens it any more."""
    try:
        return _read(json.loads(ring.open(_PURPOSE, held.sealed)))
    except SealBroken:
        return None


def unopened(ledger: Ledger, ring: KeyRing) -> int:
    """How many are held that no secret of the project opens."""
    return sum(change is None for change in all_held(ledger, ring))


def all_held(ledger: Ledger, ring: KeyRing) -> Iterator[Change | None]:
    """Everything that waits for the warehouse, in the order in which it came; None is what no secret opens."""
    last = 0
    while found := ledger.held(last):
        last = found[-1].id
        yield from (opened(ring, one) for one in found)


MOST_NOTED = 10_000
"""Opt-outs of one file of which runs are told that have read their rows already: each keeps them in memory."""


def note(project: Project, ledger: Ledger, changes: Sequence[Change]) -> None:
    """The warehouse has these: runs that have read their rows before go by them. Raises OutsideError.

    Where the project has no secret nobody is told: nothing can be sealed.
    """
    if project.secret.secrets and changes:
        ledger.note_taken(sealed(project.secret, changes))


def _written(change: Change) -> bytes:
    said = {
        "status": change.status.value,
        "at": change.at.isoformat(),
        "source": change.source,
        "id": change.id,
        "address": change.address,
        "channel": change.channel and change.channel.value,
        "topic": change.topic,
        "reason": change.reason,
    }
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def _read(said: Mapping[str, str]) -> Change:
    channel = said.get("channel")
    return Change(
        SubscriptionStatus(said["status"]),
        datetime.fromisoformat(said["at"]),
        said["source"],
        said.get("id"),
        said.get("address"),
        Channel(channel) if channel else None,
        said.get("topic"),
        said.get("reason"),
    )


def unreadable(count: int) -> Problem:
    """Of opt-outs that wait, and that no secret of the project opens."""
    said = f"opt-outs that wait in the ledger can not be read: {count:,}, sealed under a secret that the project lacks"
    return Problem("opt-outs-unreadable", said, "add the old secret to the list under `secret` in connect.yml")


def not_taken(count: int) -> Problem:
    """Of opt-outs that wait, and that the warehouse refuses while it takes others."""
    said = f"opt-outs that wait in the ledger are refused by the warehouse: {count:,}; runs heed them"
    return Problem("opt-outs-refused", said, "compare the table with what `connect subscriptions init` makes")


@dataclass(frozen=True, slots=True)
class Drained:
    """How many opt-outs the warehouse has now, and how many stay held."""

    written: int = 0
    unopened: int = 0
    """Sealed under a secret that the project does not have any more."""
    refused: int = 0
    """The warehouse takes others, and not these."""


_TELL_AGAIN = 600.0
"""Seconds after which it is said again that something can not be drained."""


class Complains(Protocol):
    def trouble(self, action: str, problem: BaseException) -> None: ...


class Stays:
    """Says what stays held though the warehouse is there: when that begins or changes, and again every few minutes."""

    def __init__(self, log: Complains) -> None:
        self._log = log
        self._told_of, self._tell_again = (0, 0), 0.0

    def tell(self, done: Drained, now: float) -> None:
        """`now` is monotonic."""
        stay = done.unopened, done.refused
        if stay == self._told_of and now < self._tell_again:
            return
        self._told_of, self._tell_again = stay, now + _TELL_AGAIN
        if done.unopened:
            self._log.trouble("opt-outs-unreadable", UserError(unreadable(done.unopened)))
        if done.refused:
            self._log.trouble("opt-outs-refused", UserError(not_taken(done.refused)))


def drain(
    ledger: Ledger, ring: KeyRing, subscriptions: Subscriptions, open_warehouse: Callable[[], Warehouse]
) -> Drained:
    """Write everything that is held into the warehouse, and let go of what it has. Raises what keeps it from that.

    Several may do it at once: what is written twice is there once. Where nothing is held, nothing is opened.
    """
    ledger.forget_gone()
    done, found = Drained(), ledger.held()
    while found:
        done = _drained(found, ledger, ring, subscriptions, open_warehouse(), done)
        found = ledger.held(found[-1].id)
    return done


def drain_project(project: Project, ledger: Ledger, open_source: OpenSource) -> Drained:
    """Of a project, where that names a table; with a warehouse of its own. Raises what keeps it from that."""
    subscriptions = project.subscriptions
    if subscriptions is None or subscriptions.write is None or not ledger.held_count():
        ledger.forget_gone()
        return Drained()
    warehouse = open_source(project, subscriptions.source)
    try:
        return drain(ledger, project.secret, subscriptions, lambda: warehouse)
    finally:
        warehouse.close()


def _drained(
    found: Sequence[HeldOptOut],
    ledger: Ledger,
    ring: KeyRing,
    subscriptions: Subscriptions,
    warehouse: Warehouse,
    before: Drained,
) -> Drained:
    changes = {one.name: change for one in found if (change := opened(ring, one)) is not None}
    written = _recorded(changes, subscriptions, warehouse)
    ledger.let_go(written)
    return Drained(
        before.written + len(written),
        before.unopened + len(found) - len(changes),
        before.refused + len(changes) - len(written),
    )


def _recorded(changes: Mapping[bytes, Change], subscriptions: Subscriptions, warehouse: Warehouse) -> list[bytes]:
    """The names of those that were written: all, or where the warehouse stumbles over a value, all others."""
    try:
        record(warehouse, subscriptions, changes.values())
        return list(changes)
    except ConnectError as error:
        if error.problems[0].code not in _OF_A_VALUE:
            raise
    return [name for name, change in changes.items() if _takes(change, subscriptions, warehouse)]


_OF_A_VALUE = ("query-failed", "unheard-opt-out")


def _takes(change: Change, subscriptions: Subscriptions, warehouse: Warehouse) -> bool:
    try:
        record(warehouse, subscriptions, [change])
    except ConnectError as error:
        if error.problems[0].code not in _OF_A_VALUE:
            raise
        return False
    return True
