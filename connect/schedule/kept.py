"""Provider accounts that stay open between two calls, so that each does not connect and sign in anew.

One belongs to one run at a time, as if that had opened it: its window, its lease and its troubles are that run's alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from connect.channels.message import Outgoing
from connect.pipeline.accounts import Accounts
from connect.project.project import Project
from connect.providers.interface import Account, Provider, Receipt, StaysConnected

IDLE = 30.0
"""Seconds after which one that nobody needs is closed. Servers close one after five minutes (RFC 5321, 4.5.3.2.7)."""
OpenAccounts = Callable[[Project, Iterable[str]], Accounts]


class _Lasting:
    """A provider that is opened once, and closed by who keeps it."""

    def __init__(self, provider: Provider, account: Account, project: Project) -> None:
        self.provider, self.account, self.project = provider, account, project
        self.capabilities = provider.capabilities
        self.opened = False
        self.since = 0.0

    async def open(self) -> None:
        if not self.opened:
            await self.provider.open()
            self.opened = True

    async def send(self, batch: Sequence[Outgoing]) -> list[Receipt]:
        return await self.provider.send(batch)

    async def check(self) -> str:
        return await self.provider.check()

    async def close(self) -> None:
        """Not yet."""

    @property
    def serves(self) -> bool:
        """Whether it is still as it was opened: a server may have closed the connection meanwhile."""
        return not isinstance(self.provider, StaysConnected) or self.provider.connected


@dataclass(frozen=True)
class Taken:
    """The accounts of one run, which ends with giving them back."""

    accounts: Accounts
    lasting: tuple[_Lasting, ...]


class Kept:
    """Those of one server. For one event loop."""

    def __init__(self, opens: OpenAccounts, monotonic: Callable[[], float], idle: float = IDLE) -> None:
        self._opens, self._monotonic, self._seconds = opens, monotonic, idle
        self._idle: list[_Lasting] = []
        """Who was given back last comes last."""
        self._newest: Project | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def take(self, project: Project, names: Sequence[str]) -> Taken:
        """Accounts for one run, open or still to be opened. Raises what opening them does."""
        self._must_be_of(project)
        known = [found for name in names if (found := self._free(name)) is not None]
        missing = set(names) - {one.account.name for one in known}
        try:
            made = self._opens(project, missing) if missing else {}
        except BaseException:
            self._close(known)
            raise
        lasting = (*known, *(_Lasting(provider, account, project) for provider, account in made.values()))
        accounts = {one.account.name: (cast(Provider, one), one.account) for one in lasting}
        return Taken({name: accounts[name] for name in sorted(accounts)}, lasting)

    def give_back(self, taken: Taken, *, well: bool) -> None:
        """After a run that ended well they stay open; else nobody knows what goes on in them."""
        for one in taken.lasting:
            one.since = self._monotonic()
            if well and one.opened and not self._ended and self._is_newest(one.project):
                self._idle.append(one)
            else:
                self._close([one])
        self._look()

    async def end(self) -> None:
        """Close all that nobody has now; and from now on, whatever comes back."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._close(self._drawn(lambda one: True))
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _free(self, name: str) -> _Lasting | None:
        while found := next((one for one in reversed(self._idle) if one.account.name == name), None):
            self._idle.remove(found)
            if found.serves:
                return found
            self._close([found])
        return None

    def _must_be_of(self, project: Project) -> None:
        """What was opened for an older version of connect.yml serves nobody any more."""
        if not self._is_newest(project):
            self._newest = project
            self._close(self._drawn(lambda one: True))

    def _is_newest(self, project: Project) -> bool:
        return self._newest is not None and self._newest.tree is project.tree

    def _drawn(self, which: Callable[[_Lasting], bool]) -> list[_Lasting]:
        drawn = [one for one in self._idle if which(one)]
        self._idle = [one for one in self._idle if one not in drawn]
        return drawn

    def _look(self) -> None:
        """Close those that were not needed for long, and look again when the next ones are due."""
        due = self._monotonic() - self._seconds
        self._close(self._drawn(lambda one: one.since <= due))
        if self._timer is not None:
            self._timer.cancel()
        again = self._idle and not self._ended
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look) if again else None

    def _close(self, some: Iterable[_Lasting]) -> None:
        for one in some:
            task = asyncio.get_running_loop().create_task(one.provider.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
