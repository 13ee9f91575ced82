"""An opt-out that was acknowledged stands, also where the row of an earlier return says a later time.

Clocks differ: of whatever else writes returns, of a file, of a server that did not know the ledger's yet. Of one scope
the latest row decides, so a return that was dated too late would hide an opt-out that came after it. Such an opt-out is
written again, dated after the return.

It goes by the ledger, where what was taken within half an hour is to be found: so it also looks after what another
process took, and died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connect.clock import Clock
from connect.ledger.store import Ledger
from connect.pipeline.lately import Lately
from connect.pipeline.sealing import all_held
from connect.pipeline.subscriptions import ONE_CLICK, PAGE, Change, Scope, normal, scope_of, table, writable
from connect.project.project import Project
from connect.vocabulary import SubscriptionStatus
from connect.warehouses.interface import Query, Warehouse

AGAIN = "an earlier return was dated later"
"""The reason of an opt-out that was written again: it is not looked after once more."""
_SOON = timedelta(seconds=0.3)
"""Nobody reads that they have left and comes back within that."""
_TIMEOUT = timedelta(seconds=30)
"""Nobody waits for it, but a server that stops."""
_TICK = timedelta(microseconds=1)


class Lasting:
    """Of one project; used by one thread at a time."""

    def __init__(self, project: Project, ledger: Ledger, clock: Clock, lately: Lately) -> None:
        """`clock` is the one that all who share the ledger go by."""
        self._project, self._ledger, self._clock, self._lately = project, ledger, clock, lately
        self._unsure: dict[Scope, Change] = {}

    def look(self, open_warehouse: Callable[[], Warehouse]) -> list[Change]:
        """What is to be written again, of all that has come since the last look that was `done`.

        Raises OutsideError, and what a query raises: nothing is done then. Where nothing has come, nothing is opened.
        """
        self._unsure = latest([*self._unsure.values(), *filter(_is_ours, self._lately.news())])
        if not self._unsure:
            return []
        warehouse = open_warehouse()
        try:
            written = list(self._written(warehouse, min(change.at for change in self._unsure.values())))
        finally:
            warehouse.close()
        return overtaken(self._unsure, _by_scope([*written, *self._held()]), self._clock.now())

    def done(self) -> None:
        """What `look` gave is durable."""
        self._unsure = {}

    def _written(self, warehouse: Warehouse, since: datetime) -> Iterator[tuple[Scope, datetime]]:
        """Of rows that say that somebody came back, and are dated later."""
        quote, bind = warehouse.dialect.quote, warehouse.dialect.parameter
        subscriptions = writable(self._project)
        words = {f"connect_word_{number}": word for number, word in enumerate(subscriptions.subscribed_values)}
        columns = ", ".join(map(quote, ("id", "address", "channel", "topic", "at")))
        asked = f"""select {columns} from {table(subscriptions).name}
where {quote("status")} in ({", ".join(map(bind, words))}) and {quote("at")} > {bind("connect_since")}"""
        for row in warehouse.rows(Query(asked, {**words, "connect_since": since}), _TIMEOUT):
            *scope, at = row.values()  # engines differ in how they write the names of columns
            if isinstance(at, datetime):
                yield tuple(scope), at if at.tzinfo else at.replace(tzinfo=UTC)

    def _held(self) -> Iterator[tuple[Scope, datetime]]:
        """Of returns that wait for the warehouse."""
        for change in all_held(self._ledger, self._project.secret):
            if change is not None and change.status is SubscriptionStatus.subscribed:
                yield scope_of(normal(change)), change.at


def _is_ours(change: Change) -> bool:
    """Whether somebody was told that it is so."""
    return change.status is SubscriptionStatus.unsubscribed and change.source in (ONE_CLICK, PAGE)


def latest(changes: Iterable[Change]) -> dict[Scope, Change]:
    """Of each scope the last: whatever came before is settled with it."""
    found: dict[Scope, Change] = {}
    for change in changes:
        known = found.setdefault(scope_of(change), change)
        if change.at > known.at:
            found[scope_of(change)] = change
    return found


def _by_scope(returns: Iterable[tuple[Scope, datetime]]) -> dict[Scope, list[datetime]]:
    found: dict[Scope, list[datetime]] = {}
    for scope, at in returns:
        found.setdefault(scope, []).append(at)
    return found


def overtaken(left: Mapping[Scope, Change], back: Mapping[Scope, Sequence[datetime]], now: datetime) -> list[Change]:
    """Those who left and are hidden by a return that was not said after that, dated after it. Pure.

    A return was not said after an opt-out where it is dated later than now, or so soon that nobody could have.
    """
    found = []
    for scope, change in left.items():
        later = [at for at in back.get(scope, ()) if at > change.at]
        if change.reason != AGAIN and any(at > now or at <= change.at + _SOON for at in later):
            found.append(replace(change, at=max(later) + _TICK, reason=AGAIN))
    return found
