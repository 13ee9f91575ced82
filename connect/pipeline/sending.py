"""A message of messages/ without a campaign, for people who are kept in memory only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from connect.errors import UserError
from connect.ledger.refusals import RunEnded
from connect.ledger.store import Ledger
from connect.project.audience import Audience
from connect.project.campaign import Campaign, digest
from connect.project.campaigns import Loaded, LoadedMessage
from connect.project.policy import Policy
from connect.project.project import Project
from connect.project.trigger import Immediate
from connect.vocabulary import CampaignStatus, RunState

People = Sequence[dict[str, Any]]

_RUN_OF = "message "
"""What the runs of messages are called, before the message's name. No campaign has a space in its name."""
_KEYS = ("id", "email", "phone_number", "device_token")


def is_a_send(campaign: str) -> bool:
    """Whether a run of this name sent a message without a campaign."""
    return campaign.startswith(_RUN_OF)


def as_campaign(project: Project, name: str, message: LoadedMessage, people: People) -> Loaded:
    """The message as a campaign that runs once, now, for these people.

    Raises UserError where nothing says who is who.
    """
    campaign = None
    if message.message is not None:
        campaign = Campaign.model_construct(
            name=f"{_RUN_OF}{name}",
            description="",
            status=CampaignStatus.live,
            trigger=Immediate(type="immediate", timezone=project.timezone),
            audience=Audience.model_construct(
                source=project.default_source, people=tuple(people), key=_key(people), params={}
            ),
            examples=(),
            message=message.message,
            policy=Policy(),
            file=message.file,
            digest="",
        )
        campaign = campaign.model_copy(update={"digest": digest(campaign)})
    return Loaded(campaign, message.problems, message.texts, message.file)


def end_abandoned(ledger: Ledger) -> None:
    """End what can not go on: runs whose people were in the memory of a process that is gone."""
    for run in ledger.abandoned():
        with suppress(RunEnded):  # another one has seen it, too
            ledger.finish(run.id, RunState.cancelled, "it was interrupted, and its people were in memory only")


def _key(people: People) -> tuple[str, ...]:
    """What tells people apart: the first of these that all of them have."""
    for name in _KEYS:
        if all(name in row for row in people):
            return (name,)
    said = "nothing tells these people apart" if len(people) > 1 else "nothing says who this person is"
    hint = f"give each one of {', '.join(_KEYS)}, such as: id=7"
    raise UserError.of("bad-person", said, hint)
