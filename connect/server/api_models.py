"""What calls of the API give and get, as models: the OpenAPI document is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from connect.vocabulary import CampaignStatus, Channel, Mode, Outcome, RunState

_ID = "2hnu3bo1a0l9s8vd"


class Trigger(BaseModel):
    """What a campaign is called with."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"parameters": {"order": "A-1007"}}]},
    )

    parameters: dict[str, Any] = Field({}, description="As the JSON Schema of the campaign's trigger wants them.")
    recipients: list[dict[str, Any]] | None = Field(
        None,
        description="Rows, where the trigger says `recipients: true`: these people instead of the campaign's audience. "
        "At most 1,000.",
    )
    mode: Mode | None = Field(None, description="A safer mode than the server's.")


class Send(BaseModel):
    """Who gets a message."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"recipients": [{"id": "7", "email": "ada@example.com", "name": "Ada"}]}]},
    )

    recipients: list[dict[str, Any]] = Field(description="Rows, one for each person. At most 100.")
    mode: Mode | None = Field(None, description="A safer mode than the server's.")


class Run(BaseModel):
    """A run of a campaign, or of a message: `message NAME`."""

    id: str = Field(examples=[_ID])
    target: str = Field(examples=["production"])
    mode: Mode
    campaign: str = Field(examples=["order-shipped"])
    fire_time: datetime
    manual: bool = Field(description="It was asked for, and not given by the clock.")
    state: RunState
    reason: str = Field(description="Why it waits, is paused, or has ended so; blank where there is nothing to say.")
    audience_rows: int | None
    started_at: datetime
    ended_at: datetime | None


class Queued(BaseModel):
    """A run that waits for a daemon."""

    run: Run
    daemon_alive: bool = Field(description="Whether a daemon is there that takes up runs of this mode.")


class Delivery(BaseModel):
    """How one delivery ended."""

    channel: Channel
    outcome: Outcome
    reason: str = Field(examples=["unsubscribed"])


class Recipient(BaseModel):
    """What became of one recipient of a call."""

    position: int = Field(description="Of the recipient in the call, from 0.")
    deliveries: list[Delivery] = Field(description="Empty for somebody who was not reached before the run ended.")


class Ran(BaseModel):
    """A run that is over."""

    run: Run
    deliveries: int
    outcomes: dict[Outcome, int] = Field(description="They add up to `deliveries`.")
    recipients: list[Recipient] | None = Field(
        description="By position. Not told again for a call that is repeated: nothing about people is kept."
    )


class NextTime(BaseModel):
    """When a campaign fires next by the clock."""

    at: datetime
    local: str = Field(examples=["Tue 2026-11-24 09:00 AEDT"])


class Campaign(BaseModel):
    """A campaign, and how it stands."""

    name: str = Field(examples=["order-shipped"])
    description: str
    status: CampaignStatus
    trigger: str = Field(examples=["api"])
    timezone: str
    rule: str = Field(description="When it fires, in a few words.", examples=["when it is called"])
    next: NextTime | None
    paused: bool = Field(description="By hand: `POST /campaigns/{name}/pause`, or `connect pause`.")
    channels: list[Channel]
    transactional: bool
    parameters: dict[str, Any] | None = Field(description="The JSON Schema of a call's parameters; null if not called.")
    recipients: bool = Field(description="Whether a call may bring its own.")


class Campaigns(BaseModel):
    """A page of campaigns, by name."""

    items: list[Campaign]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Runs(BaseModel):
    """A page of runs, newest first."""

    items: list[Run]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Tally(BaseModel):
    """How many deliveries ended so."""

    channel: Channel
    outcome: Outcome
    reason: str
    count: int


class State(BaseModel):
    """A state that a run was in."""

    at: datetime
    state: RunState
    reason: str


class RunStanding(Run):
    """A run with its counts and its history."""

    deliveries: int
    outcomes: dict[Outcome, int] = Field(description="They add up to `deliveries`.")
    tallies: list[Tally]
    states: list[State]


class Figure(BaseModel):
    """A count, and its rate."""

    total: int
    unique: int = Field(description="Of so many deliveries.")
    rate: float | None = Field(description="Of the unique ones; null where nothing sensible can be said.")
    of: str | None = Field(description="What it is a rate of.")
    base: int | None = Field(description="How many those are.")


class ReasonCount(BaseModel):
    """How many deliveries ended so, of all channels."""

    outcome: Outcome
    reason: str
    count: int


class Group(BaseModel):
    """A run, a day, a channel, an arm or a link, and its figures by their names."""

    name: str
    figures: dict[str, Figure]
    reasons: list[ReasonCount]


class Conversions(BaseModel):
    """Who did what the campaign is for, as its query says."""

    within_seconds: int
    trouble: str
    after: dict[str, int] = Field(
        description="How many had `clicked` before, `opened` at least, or only `received` it."
    )
    value: str | None = Field(description="A decimal number, as exact as the warehouse has it.")


class ProblemCount(BaseModel):
    """How often something went wrong."""

    problem: str
    count: int


class Report(BaseModel):
    """The report of `connect report --json`: what became of a campaign's deliveries, and what was reported of them."""

    campaign: str
    runs: list[Run]
    deliveries: int
    outcomes: dict[Outcome, int] = Field(description="They add up to `deliveries`.")
    segments: dict[Channel, int] = Field(description="Of text messages.")
    tallies: list[Tally]
    states: list[State]
    problems: list[ProblemCount]
    zone: str | None = Field(None, description="In which days begin and end. It and what follows: once there are any.")
    since: datetime | None = None
    until: datetime | None = None
    from_: str | None = Field(None, alias="from", description="`ledger` or `warehouse`: where events were counted.")
    more_runs: bool | None = Field(None, description="Whether there are older runs, which are not in it.")
    events_reported: bool | None = Field(None, description="Whether anybody has reported what became of messages.")
    figures: dict[str, Figure] = Field({}, description="By their names; what has not been reported is not there.")
    conversions: Conversions | None = None
    by: dict[str, list[Group]] = Field({}, description="`run`, `day`, `channel`, `arm` and `link`.")


class Steered(BaseModel):
    """A campaign after it was paused or resumed."""

    name: str
    mode: Mode
    paused: bool
    runs: list[str] = Field(description="Runs that this gave: what came due meanwhile, skipped.")


class Problem(BaseModel):
    """What went wrong (RFC 9457). Nothing of the request is repeated."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    code: str = Field(description="Stable; docs/reference/errors.md lists them.", examples=["bad-parameters"])
    detail: str = Field(examples=["`parameters/order` is missing"])
    hint: str | None = None
