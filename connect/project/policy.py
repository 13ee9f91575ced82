"""How a campaign sends."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from connect.project.reading import Written
from connect.vocabulary import InDoubt, Reach


class Policy(Written):
    section: ClassVar[str] = "policy"

    reach: Reach = Field(Reach.all, description="every channel, or the first on which the person has an address")
    in_doubt: InDoubt = Field(InDoubt.skip, description="after a crash, for deliveries whose fate is unknown")
