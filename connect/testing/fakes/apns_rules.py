"""What APNs lets in: requests as Apple documents them, and provider tokens that are good (for the fake of `apns`)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt


@dataclass(frozen=True)
class Push:
    """One request that arrived."""

    token: str
    """The device's."""
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    """Instead of a reason: whatever it is."""


class ProviderTokens:
    """Which provider tokens are good: signed with the key, at most an hour old, and renewed rarely."""

    def __init__(self, public_key: str, team_id: str, key_id: str) -> None:
        self._key, self._team_id, self._key_id = public_key, team_id, key_id
        self.now: Callable[[], float] = time.time
        self.accepted: list[str] = []
        """In the order in which they came."""
        self._issued: dict[str, float] = {}

    def refusal(self, authorization: str) -> Answer | None:
        scheme, _, token = authorization.partition(" ")
        if scheme != "bearer" or not token:
            return Answer(403, "MissingProviderToken")
        if token not in self._issued:
            try:
                self._issued[token] = self._read(token)
            except jwt.InvalidTokenError:
                return Answer(403, "InvalidProviderToken")
        return self._of_age(token)

    def _read(self, token: str) -> float:
        if jwt.get_unverified_header(token) != {"alg": "ES256", "kid": self._key_id}:
            raise jwt.InvalidTokenError
        options: Any = {"require": ["iss", "iat"], "verify_iat": False}
        claims = jwt.decode(token, self._key, algorithms=["ES256"], issuer=self._team_id, options=options)
        return float(claims["iat"])

    def _of_age(self, token: str) -> Answer | None:
        issued = self._issued[token]
        if self.now() - issued > 3600 or issued > self.now() + 60:
            return Answer(403, "ExpiredProviderToken")
        if token not in self.accepted:
            if any(abs(issued - self._issued[other]) < 1200 for other in self.accepted):
                return Answer(429, "TooManyProviderTokenUpdates")
            self.accepted.append(token)
        return None


_TYPES = {
    *("alert", "background", "complication", "controls", "fileprovider", "liveactivity", "location", "mdm"),
    *("pushtotalk", "voip", "widgets"),
}
_FIELDS: dict[str, Callable[[str], object]] = {
    "authorization": lambda value: value.startswith("bearer "),
    "apns-topic": bool,
    "apns-push-type": _TYPES.__contains__,
    "apns-priority": {"1", "5", "10"}.__contains__,
    "apns-id": lambda value: str(UUID(value)) == value,
    "apns-collapse-id": lambda value: 0 < len(value.encode()) <= 64,
    "apns-expiration": str.isdecimal,
    "content-length": str.isdecimal,
    "user-agent": bool,
    "accept": bool,
}
"""Every header that a request may have, and what makes it a good one."""
_REQUIRED = {"authorization", "apns-topic", "apns-push-type"}

_APS: dict[str, tuple[type, ...]] = {
    "alert": (str, dict),
    "badge": (int,),
    "sound": (str, dict),
    "thread-id": (str,),
    "category": (str,),
    "content-available": (int,),
    "mutable-content": (int,),
    "target-content-id": (str,),
    "interruption-level": (str,),
    "relevance-score": (int, float),
    "filter-criteria": (str,),
    "stale-date": (int,),
    "content-state": (dict,),
    "timestamp": (int,),
    "event": (str,),
    "dismissal-date": (int,),
    "attributes-type": (str,),
    "attributes": (dict,),
}
"""documented at developer.apple.com, Generating a remote notification"""


def misfits(push: Push, path: str, method: str) -> Iterator[str]:
    """What does not fit the documentation."""
    if method != "POST" or not re.fullmatch(r"/3/device/[0-9a-fA-F]+", path):
        yield "the path is not POST /3/device/<token>"
    yield from (f"{name} is missing" for name in _REQUIRED - push.headers.keys())
    yield from (f"{name} is unknown" for name in push.headers.keys() - _FIELDS.keys())
    for name in push.headers.keys() & _FIELDS.keys():
        if not _FIELDS[name](push.headers[name]):
            yield f"{name} is bad"
    if push.headers.get("apns-push-type") == "background" and push.headers.get("apns-priority") != "5":
        yield "apns-priority of background is not 5"
    yield from _payload_misfits(push.json)


def _payload_misfits(payload: Any) -> Iterator[str]:
    aps = payload.get("aps") if isinstance(payload, dict) else None
    if not isinstance(aps, dict):
        yield "the payload has no aps"
        return
    yield from (f"aps.{name} is unknown" for name in aps.keys() - _APS.keys())
    yield from (f"aps.{name} is bad" for name in aps.keys() & _APS.keys() if not isinstance(aps[name], _APS[name]))
