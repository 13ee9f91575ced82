"""The rig of `memory`: answers as its script says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from connect.channels.message import Outgoing
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import catalog, memory
from connect.providers.interface import Account, Receipt
from connect.testing.providers import EXPECTED, Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import account, as_given


class MemoryRig:
    """Answers as its script says."""

    cannot: Mapping[Situation, str] = {}

    def __init__(self, name: str, root: Path) -> None:
        self.adapter = catalog.load(name)
        self._root = root
        self._situations: dict[bytes, Situation] = {}

    def account(self) -> Account:
        return account(self.adapter.Settings(), self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        self._situations[outgoing.key] = situation
        memory.script("contract", self._answer)
        if situation is Situation.bad_credentials:
            problem = Problem("memory-refused", "the script refuses to open", "take the script away")
            memory.refuse_open("contract", RunTrouble(Disposition.pause, problem))

    def relent(self) -> None:
        self._situations.clear()
        memory.script("contract", None)
        memory.refuse_open("contract", None)

    def arrived(self) -> list[Arrived]:
        return [as_given(outgoing) for outgoing in memory.sent("contract")]

    def _answer(self, outgoing: Outgoing, attempt: int) -> Receipt | None:
        situation = self._situations.get(outgoing.key)
        if situation is None:
            return None
        wait = timedelta(seconds=3) if situation is Situation.throttled_until else None
        return Receipt(EXPECTED[situation], situation.value, retry_after=wait)


@contextmanager
def rig(root: Path, name: str = "memory") -> Iterator[ProviderRig]:
    memory.reset()
    yield MemoryRig(name, root)
    memory.reset()
