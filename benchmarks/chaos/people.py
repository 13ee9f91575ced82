"""The audience, and what must become of everybody in it, known without asking the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import duckdb

from connect.identity import key_text, mark_of, person_mark, position

CHURN = 12
"""About how many people leave, join and change their address at a time."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands while nobody works on it."""

    cursor: str | None
    salt: str
    secret: bytes
    near: set[bytes]
    """The keys of deliveries that have an intent. Each begins with the mark of its person."""
    in_doubt: set[bytes]
    """Of those, the ones without an outcome."""
    calls: dict[bytes, int] = field(default_factory=dict)
    """The call of each of these."""


@dataclass
class Audience(ABC):
    """What is in the warehouse, and what must be counted by the run: deliveries, by a number each."""

    file: Path
    expected: set[int]
    """Every delivery that the run must count: of those it met, or near the air before they left."""
    left: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    """Those who left while their delivery was in doubt."""
    moved: set[int] = field(default_factory=set)
    """Those who changed their address while their delivery was in doubt: these are unknown."""
    parted: set[int] = field(default_factory=set)
    """Those whose delivery was in doubt together with one of somebody who left or changed their address: a receiver
    that remembers calls by key can not be asked again about theirs."""

    @abstractmethod
    def of(self, address: str) -> int:
        """Whose address this is, or was."""

    @abstractmethod
    def of_keys(self, keys: set[bytes], secret: bytes) -> set[int]:
        """Whose deliveries these keys are about."""

    @abstractmethod
    def churn(self, standing: Standing | None, random: Random) -> None:
        """Some leave, some join, some change their address, among them some whose delivery is in doubt."""

    @property
    def without(self) -> set[int]:
        """Of those expected, who has no address at all."""
        return set()

    @property
    def dead(self) -> set[int]:
        """Of those expected, whose address nobody has any more."""
        return set()


@dataclass
class People(Audience):
    """One delivery for each person, by e-mail."""

    present: dict[int, str] = field(default_factory=dict)
    """Number → address."""

    @classmethod
    def settle(cls, file: Path, count: int) -> People:
        """A warehouse with so many people."""
        present = {number: f"person-{number}@mail.example" for number in range(1, count + 1)}
        with duckdb.connect(str(file)) as connection:
            connection.execute(
                "create table people as select i as id, 'person-' || i || '@mail.example' as email, true as subscribed "
                f"from range(1, {count + 1}) people(i)"
            )
        return cls(file, set(present), present=present)

    def of(self, address: str) -> int:
        return int(address.partition("@")[0].removeprefix("person-"))

    def of_keys(self, keys: set[bytes], secret: bytes) -> set[int]:
        """By their marks: an address may have changed since."""
        if not keys:
            return set()
        marks = {mark_of(key) for key in keys}
        ever = self.expected | self.left | set(self.present)
        return {number for number in ever if person_mark(secret, key_of(number)) in marks}

    def churn(self, standing: Standing | None, random: Random) -> None:
        near = self.of_keys(standing.near, standing.secret) if standing else set()
        doubt = self.of_keys(standing.in_doubt, standing.secret) if standing else set()
        chosen = random.sample(sorted(self.present), 2 * CHURN)
        chosen += random.sample(sorted(doubt & self.present.keys()), min(4, len(doubt & self.present.keys())))
        chosen = random.sample(chosen, len(chosen))
        leaving, moving = set(chosen[::2]), set(chosen[1::2]) - set(chosen[::2])
        first = max(self.expected | self.left | self.present.keys()) + 1
        joining = range(first, first + CHURN)
        self._write(leaving, moving, joining, random.randrange(10**6))
        self.left |= leaving
        self.gone |= leaving & doubt
        self.moved |= moving & doubt
        self.parted |= self._parted(standing, (leaving | moving) & doubt)
        self.expected -= {number for number in leaving - near if ahead(key_of(number), standing)}
        self.expected |= {number for number in joining if ahead(key_of(number), standing)}

    def _parted(self, standing: Standing | None, changed: set[int]) -> set[int]:
        """Everybody whose call can not be repeated exactly, now that these have changed."""
        if standing is None or not changed:
            return set()
        marks = {person_mark(standing.secret, key_of(number)) for number in changed}
        broken = {call for key, call in standing.calls.items() if mark_of(key) in marks}
        return self.of_keys({key for key, call in standing.calls.items() if call in broken}, standing.secret)

    def _write(self, leaving: set[int], moving: set[int], joining: range, place: int) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("delete from people where id in (select unnest(?))", [sorted(leaving)])
            connection.execute(
                f"update people set email = 'person-' || id || '@moved-{place}.example' where id in (select unnest(?))",
                [sorted(moving)],
            )
            connection.execute(
                "insert into people select i, 'person-' || i || '@mail.example', true from (select unnest(?) as i)",
                [list(joining)],
            )
        for number in leaving:
            del self.present[number]
        self.present |= {number: f"person-{number}@moved-{place}.example" for number in moving}
        self.present |= {number: f"person-{number}@mail.example" for number in joining}


def key_of(person: int) -> str:
    """The key text of this person."""
    return key_text([str(person)])


def ahead(key: str, standing: Standing | None) -> bool:
    """Whether the run has yet to meet the person with this key text."""
    if standing is None or standing.cursor is None:
        return True
    return position(standing.salt, key) > standing.cursor
