"""The links of a run's e-mails: which lead over our own server, and what is added to them."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote_plus, unquote_plus

from connect.channels.tracked import Rewriter
from connect.identity import KeyRing
from connect.pipeline.contents.bound import Asked
from connect.pipeline.visits import Kind, click_token, open_token
from connect.project.message import EmailContent
from connect.project.tracking import Tracked

Head = Callable[[bytes], bytes]
"""Message key → what all links of that delivery begin with (`connect.pipeline.visits`)."""
_PIXEL = '<img src="{}" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">'


@dataclass(frozen=True)
class Tracking:
    """How every e-mail of a run is tracked."""

    project: str
    """Its name, which is where visitors come from unless a content says otherwise."""
    campaign: str
    ring: KeyRing = KeyRing(())
    base_url: str | None = None
    """Of our server; None where nothing is to be counted, as in a preview."""
    by_themselves: frozenset[str] = frozenset()
    """The accounts whose provider counts openings and clicks."""

    def of(self, content: EmailContent, head: Head) -> ContentTracking | None:
        """What is done to this content's pages; None where they stay as they are."""
        clicks, opens = self._ours(content.track.clicks, content), self._ours(content.track.opens, content)
        parameters = content.utm.parameters(self.project, self.campaign) if content.utm else ()
        add = partial(with_parameters, parameters=parameters) if parameters else None
        if not (clicks or opens or add):
            return None
        return ContentTracking(Rewriter(clicks=clicks, opens=opens, add=add), self.ring, self.base_url or "", head)

    def _ours(self, wanted: Tracked, content: EmailContent) -> bool:
        theirs = wanted is Tracked.auto and not self.by_themselves.isdisjoint(content.provider.names)
        return self.base_url is not None and wanted is not Tracked.no and not theirs


class ContentTracking:
    """How the e-mails of one content are tracked."""

    def __init__(self, rewriter: Rewriter, ring: KeyRing, base_url: str, head: Head) -> None:
        self.rewriter, self.ring, self.head = rewriter, ring, head
        self.base = html.escape(base_url)
        self.begin = f"{self.base}/{Kind.click}/"
        kinds = ("u", Kind.view.value, Kind.click.value, Kind.open.value)
        self.own = tuple(f"{base_url}/{kind}/" for kind in kinds) if base_url else ()

    def marks(self, asked: Asked) -> DeliveryMarks:
        """Of a delivery whose page has been rendered."""
        return DeliveryMarks(self, self.head(asked.key), self.own + asked.urls.made)


class DeliveryMarks:
    """The links of one delivery."""

    __slots__ = ("_all", "_head", "begin", "own")

    def __init__(self, all_: ContentTracking, head: bytes, own: tuple[str, ...]) -> None:
        self._all, self._head, self.own, self.begin = all_, head, own, all_.begin

    def click(self, url: str, number: int) -> str:
        return self.begin + click_token(self._all.ring, self._head, url, number)

    def pixel(self) -> str:
        return _PIXEL.format(f"{self._all.base}/o/{open_token(self._all.ring, self._head)}.gif")


def with_parameters(url: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """The URL with these, before its fragment; those that it has already stay as they are."""
    rest, fragment, anchor = url.partition("#")
    page, _, query = rest.partition("?")
    known = {unquote_plus(part.partition("=")[0]) for part in query.split("&")}
    added = [f"{name}={quote_plus(value)}" for name, value in parameters if name not in known]
    joined = "&".join([*([query] if query else []), *added])
    return f"{page}?{joined}{fragment}{anchor}".replace(" ", "%20") if added else url
