"""What is put under fire: a receiver, a ledger, a size of calls and a policy."""

from __future__ import annotations

from dataclasses import dataclass

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_CONCURRENCY = {1: 8, 100: 4, 500: 2, 1000: 2}
_STEP = {1: 120, 100: 600, 500: 1500, 1000: 2000}
POSTMARK, RESEND, FCM = "postmark", "resend", "fcm"
ADAPTERS = (POSTMARK, RESEND, FCM)
"""Receivers that are spoken to by the adapters that people use."""


@dataclass(frozen=True)
class Scenario:
    receiver: str
    """http or smtp, or one of `ADAPTERS`"""
    idempotent: bool
    """The receiver remembers keys."""
    bulk: int
    """Messages in one call, at most."""
    policy: str
    """`in_doubt`: skip or resend"""
    ledger: str = SQLITE
    churn: bool = True
    """People leave, join and change their address while nothing runs."""
    whole_calls: bool = False
    """What an idempotent receiver remembers is the key of a call, and not of each message."""
    workers: int = 1
    """Processes that compose and send."""
    written: bool = False
    """The warehouse is in the ledger's database, and deliveries are written back into it."""

    def __str__(self) -> str:
        kind = f"{self._kind}{'' if self.idempotent else f', {self.policy}'}"
        churn = "churn" if self.churn else "no churn"
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        written = ", written back" if self.written else ""
        return f"{self.receiver} × {self.bulk}, {kind}, {self.ledger}, {churn}{workers}{written}"

    @property
    def adapter(self) -> str:
        """The provider's name in the catalog."""
        if self.receiver in ("smtp", *ADAPTERS):
            return self.receiver
        return f"chaos_{self._kind.replace(' ', '_')}_{self.bulk}"

    @property
    def _kind(self) -> str:
        if self.whole_calls:
            return "request key"
        return "idempotent" if self.idempotent else "plain"

    @property
    def resends(self) -> bool:
        """Whether deliveries in doubt are sent again."""
        return self.idempotent or self.policy == "resend"

    @property
    def is_push(self) -> bool:
        """To the devices of people, instead of by e-mail."""
        return self.receiver == FCM

    @property
    def concurrency(self) -> int:
        return 32 if self.is_push else _CONCURRENCY[self.bulk]

    @property
    def window(self) -> int:
        """Deliveries that one kill may leave in doubt: calls released at a time, times their size."""
        return 2 * self.concurrency * self.bulk

    @property
    def step(self) -> int:
        """About how many deliveries lie between two kills."""
        return _STEP[self.bulk]

    def audience(self, kills: int) -> int:
        """Enough people for so many kills."""
        return (kills + 2) * (2 * self.step + self.window)


def _http(bulk: int, ledger: str, *, idempotent: bool, policy: str = "skip", churn: bool = True) -> Scenario:
    return Scenario("http", idempotent, bulk, policy, ledger, churn)


def _request_key(bulk: int, ledger: str, *, churn: bool) -> Scenario:
    return Scenario("http", True, bulk, "skip", ledger, churn, whole_calls=True)


def _adapters(ledger: str) -> list[Scenario]:
    return [
        Scenario(POSTMARK, False, 500, "skip", ledger),
        *(Scenario(RESEND, True, 100, "skip", ledger, churn, whole_calls=True) for churn in (True, False)),
        Scenario(FCM, False, 1, "skip", ledger),
    ]


def _of_ledger(ledger: str) -> list[Scenario]:
    return [
        _http(1, ledger, idempotent=True),
        _http(1, ledger, idempotent=False),
        _http(100, ledger, idempotent=True),
        _http(100, ledger, idempotent=False),
        _http(1000, ledger, idempotent=True),
        _http(1000, ledger, idempotent=False),
        _http(1, ledger, idempotent=False, policy="resend"),
        Scenario("smtp", False, 1, "skip", ledger),
        *(_request_key(bulk, ledger, churn=churn) for bulk in (1, 100, 1000) for churn in (True, False)),
        *_adapters(ledger),
    ]


FULL = [
    *_of_ledger(SQLITE),
    _http(100, SQLITE, idempotent=False, policy="resend"),
    Scenario("smtp", False, 1, "resend"),
    _http(1, SQLITE, idempotent=True, churn=False),
    _http(1, SQLITE, idempotent=False, churn=False),
    Scenario("http", False, 1, "skip", workers=2),
    Scenario("http", True, 100, "skip", workers=2),
    Scenario("http", True, 100, "skip", churn=False, whole_calls=True, workers=2),
    Scenario("smtp", False, 1, "skip", workers=2),
    Scenario(FCM, False, 1, "resend"),
    Scenario(FCM, False, 1, "skip", workers=2),
    *_of_ledger(POSTGRESQL),
    Scenario("http", False, 1, "skip", POSTGRESQL, churn=False, written=True),
    Scenario("http", False, 100, "skip", POSTGRESQL, churn=False, workers=2, written=True),
]
"""In the order of the table."""


def chosen(text: str) -> list[Scenario]:
    """Those whose receiver this is, or whose name holds it."""
    return [each for each in FULL if each.receiver == text] or [each for each in FULL if text in str(each)]
