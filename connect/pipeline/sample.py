"""A sample of what an endpoint is told, sent once, for somebody who watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connect.clock import Clock
from connect.pipeline.happening import Happening
from connect.pipeline.posting import Post, ask, client, no_verdict, post, verdict
from connect.project.webhooks import Hook
from connect.providers.http import Unanswered
from connect.vocabulary import Channel, HappeningType

_MOST_WORDS = 2_000
_MOST_HEADERS = 40


@dataclass(frozen=True)
class Answered:
    """What came of it."""

    status: int
    """0 where there was no answer."""
    reason: str
    """Why it was not taken, in snake_case; blank where it was."""
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    """The beginning of the body, where it is text."""

    @property
    def taken(self) -> bool:
        return not self.reason

    def as_json(self) -> dict[str, object]:
        told = {"taken": self.taken, "status": self.status or None, "reason": self.reason or None}
        return {**told, "seconds": round(self.seconds, 3), "headers": dict(self.headers), "body": self.words}


def sample(hook: Hook, kind: HappeningType, target: str, now: datetime) -> Post:
    """A request about a person and a message that there are not, which says so: `"test": true`."""
    return post(hook, replace(_MORE.get(kind, _KNOWN), type=kind, at=now), target, now, test=True)


_KNOWN = Happening(
    HappeningType.sent,
    datetime.min.replace(tzinfo=UTC),
    campaign="example",
    run_id="0" * 16,
    channel=Channel.email,
    key="00" * 16,
    id="42",
    address="ada@example.com",
)
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"
_MORE: Mapping[HappeningType, Happening] = {
    HappeningType.failed: replace(_KNOWN, reason="unknown_recipient"),
    HappeningType.bounced: replace(_KNOWN, bounce="hard", reason="unknown_recipient"),
    HappeningType.opened: replace(_KNOWN, user_agent=_BROWSER),
    HappeningType.clicked: replace(_KNOWN, link="https://example.com/offer", user_agent=_BROWSER),
}


async def ask_once(hook: Hook, asked: Post, clock: Clock) -> Answered:
    """Never raises for what an endpoint does."""
    began = clock.monotonic()
    async with client(hook, 1) as connection:
        try:
            reply = await ask(connection, asked)
        except Unanswered as failure:
            return Answered(0, no_verdict(failure).reason, clock.monotonic() - began)
    seconds = clock.monotonic() - began
    headers = dict(list(reply.headers.items())[:_MOST_HEADERS])
    return Answered(reply.status, verdict(reply, clock.now()).reason, seconds, headers, _text(reply.body))


def _text(body: bytes) -> str:
    """Without what would move a terminal's cursor."""
    words = body[:_MOST_WORDS].decode(errors="replace")
    return "".join(each if each.isprintable() or each == "\n" else " " for each in words).strip()
