"""Messages rendered for a look: through the same composer as a run, to nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from connect.channels.message import Message
from connect.identity import KeyRing, key_text
from connect.liquid.library import Library
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Ended, Person, RunFacts
from connect.pipeline.links import InertLinks
from connect.pipeline.tracking import Tracking
from connect.project.campaign import Campaign, secrets_of
from connect.redact import HIDDEN, Secret
from connect.vocabulary import Channel, Mode

_RUN = "preview000000000"


@dataclass(frozen=True, slots=True)
class Preview:
    """One delivery of one row: the message, or why there is none."""

    row: int
    channel: Channel
    result: Message | Ended
    problems: tuple[str, ...] = ()


def previews(
    project: str, campaign: Campaign, library: Library, rows: Iterable[Mapping[str, object]], now: datetime
) -> list[Preview]:
    """What each row would get. Opt-outs and duplicates are not looked at: they are the warehouse's to know.

    `project` is its name. Links lead where they say, and nothing is counted.
    """
    facts = RunFacts(_RUN, campaign.name, "preview", Mode.live, now, b"preview")
    links = InertLinks(KeyRing(()), None, None, None, campaign.message.topic)
    secrets = dict.fromkeys(secrets_of(campaign), Secret(HIDDEN))
    found: list[Preview] = []
    for number, row in enumerate(rows, start=1):
        composer = Composer(
            campaign,
            library,
            facts,
            links,
            test_recipient={},
            copied=set(),
            secrets=secrets,
            tracking=Tracking(project, campaign.name),
        )
        for delivery in composer.deliveries(Person(_key(campaign, row), row, {})):
            result = delivery.result if isinstance(delivery.result, Ended) else delivery.result.message
            found.append(Preview(number, delivery.channel, result, tuple(composer.problems)))
    return found


def _key(campaign: Campaign, row: Mapping[str, object]) -> str:
    return key_text([str(row.get(column, "")) for column in campaign.audience.key])
