"""The rig of `outbox`: reads the files back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parseaddr
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import account


class OutboxRig:
    """Reads the files back."""

    cannot: Mapping[Situation, str] = {
        situation: "files have no account, no network and no opinion of what is written"
        for situation in Situation
        if situation is not Situation.bad_recipient
    }

    def __init__(self, root: Path) -> None:
        self.adapter = catalog.load("outbox")
        self._root = root
        self._rejects: list[str] = []

    def account(self) -> Account:
        return account(self.adapter.Settings.model_validate({"rejects": self._rejects}), self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        assert situation is Situation.bad_recipient
        self._rejects.append(outgoing.message.address)

    def relent(self) -> None:
        self._rejects.clear()

    def arrived(self) -> list[Arrived]:
        from connect.providers import outbox

        found = outbox.messages(self._root / "outbox")
        return [Arrived(parseaddr(each.to)[1] or each.to, each.subject, each.text, each.html) for each in found]


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    yield OutboxRig(root)
