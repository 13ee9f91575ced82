"""One request that tells an endpoint of the user's what happened: signed, asked once, and what the answer means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connect.channels.http import http_url
from connect.pipeline.happening import Happening, body, webhook_id
from connect.project.webhooks import Hook
from connect.providers import http_replies
from connect.providers.http import Client, Options, Reply, Unanswered
from connect.providers.signatures import standard_key, standard_signature

TIMEOUT = timedelta(seconds=15)
"""For the whole answer, as Standard Webhooks recommends."""
_LARGEST_ANSWER = 64 << 10
_LONGEST_WAIT = timedelta(minutes=5)
"""That an endpoint may ask for."""


@dataclass(frozen=True, slots=True)
class Post:
    """A request as it goes out."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means."""

    reason: str = ""
    """Why it was not taken, in snake_case; blank where it was."""
    again: bool = False
    """Trying again may help."""
    gone: bool = False
    """The endpoint wants to hear nothing any more (410)."""
    wait: timedelta | None = None
    """That the endpoint asks for."""


def client(hook: Hook, connections: int) -> Client:
    """Redirects are not followed, and no proxy is taken from the environment."""
    public_only = not hook.allow_private
    return Client(Options(TIMEOUT, connections, largest_answer=_LARGEST_ANSWER, public_only=public_only))


def post(hook: Hook, happening: Happening, target: str, now: datetime, *, test: bool = False) -> Post:
    """The request, signed as https://www.standardwebhooks.com has it. Its id is the same however often it is made."""
    told = body(happening, target, test=test)
    name, seconds = webhook_id(happening, standard_key(hook.signing_secret)), int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(seconds),
        "webhook-signature": standard_signature(hook.signing_secret, name, seconds, told),
    }
    return Post(http_url(hook.url) or "", headers, told)


async def ask(client: Client, post: Post) -> Reply:
    """Raises Unanswered."""
    return await client.post(post.url, post.body, post.headers)


def verdict(reply: Reply, now: datetime) -> Verdict:
    """Of an answer: any 2xx has taken it."""
    status = reply.status
    if 200 <= status < 300:
        return Verdict()
    if status in (408, 425, 429) or status >= 500:
        wait = http_replies.retry_after(reply.headers, now)
        return Verdict(f"status_{status}", again=True, wait=min(wait, _LONGEST_WAIT) if wait else None)
    return Verdict(f"status_{status}", gone=status == 410)


_NOT_BY_WAITING = ("private_address", "not_a_request")


def no_verdict(failure: Unanswered) -> Verdict:
    """Of a request without an answer. One that may have been read is repeated under the same id."""
    return Verdict(failure.reason, again=failure.reason not in _NOT_BY_WAITING)
