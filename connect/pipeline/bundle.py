"""What is kept with a run, so that a resume does not depend on the checkout: the campaign and its templates.

People who are written in a campaign file stay there: they are left out, and taken from the file on a resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from connect.project.campaign import Campaign
from connect.project.text import Text


class Bundle(BaseModel):
    """A campaign with every template that it reaches."""

    model_config = ConfigDict(frozen=True)

    campaign: Campaign
    templates: dict[str, Text]
    unsubscribe_page: Text | None = None


_PEOPLE = {"campaign": {"examples": True, "audience": {"people": True}}}


@dataclass(frozen=True, slots=True)
class Stored:
    """A bundle as the ledger keeps it."""

    json: str
    digest: str


def store(bundle: Bundle) -> Stored:
    """A bundle as text for the ledger, without people."""
    return Stored(bundle.model_dump_json(exclude=_PEOPLE), bundle.campaign.digest)


def restore(json: str, people: Mapping[str, object] | None = None) -> Bundle:
    """The bundle that a run was started with."""
    return Bundle.model_validate_json(json)
