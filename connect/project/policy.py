"""How a campaign sends."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import Reading, Written, refuse
from connect.project.types import Count, Duration, RateField, TimeOfDay
from connect.vocabulary import Channel, InDoubt, QuietAction, QuietZone, Reach


class Hours(Written):
    """A stretch of every day, past midnight where `to` is before `from`."""

    section: ClassVar[str] = "quiet_hours"

    start: TimeOfDay = Field(alias="from", description="wall-clock time at which it begins")
    end: TimeOfDay = Field(alias="to", description="wall-clock time at which it ends")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        if tree.get("from") is not None and tree.get("from") == tree.get("to"):
            hint = "quiet hours end at another time than they begin"
            reading.report("bad-value", "`from` and `to` are the same time", hint, node=tree.get("to"))
        return tree


def _countries(value: Any) -> Any:
    if isinstance(value, Scalar | Items):
        raise refuse("wrong-type", "this must be a mapping of countries to hours")
    if isinstance(value, Block):
        for key in value:
            if not (len(key) == 2 and key.isascii() and key.isalpha() and key.isupper()):
                hint = "two capital letters (ISO 3166), such as US"
                raise refuse("bad-country", f"`{key}` is not a country", hint, value.key_places.get(key))
    return value


Countries = Annotated[dict[str, Hours], BeforeValidator(_countries)]


class QuietHours(Written):
    """When nobody is written to."""

    section: ClassVar[str] = "quiet_hours"

    start: TimeOfDay | None = Field(None, alias="from", description="wall-clock time at which they begin")
    end: TimeOfDay | None = Field(None, alias="to", description="wall-clock time at which they end")
    timezone: QuietZone = Field(QuietZone.user, description="whose clock they go by: each person's, or the project's")
    channels: tuple[Channel, ...] | None = Field(None, description="the channels that they hold for; all if left out")
    action: QuietAction = Field(QuietAction.defer, description="wait until they end, or skip the delivery")
    countries: Countries = Field({}, description="other hours for people of these countries: {US: {from, to}}")


class Batches(Written):
    """The audience in equal parts, spaced out."""

    section: ClassVar[str] = "batches"

    count: Annotated[Count, AfterValidator(lambda value: _at_least(2, value))] = Field(description="how many parts")
    every: Duration = Field(description="the time between the beginnings of two parts")


def _at_least(least: int, value: int) -> int:
    if not least <= value <= 1000:
        raise refuse("bad-value", f"{value} parts", f"at least {least} and at most 1000")
    return value


class Policy(Written):
    section: ClassVar[str] = "policy"

    reach: Reach = Field(Reach.all, description="every channel, or the first on which the person has an address")
    in_doubt: InDoubt = Field(InDoubt.skip, description="after a crash, for deliveries whose fate is unknown")
    rate: RateField | None = Field(None, description="at most so many messages, whatever the provider account allows")
    batches: Batches | None = Field(None, description="the audience in equal parts, spaced out")
    quiet_hours: QuietHours | None = Field(None, description="when nobody is written to")
    expires_after: Duration | None = Field(
        None, description="a delivery that can not go out within this long is skipped"
    )
