"""When to stop and ask a person: too much goes wrong in a row, or too much is in doubt."""

from __future__ import annotations

from collections import deque

from connect.errors import Disposition, Problem, RunTrouble
from connect.ledger.records import RunRecord

_LOOKED_AT = 500
_SHARE = 0.2
_MOST_RECOVERIES = 3
_DOUBT_SHARE, _DOUBT_LEAST = 0.01, 100


class Breaker:
    """Watches the last few hundred deliveries; trips when more than a fifth of them went wrong for one reason."""

    def __init__(self, *, off: bool = False) -> None:
        self._count = 0
        self._wrong: deque[int] = deque()
        """Which of the last went wrong."""
        self.off = off
        """Somebody has looked at it, and wants the run to go on."""

    def trips(self, wrong: bool) -> bool:
        """Note one more delivery; whether that is enough."""
        self._count += 1
        if self.off or not (wrong or self._wrong):
            return False
        if wrong:
            self._wrong.append(self._count)
        while self._wrong and self._wrong[0] <= self._count - _LOOKED_AT:
            self._wrong.popleft()
        return self._count >= _LOOKED_AT and len(self._wrong) > _SHARE * _LOOKED_AT


def template_trouble(reason: str) -> RunTrouble:
    """So many people can not be rendered that the content or the query must be wrong."""
    return _pause(
        "content-breaks",
        f"of the last {_LOOKED_AT} people, more than a fifth were refused because of the content, lately `{reason}`",
        "look at what the report shows; `connect run` goes on, `connect runs cancel` ends the run",
    )


def provider_trouble(account: str, reason: str) -> RunTrouble:
    """So many messages are refused for good that the list or the sender must be wrong."""
    return _pause(
        "provider-refuses",
        f"of the last {_LOOKED_AT} messages, {account} refused more than a fifth for good, lately `{reason}`",
        "look at the list, the sender and the content before more of it is burned; `connect run` goes on",
    )


def crash_trouble(run: RunRecord) -> RunTrouble | None:
    """A run that crashes again and again without getting anywhere must not burn its audience."""
    if run.recoveries < _MOST_RECOVERIES:
        return None
    return _pause(
        "crash-loop",
        f"{run.recoveries} workers in a row have died without getting any further",
        "find out why (memory? the provider's library?); `connect run` tries once more",
    )


def doubt_trouble(in_doubt: int, audience: int) -> RunTrouble | None:
    """Crashes have left more in doubt than a look is worth."""
    if in_doubt <= max(_DOUBT_LEAST, _DOUBT_SHARE * audience):
        return None
    return _pause(
        "too-much-in-doubt",
        f"crashes have left {in_doubt:,} deliveries in doubt, of an audience of {audience:,}",
        "find out why it crashes; `connect run` goes on, and counts them as unknown",
    )


def down_trouble(account: str, reason: str) -> RunTrouble:
    """A provider that has answered nobody for a long time is down: that is nobody's failed delivery."""
    return _pause(
        "provider-down",
        f"{account} has taken no message for ten minutes, lately `{reason}`",
        f"`connect doctor` tests {account}; when it is back, `connect run` goes on where this run stopped",
    )


def devices_trouble(account: str, reason: str) -> RunTrouble:
    """So many devices in a row are not of this app that the settings must be wrong: no token is to be thrown away."""
    return _pause(
        "devices-refused",
        f"{account} takes none of the devices, lately `{reason}`: are these tokens of another app or environment?",
        f"`connect doctor` tests {account}; compare its app and environment with where the tokens come from",
    )


def _pause(code: str, message: str, hint: str) -> RunTrouble:
    return RunTrouble(Disposition.pause, Problem(code, message, hint))
