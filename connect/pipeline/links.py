"""Unsubscribe links: a sealed token on the project's server, or the user's own page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from connect.channels.email import UnsubscribeHeaders
from connect.errors import Problem
from connect.identity import KeyRing, unsubscribe_token
from connect.liquid.template import Template
from connect.liquid.trouble import Refusal
from connect.vocabulary import Channel, Reason

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

    def link(self, scope: Mapping[str, object], claims: Mapping[str, str], key: bytes) -> str:
        """The link of one delivery; empty where the project has none."""
        token = unsubscribe_token(self.ring, key, claims) if self.ring.secrets else ""
        if self.page is not None:
            return self._page(self.page, {**scope, "url": {"token": token}})
        return f"{self.base_url.rstrip('/')}/u/{token}" if self.base_url and token else ""

    def _page(self, page: Template, scope: Mapping[str, object]) -> str:
        link = page.render(scope).strip()
        if not _URL.fullmatch(link):
            raise Refusal(
                Reason.render_error,
                Problem(
                    "unsubscribe-url",
                    "`unsubscribe.url` does not render to an http(s) URL for this person",
                    "add `| encode` to values inside it",
                    page.text.location(1, 1),
                ),
            )
        return link


class InertLinks(UnsubscribeLinks):
    """For previews: a link that leads nowhere, so that nobody is taken off a list by looking."""

    def link(self, scope: Mapping[str, object], claims: Mapping[str, str], key: bytes) -> str:
        return "https://preview.example/unsubscribe"


class Urls(Mapping[str, object]):
    """`url.*` in Liquid, made when a template or a header first asks for it."""

    _NAMES = ("unsubscribe_link", "unsubscribe")

    def __init__(
        self,
        links: UnsubscribeLinks,
        scope: Mapping[str, object],
        key: bytes,
        *,
        person: str,
        channel: Channel,
        address: str,
    ) -> None:
        self._links, self._scope, self._message_key = links, scope, key
        self._claims = {"id": person, "channel": channel.value, "address": address, "topic": links.topic or ""}

    @cached_property
    def unsubscribe_link(self) -> str:
        return self._links.link(self._scope, self._claims, self._message_key)

    def headers(self) -> UnsubscribeHeaders | None:
        """What List-Unsubscribe says; None where the project has neither a URL nor an address."""
        link = self.unsubscribe_link
        mailto = self._links.mailto
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
