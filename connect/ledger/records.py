"""What the ledger remembers, as values. Nothing in here says who anybody is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from connect.vocabulary import Channel, Mode, Outcome, RunState

START = ""
"""Below every position: where the whole hash space begins."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries ended like this."""

    channel: Channel
    arm: str
    """The arm of an experiment; empty where there is none."""
    outcome: Outcome
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class EventCount:
    """How often something was reported about the deliveries of a run, on a day.

    A click on a link is counted under its link. Whether it is the first click of its delivery, whatever the link, is
    counted beside it, under the blank link: so the firsts of the blank link are who clicked at all, and no click is
    counted twice.
    """

    channel: Channel
    arm: str
    type: str
    """A word of `connect.providers.events.EventType`."""
    bounce: str
    """`hard` or `soft`, of a bounce; blank else."""
    machine: bool
    """By a program, as far as can be told."""
    day: date
    """On which it happened, in the project's zone."""
    link: str
    """As it stands in the campaign's templates; blank where none was clicked, or nobody knows which."""
    count: int
    firsts: int
    """Of a delivery the first of this type, bounce, machine and link: by when they came, of those that came together by
    when they happened. As far back as the ledger remembers: `connect.ledger.seen`."""


@dataclass(slots=True)  # frozen in spirit: freezing costs two microseconds
class Reported:
    """One event on its way into the counts. Names are keyed hashes: `connect.ledger.seen`."""

    names: tuple[bytes, ...]
    """Of the event itself."""
    at: datetime
    day: date
    run_id: str = ""
    """Blank where nobody knows: then it is only remembered."""
    channel: Channel = Channel.email
    arm: str = ""
    type: str = ""
    bounce: str = ""
    machine: bool = False
    link: str = ""
    first: tuple[bytes, ...] = ()
    """Of whatever is the first of this type, bounce and machine for its delivery."""
    first_of_link: tuple[bytes, ...] = ()
    """The same, of this link."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a server may have written events that it never came to count."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Opt-outs that wait for the warehouse, in numbers."""

    count: int
    since: datetime | None
    """When the oldest of them came; None where none waits."""


@dataclass(frozen=True, slots=True)
class HeldOptOut:
    """An opt-out that waits for the warehouse. Who it is about is sealed."""

    id: int
    """Later ones have higher ids; none is used again."""
    name: bytes
    sealed: bytes = field(repr=False)
    at: datetime
    """When it was held."""
    is_gone: bool = False
    """The warehouse has it. It is kept for a while, for runs that have read their rows before."""


@dataclass(frozen=True, slots=True)
class NewSlice:
    """A part of a run before it is claimed: positions > low and <= high, in a window of time."""

    low: str = START
    high: str | None = None
    wave: str = ""
    """Which zones it is for (`connect.pipeline.waves`); empty where it is for everybody."""
    opens_at: datetime | None = None
    """Nobody works on it before this."""
    closes_at: datetime | None = None
    """Nothing of it is sent from then on, until it opens again."""


WHOLE = (NewSlice(),)
"""The one slice of a run that begins at once: the whole hash space."""


@dataclass(frozen=True, slots=True)
class Named:
    """A call of the API that named itself: keyed hashes, from which nobody reads what it was."""

    name: bytes
    """Of the API key's name and the call's."""
    request: bytes
    """Of what was asked."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is about to claim its place. `id` comes from `connect.identity.new_run_id`."""

    id: str
    mode: Mode
    campaign: str
    fire_time: datetime
    """Aware; it is what makes the run unique within target, mode and campaign."""
    manual: bool
    digest: str
    campaign_json: str
    """The resolved campaign, so that a resume does not depend on the checkout. Never holds people."""
    salt: bytes = field(repr=False)
    """Sealed with the project's key ring by the caller, as is `secret`."""
    secret: bytes = field(repr=False)
    audience_rows: int | None = None
    tallies: tuple[Tally, ...] = ()
    """Deliveries that are settled before the sweep begins, such as rows without a key."""
    state: RunState = RunState.running
    """`running`, `queued` or `skipped`. Only what runs has slices; a queued run gets them when it starts."""
    reason: str = ""
    since: datetime | None = None
    """The window of an event trigger: events after `since` up to `until`."""
    until: datetime | None = None
    slices: tuple[NewSlice, ...] = WHOLE
    beside: bool = False
    """It lasts longer than from one fire time to the next: it waits for no run of its campaign, and none for it."""
    cap: str = ""
    """Whose deliveries decide who may be written to: `all`, `topic:news`, `campaign:weekly`; blank for nobody's. Runs
    that share it are taken one after the other."""
    parameters: bytes | None = field(default=None, repr=False)
    """What a call gave, sealed by the caller as salt and secret are."""
    fleeting: bool = False
    """Its people are in the memory of the process that makes it: nobody else can go on with it."""
    called: bool = False
    """Its fire time is that of a call: where another run has it, it is moved on by a microsecond."""
    named: Named | None = None
    """What a call that named itself is known again by."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a campaign. All instants are aware, in UTC."""

    id: str
    target: str
    mode: Mode
    campaign: str
    fire_time: datetime
    manual: bool
    state: RunState
    reason: str
    digest: str
    campaign_json: str
    salt: bytes | None = field(repr=False)
    """Sealed; None once the run has ended, as is `secret`."""
    secret: bytes | None = field(repr=False)
    audience_rows: int | None
    started_at: datetime
    ended_at: datetime | None
    recoveries: int
    """Times that a worker took over from one that died, since it last got further: a crash loop shows here."""
    since: datetime | None = None
    """The window of an event trigger."""
    until: datetime | None = None
    beside: bool = False
    """It runs beside others of its campaign."""
    cap: str = ""
    """What it shares with runs that it is not taken at the same time as."""
    parameters: bytes | None = field(default=None, repr=False)
    """Of a call of the API, sealed; None where there are none, and once the run has ended."""
    fleeting: bool = False
    """Its people are in the memory of the process that made it."""


@dataclass(frozen=True, slots=True)
class StateChange:
    at: datetime
    state: RunState
    reason: str


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a run's hash space, claimed by one worker: positions > low and <= high (None: to the end)."""

    id: int
    run_id: str
    low: str
    high: str | None
    cursor: str | None
    """The last position behind which everything is settled; None before the first."""
    owner: str
    epoch: int
    lease_until: datetime
    wave: str = ""
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    ended: bool = False
    """Everything in it is settled and counted."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One delivery that is about to be in the air, or was when its worker died."""

    key: bytes = field(repr=False)
    """The message key: 16 bytes, a pseudonym under the run's secret."""
    sequence: int
    channel: Channel
    account: str
    call: int
    """Which call to the account it is part of; a bulk call is repeated only with exactly its members."""
    outcome: Outcome | None = None
    reason: str = ""
    released_at: datetime | None = None
    """Set by the ledger. A provider forgets idempotency keys after a time, and a resume must know."""
    call_size: int = 0
    """Set by the ledger: how many were released in this call. While as many of it are found, all in doubt, it is
    whole. 0 where nobody knows, as after an upgrade."""


@dataclass(slots=True)  # frozen in spirit: freezing costs a microsecond
class Call:
    """A call that is about to be made, as columns: at thousands a second an object for each delivery is too dear."""

    number: int
    """Never used again for other deliveries, in this slice and account."""
    channel: Channel
    account: str
    keys: Sequence[bytes] = field(repr=False)
    sequences: Sequence[int]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How far the trigger of one campaign was followed, in one mode. Changed only by compare-and-set."""

    mode: Mode
    campaign: str
    spec: str
    """Digest of what decides when it fires. Where that has changed, nothing fires for a time that has passed."""
    content: str
    """Digest of the campaign without its name: a file that was renamed is known again by it."""
    cursor: datetime
    """Every fire time up to here was decided."""
    live_since: datetime | None = None
    """None while the campaign is not live, or its file is gone."""
    fired: bool = False
    """A trigger that fires once has fired, or was live before this ledger knew the campaign."""
    watermark: datetime | None = None
    """Events up to here have their run."""
    paused: bool = False
    """By hand: fire times that come are skipped."""
    skip_next: bool = False
    """The next fire time is skipped."""
    version: int = 0
    """0 is one that the ledger does not have yet."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Something that has a rate: a provider's account, or a campaign."""

    name: str
    """Such as `account/ses` or `campaign/live/weekly`."""
    spacing: timedelta
    """The time from one message to the next."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Dated permissions to send, one message each: `first`, and the others `spacing` apart. By the ledger's clock."""

    now: datetime
    """What the ledger's clock said when they were given."""
    first: datetime
    spacing: timedelta
    count: int


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """A daemon that says now and then that it is alive."""

    owner: str
    """Which process of which machine: `str(Owner)`."""
    mode: Mode
    version: str
    started_at: datetime
    beat_at: datetime
    runs: int
    """How many it works on."""
    dropped: int = 0
    """What has happened, and it could not tell to endpoints of `webhooks`."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The live run of a campaign's latest fire time."""

    campaign: str
    run_id: str
    state: RunState
    completed_at: datetime | None
    """When a live run of it was last completed."""
    deliveries: Mapping[tuple[Channel, Outcome], int]
    """How its deliveries have ended, as far as the cursor has come."""


@dataclass(frozen=True, slots=True)
class Census:
    """How things stand, in numbers."""

    now: datetime
    runs: Mapping[tuple[Mode, RunState], int]
    """Those that have not ended."""
    queued_since: Mapping[Mode, datetime]
    """The oldest fire time of those that wait for their turn."""
    last: Sequence[LastRun]
    held: int
    """Opt-outs that wait for the warehouse."""
    daemons: Sequence[DaemonRecord]
