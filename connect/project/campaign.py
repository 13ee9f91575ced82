"""A campaign: when, who, what."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from pydantic import Field

from connect.project.audience import Audience
from connect.project.conversions import Conversions
from connect.project.message import CampaignMessage
from connect.project.policy import Policy
from connect.project.reading import Written
from connect.project.text import Text
from connect.project.trigger import Trigger
from connect.project.types import Name, Values, Word
from connect.vocabulary import CampaignStatus


class Campaign(Written):
    """One campaign with everything that it inherits, ready to be stored and loaded again without its files.

    `audience.people` must not be stored: `campaign.model_dump_json(exclude=STORED_WITHOUT)`.
    """

    section: ClassVar[str] = "campaign"
    made: ClassVar[frozenset[str]] = frozenset({"file", "digest"})

    name: Name = Field("", description="its permanent identity; the file's stem where it is left out")
    description: Word = ""
    status: CampaignStatus = Field(CampaignStatus.draft, description="drafts are never sent live")
    trigger: Trigger
    audience: Audience
    examples: tuple[Values, ...] = Field((), repr=False, description="invented rows that `connect preview` renders")
    message: CampaignMessage
    policy: Policy = Policy()
    conversions: Conversions | None = Field(None, description="who did what the campaign is for, asked for reports")
    file: str = ""
    digest: str = ""
    """SHA-256 over everything that has an effect on a run; neither places nor people nor examples."""


def secrets_of(campaign: Campaign) -> set[str]:
    """The texts of a campaign's contents that hold references to secrets, for `Project.reveal`."""
    return {secret.references for content in campaign.message.content for secret in content.secrets()}


STORED_WITHOUT: dict[str, Any] = {"audience": {"people"}, "examples": True, "conversions": True}
"""What a stored campaign leaves out: people, and what has no effect on a run."""


def digest(campaign: Campaign) -> str:
    kept = campaign.model_dump(mode="json", exclude={**STORED_WITHOUT, "file": True, "digest": True})
    text = json.dumps(_without_places(kept), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_places(value: Any) -> Any:
    """Texts reduced to what they say, so that moving a line does not make another campaign."""
    if isinstance(value, dict):
        if value.keys() == Text.model_fields.keys():
            return value["source"]
        return {key: _without_places(inner) for key, inner in value.items()}
    return [_without_places(inner) for inner in value] if isinstance(value, list) else value
