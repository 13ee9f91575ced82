"""Unsubscribe links: a sealed token on the project's server, or the user's own page."""

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
from connect.vocabulary import Channel, Reason

Columns = Mapping[str, Sequence[object]]
Link = Callable[[int, Mapping[str, str], bytes], str]
"""(row, claims, message key) → the unsubscribe link."""

_URL = re.compile(r"https?://[^\s<>\"]+")


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

        def link(row: int, claims: Mapping[str, str], key: bytes) -> str:
            token = unsubscribe_token(self.ring, key, {**claims, "topic": topic}) if self.ring.secrets else ""
            if page is not None:
                return self._checked(page(row, key, {"token": token}))
            return f"{self.base_url.rstrip('/')}/u/{token}" if self.base_url and token else ""

        return link

    def _checked(self, rendered: str) -> str:
        assert self.page is not None
        link = rendered.strip()
        if not _URL.fullmatch(link):
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


class Urls(Mapping[str, object]):
    """`url.*` in Liquid, made when a template or a header first asks for it."""

    __slots__ = ("_address", "_channel", "_key", "_link", "_made", "_person", "_row")
    _NAMES = ("unsubscribe_link", "unsubscribe")

    def __init__(self, link: Link, row: int, key: bytes, *, person: str, channel: Channel, address: str) -> None:
        self._link, self._row, self._key = link, row, key
        self._person, self._channel, self._address = person, channel, address
        self._made: str | None = None

    @property
    def unsubscribe_link(self) -> str:
        if self._made is None:
            claims = {"id": self._person, "channel": self._channel.value, "address": self._address}
            self._made = self._link(self._row, claims, self._key)
        return self._made

    def headers(self, mailto: str | None) -> UnsubscribeHeaders | None:
        """What List-Unsubscribe says; None where the project has neither a URL nor an address."""
        link = self.unsubscribe_link
        return UnsubscribeHeaders(url=link or None, mailto=mailto) if link or mailto else None

    def __getitem__(self, name: str) -> object:
        if name == "unsubscribe_link":
            return self.unsubscribe_link
        if name == "unsubscribe":
            return Markup('<a href="{}">Unsubscribe</a>').format(self.unsubscribe_link)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._NAMES)

    def __len__(self) -> int:
        return len(self._NAMES)
