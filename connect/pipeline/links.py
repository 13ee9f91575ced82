"""Links of a message that are ours: to unsubscribe (on the project's server, or the user's page), and to see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from connect.channels.email import UnsubscribeHeaders
from connect.errors import Problem
from connect.identity import KeyRing, unsubscribe_token
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal
from connect.pipeline.visits import view_token
from connect.vocabulary import Channel, Reason

Columns = Mapping[str, Sequence[object]]
Link = Callable[[int, dict[str, str], bytes], str]
"""(row, claims but for the topic, which is added, message key) → the unsubscribe link."""
View = Callable[[bytes, str], str]
"""(message key, key text) → where the message can be seen in a browser."""

_URL = re.compile(r"https?://[^\s<>\"]+")


def _is_url(text: str) -> bool:
    """As the pattern has it. What is printable ASCII, as nearly every link is, it takes four times as long for."""
    if text.isascii() and text.isprintable():
        begun = text.startswith("https://", 0, -1) or text.startswith("http://", 0, -1)
        return begun and not (" " in text or "<" in text or ">" in text or '"' in text)
    return _URL.fullmatch(text) is not None


@dataclass(frozen=True)
class UnsubscribeLinks:
    """How unsubscribe links are made for every message of a run."""

    ring: KeyRing
    base_url: str | None
    page: Template | None
    """The user's own page, in Liquid: it sees `user`, `campaign` and `url.token`."""
    mailto: str | None
    topic: str | None

    def over(self, columns: Columns, scope: Mapping[str, object]) -> Link:
        """Bound to a batch: (row, claims, message key) → the link; empty where the project has none."""
        page = self.page.over(columns, scope) if self.page else None
        topic = self.topic or ""

        def link(row: int, claims: dict[str, str], key: bytes) -> str:
            claims["topic"] = topic
            token = unsubscribe_token(self.ring, key, claims) if self.ring.secrets else ""
            if page is not None:
                return self._checked(page(row, key, {"token": token}))
            return f"{self.base_url.rstrip('/')}/u/{token}" if self.base_url and token else ""

        return link

    def view(self, head: bytes, key_text: str) -> str:
        """Where a message can be seen in a browser; empty where the project has no server."""
        token = view_token(self.ring, head, key_text) if self.ring.secrets and self.base_url else ""
        return f"{self.base_url}/v/{token}" if token else ""

    def _checked(self, rendered: str) -> str:
        assert self.page is not None
        link = rendered.strip()
        if not _is_url(link):
            raise Refusal(
                Reason.render_error,
                Problem(
                    "unsubscribe-url",
                    "`unsubscribe.url` does not render to an http(s) URL for this person",
                    "add `| encode` to values inside it",
                    self.page.text.location(1, 1),
                ),
            )
        return link


class InertLinks(UnsubscribeLinks):
    """For previews: a link that leads nowhere, so that nobody is taken off a list by looking."""

    def over(self, columns: Columns, scope: Mapping[str, object]) -> Link:
        return lambda row, claims, key: "https://preview.example/unsubscribe"

    def view(self, head: bytes, key_text: str) -> str:
        return "https://preview.example/view"


class Urls(Mapping[str, object]):
    """`url.*` in Liquid, made when a template or a header first asks for it."""

    __slots__ = (
        "_address",
        "_channel",
        "_correlation",
        "_key",
        "_key_text",
        "_link",
        "_made",
        "_person",
        "_row",
        "_view",
        "_viewed",
    )
    _NAMES = ("unsubscribe_link", "unsubscribe", "permalink_link", "permalink")

    def __init__(
        self,
        link: Link,
        row: int,
        key: bytes,
        *,
        person: str,
        channel: Channel,
        address: str,
        correlation: str = "",
        key_text: str = "",
        view: View | None = None,
    ) -> None:
        self._link, self._row, self._key, self._correlation = link, row, key, correlation
        self._person, self._channel, self._address = person, channel, address
        self._made: str | None = None
        self._view, self._key_text, self._viewed = view, key_text, ""

    @property
    def unsubscribe_link(self) -> str:
        if self._made is None:
            claims = {
                "id": self._person,
                "channel": self._channel,
                "address": self._address,
                "correlation": self._correlation,
            }
            self._made = self._link(self._row, claims, self._key)
        return self._made

    @property
    def permalink_link(self) -> str:
        """Where the message can be seen in a browser; empty for what is no e-mail."""
        if not self._viewed and self._view is not None and self._channel is Channel.email:
            self._viewed = self._view(self._key, self._key_text)
        return self._viewed

    @property
    def made(self) -> tuple[str, ...]:
        """The links that somebody has asked for."""
        return tuple(link for link in (self._made, self._viewed) if link)

    def headers(self, mailto: str | None) -> UnsubscribeHeaders | None:
        """What List-Unsubscribe says; None where the project has neither a URL nor an address."""
        link = self.unsubscribe_link
        return UnsubscribeHeaders(url=link or None, mailto=mailto) if link or mailto else None

    def __getitem__(self, name: str) -> object:
        if name == "unsubscribe_link":
            return self.unsubscribe_link
        if name == "unsubscribe":
            return Markup('<a href="{}">Unsubscribe</a>').format(self.unsubscribe_link)
        if name == "permalink_link":
            return self.permalink_link
        if name == "permalink":
            return Markup('<a href="{}">View in your browser</a>').format(self.permalink_link)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._NAMES)

    def __len__(self) -> int:
        return len(self._NAMES)
