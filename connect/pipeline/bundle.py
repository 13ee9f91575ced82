"""What is kept with a run, so that a resume does not depend on the checkout: the campaign and its templates.

People who are written in a campaign file stay there: they are left out, and taken from the file on a resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from connect.errors import UserError
from connect.liquid.library import Library
from connect.pipeline.lint import contents
from connect.project.campaign import STORED_WITHOUT, Campaign
from connect.project.text import Text


class Bundle(BaseModel):
    """A campaign with every template that it reaches."""

    model_config = ConfigDict(frozen=True)

    campaign: Campaign
    templates: dict[str, Text]
    unsubscribe_page: Text | None = None

    @classmethod
    def of(cls, campaign: Campaign, library: Library, templates: Mapping[str, Text], page: Text | None) -> Bundle:
        """The campaign as it stands in the checkout now."""
        texts = [text for text, _ in contents(campaign)] + ([page] if page else [])
        used = {name for text in texts for name in library.used(text)}
        return cls(
            campaign=campaign,
            templates={name: templates[name] for name in sorted(used)},
            unsubscribe_page=page,
        )

    def stored(self) -> str:
        """The bundle as text for the ledger, without people."""
        return self.model_dump_json(exclude={"campaign": STORED_WITHOUT})

    @classmethod
    def restore(cls, stored: str, now: Campaign | None) -> Bundle:
        """The bundle that a run was begun with; people come from the campaign as it is now.

        Raises UserError when they are needed and not there any more.
        """
        bundle = cls.model_validate_json(stored)
        if bundle.campaign.audience.written is not None:
            return bundle
        people = now.audience.people if now else None
        if people is None:
            raise UserError.of(
                "people-missing",
                f"{bundle.campaign.name} was begun with a list of people, which is kept in its file only",
                "put the list back into the campaign, or `connect runs cancel` the run",
            )
        changed: dict[str, Any] = {"audience": bundle.campaign.audience.model_copy(update={"people": people})}
        return bundle.model_copy(update={"campaign": bundle.campaign.model_copy(update=changed)})
