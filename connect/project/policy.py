"""How a campaign sends."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from connect.project.countries import COUNTRIES, OFTEN_MEANT
from connect.project.nodes import Block, Items, Scalar
from connect.project.reading import Reading, Written, refuse
from connect.project.types import Count, Duration, Natural, RateField, TimeOfDay, between
from connect.vocabulary import Across, Channel, InDoubt, QuietAction, QuietZone, Reach


class Hours(Written):
    """A stretch of every day, past midnight where `to` is before `from`."""

    section: ClassVar[str] = "quiet_hours"

    start: TimeOfDay = Field(alias="from", description="wall-clock time at which it begins")
    end: TimeOfDay = Field(alias="to", description="wall-clock time at which it ends")

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        _check_hours(tree, reading)
        return tree


def _check_hours(tree: Block, reading: Reading) -> None:
    if "from" in tree and tree["from"] == tree.get("to"):
        hint = "quiet hours end at another time than they begin"
        reading.report("bad-value", "`from` and `to` are the same time", hint, node=tree["to"])


def _countries(value: Any) -> Any:
    if isinstance(value, Scalar | Items):
        raise refuse("wrong-type", "this must be a mapping of countries to hours")
    if isinstance(value, Block):
        for key in value:
            if key not in COUNTRIES:
                meant = OFTEN_MEANT.get(key.upper(), key.upper())
                hint = (
                    f"did you mean `{meant}`?" if meant in COUNTRIES else "two capital letters (ISO 3166), such as US"
                )
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

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        _check_hours(tree, reading)
        for given, other in (("from", "to"), ("to", "from")):
            if given in tree and other not in tree:
                hint = f"`{given}` and `{other}` go together"
                reading.report("missing-key", f"`{tree.key_path(other)}` is missing", hint, node=tree[given])
        if tree.get("channels") == []:
            hint = "leave it out where they hold for every channel"
            reading.report("bad-value", "`channels` is empty", hint, node=tree["channels"])
        return tree


class Batches(Written):
    """The audience in equal parts, spaced out."""

    section: ClassVar[str] = "batches"

    count: Annotated[Count, AfterValidator(lambda value: _at_least(2, value))] = Field(description="how many parts")
    every: Annotated[Duration, between(timedelta(seconds=1), timedelta(days=31))] = Field(
        description="the time between the beginnings of two parts"
    )


def _at_least(least: int, value: int) -> int:
    if not least <= value <= 1000:
        raise refuse("bad-value", f"`count: {value}` is not a number of parts", f"at least {least} and at most 1000")
    return value


class FrequencyCap(Written):
    """At most so many messages for each person, over some time."""

    section: ClassVar[str] = "frequency_cap"

    max: Natural = Field(description="at most so many messages")
    per: Annotated[Duration, between(timedelta(minutes=1), timedelta(days=366))] = Field(
        description="over the time before the run, such as 7d"
    )
    across: Across = Field(Across.campaign, description="which messages count: this campaign's, its topic's, or all")


def _once(value: Any) -> Any:
    """`true`, or the columns that tell people apart."""
    if isinstance(value, Block):
        raise refuse("wrong-type", "this must be `true`, or a list of columns")
    if isinstance(value, Scalar):
        if value not in ("true", "false"):
            said = f"`{value.written}` is neither `true` nor a list of columns"
            raise refuse("wrong-type", said, "such as `once: true` or `once: [email]`")
        return value == "true"
    if not isinstance(value, Items):
        return value
    if not value:
        raise refuse("bad-value", "this list is empty", "`true` means the audience's key")
    if any(not isinstance(node, Scalar) or node.is_null for node in value):
        raise refuse("wrong-type", "every item of this list must be the name of a column")
    return tuple(str(node) for node in value)


_ONCE_SCHEMA = {
    "anyOf": [
        {"type": "boolean"},
        {"enum": ["true", "false"]},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ]
}
Once = Annotated[bool | tuple[str, ...], BeforeValidator(_once), WithJsonSchema(_ONCE_SCHEMA)]


class Policy(Written):
    section: ClassVar[str] = "policy"

    reach: Reach = Field(Reach.all, description="every channel, or the first on which the person has an address")
    in_doubt: InDoubt = Field(InDoubt.skip, description="after a crash, for deliveries whose fate is unknown")
    rate: RateField | None = Field(None, description="at most so many messages, whatever the provider account allows")
    frequency_cap: FrequencyCap | None = Field(None, description="at most so many messages for each person")
    once: Once = Field(False, description="`true` (the audience's key) or columns: nobody hears twice, ever")
    batches: Batches | None = Field(None, description="the audience in equal parts, spaced out")
    quiet_hours: QuietHours | None = Field(None, description="when nobody is written to")
    expires_after: Annotated[Duration, between(timedelta(seconds=1), timedelta(days=366))] | None = Field(
        None, description="a delivery that can not go out within this long is skipped"
    )
