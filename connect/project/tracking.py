"""What of an e-mail is counted when it is read, and what its links say of where they stood."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import Written, refuse
from connect.project.types import Word


class Tracked(StrEnum):
    """Who counts."""

    no = "false"  # not Connect; a provider that counts by itself does as its account says
    yes = "true"  # Connect's own server, whoever carries the message
    auto = "auto"  # Connect's own server, where nobody who may carry the message counts by itself


def _tracked(value: object) -> object:
    if isinstance(value, Block | Items) or (isinstance(value, Scalar) and str(value) not in list(map(str, Tracked))):
        hint = "`auto` leaves it to providers that count by themselves"
        raise refuse("wrong-type", "this must be `true`, `false` or `auto`", hint)
    return Tracked(value) if isinstance(value, Scalar) else value


TrackedField = Annotated[
    Tracked,
    BeforeValidator(_tracked),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": ["true", "false", "auto"]}]}),
]


class Track(Written):
    """Openings and clicks."""

    section: ClassVar[str] = "track"

    opens: TrackedField = Field(Tracked.no, description="a picture that nobody sees, at the end of the page")
    clicks: TrackedField = Field(Tracked.no, description="links that lead over Connect's server")

    @property
    def asked(self) -> bool:
        return self.opens is not Tracked.no or self.clicks is not Tracked.no


class Utm(Written):
    """What is added to links, for whoever counts visits of the page behind them. Literal text."""

    section: ClassVar[str] = "utm"

    source: Word | None = Field(None, description="the project's name where it is left out")
    medium: Word = Field("email", description="`email` where it is left out")
    campaign: Word | None = Field(None, description="the campaign's name where it is left out")
    term: Word | None = None
    content: Word | None = None

    def parameters(self, project: str, campaign: str) -> tuple[tuple[str, str], ...]:
        """(name, value) as they stand in a URL."""
        values = (self.source or project, self.medium, self.campaign or campaign, self.term, self.content)
        names = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
        return tuple((name, value) for name, value in zip(names, values, strict=True) if value)


def _utm(value: Any) -> Any:
    if isinstance(value, Items) or (isinstance(value, Scalar) and value not in ("true", "false")):
        raise refuse("wrong-type", "this must be `true`, or a mapping", "{source, medium, campaign, term, content}")
    if isinstance(value, Scalar):
        return Utm() if value == "true" else None
    return value


UtmField = Annotated[Utm | None, BeforeValidator(_utm)]
UTM_SHORT: dict[str, Any] = {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
"""What may be written instead of the mapping."""
