"""What it takes to compose a run's messages, in whichever process that is done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from connect.identity import KeyRing
from connect.liquid.library import Library
from connect.pipeline.bundle import Bundle
from connect.pipeline.compose import Composer, Platforms, Recipients
from connect.pipeline.contents.http import Secrets
from connect.pipeline.deliveries import RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.recovery import Recovered
from connect.pipeline.tracking import Tracking
from connect.pipeline.waves import Turn
from connect.vocabulary import Channel


@dataclass(frozen=True)
class Kit:
    """The campaign with its templates, and what the project adds. It can be sent to another process."""

    bundle: Bundle
    facts: RunFacts = field(repr=False)
    ring: KeyRing = field(repr=False)
    base_url: str | None
    mailto: str | None
    test_recipient: Recipients = field(repr=False)
    turn: Turn | None = None
    """Which deliveries this slice of the run settles; None where it settles all."""
    secrets: Secrets = field(default_factory=dict, repr=False)
    """Those of the campaign's content."""
    platforms: Platforms = field(default_factory=dict)
    project: str = ""
    """Its name."""
    by_themselves: frozenset[str] = frozenset()
    """The accounts whose provider counts openings and clicks."""
    library: Library | None = field(default=None, repr=False, compare=False)
    """Where its templates are parsed already; not for another process."""

    def composer(self, recovered: Recovered, copied: Collection[Channel]) -> Composer:
        """`copied` are the channels of which a test run has sent its one copy."""
        library = self.library or Library(self.bundle.templates)
        page = self.bundle.unsubscribe_page
        links = UnsubscribeLinks(
            ring=self.ring,
            base_url=self.base_url,
            page=library.compile(page, escape=False) if page else None,
            mailto=self.mailto,
            topic=self.bundle.campaign.message.topic,
        )
        return Composer(
            self.bundle.campaign,
            library,
            self.facts,
            links,
            test_recipient=self.test_recipient,
            copied=set(copied),
            recovered=recovered,
            turn=self.turn,
            secrets=self.secrets,
            platforms=self.platforms,
            tracking=Tracking(self.project, self.facts.campaign, self.ring, self.base_url, self.by_themselves),
        )
