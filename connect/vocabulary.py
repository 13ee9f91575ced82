"""The field's words, spelled the same in YAML, Python, the ledger, reports and docs."""

from __future__ import annotations

from enum import StrEnum

OURSELVES = "connect"
"""In place of a provider's account: what Connect noticed itself, such as a click on a link of its own."""


class Channel(StrEnum):
    email = "email"
    sms = "sms"
    push = "push"
    http = "http"


class Platform(StrEnum):
    """What a device runs."""

    ios = "ios"
    android = "android"
    web = "web"


class Mode(StrEnum):
    """How far a run goes. Ordered from safest to most dangerous."""

    offline = "offline"  # runs and counts; nothing leaves
    test = "test"  # one copy per run and channel, to the test recipient
    live = "live"  # sends


class CampaignStatus(StrEnum):
    draft = "draft"
    live = "live"
    paused = "paused"


class Reach(StrEnum):
    all = "all"
    first = "first"


class Personal(StrEnum):
    """What may be written of people into the user's own `destination`."""

    id = "id"
    address = "address"


class Across(StrEnum):
    """Whose messages a frequency cap counts."""

    campaign = "campaign"
    topic = "topic"
    all = "all"


class InDoubt(StrEnum):
    """What to do, after a crash or a time-out, with a delivery whose fate is unknown."""

    skip = "skip"
    resend = "resend"


class Missed(StrEnum):
    """Which of the fire times run that passed while nothing ran."""

    latest = "latest"
    all = "all"
    skip = "skip"


class Overlap(StrEnum):
    """What a fire time does while an earlier run of its campaign is still going."""

    queue = "queue"
    skip = "skip"


class QuietZone(StrEnum):
    """Whose clock quiet hours go by."""

    user = "user"
    project = "project"


class QuietAction(StrEnum):
    """What becomes of a delivery in quiet hours."""

    defer = "defer"
    skip = "skip"


class Scope(StrEnum):
    """What a key of the API may do."""

    read = "read"  # campaigns, runs, reports
    trigger = "trigger"  # fire campaigns whose trigger is `api`
    send = "send"  # messages without a campaign
    control = "control"  # pause, resume and cancel


class SubscriptionStatus(StrEnum):
    """What a row of opt-outs says. Whatever else it says counts as unsubscribed."""

    subscribed = "subscribed"
    unsubscribed = "unsubscribed"
    bounced = "bounced"  # hard: the address takes nothing any more
    complained = "complained"  # said to be spam


class Outcome(StrEnum):
    """How a delivery ended. Every delivery ends in exactly one of these."""

    sent = "sent"  # a provider accepted it
    skipped = "skipped"  # we decided not to send
    refused = "refused"  # the row, or its rendering, is bad
    failed = "failed"  # the provider said no, for good
    unknown = "unknown"  # in doubt: nobody can know


class Reason(StrEnum):
    """Why a delivery ended as it did. Providers add their own normalised reasons to `failed`."""

    none = ""
    # skipped
    unsubscribed = "unsubscribed"
    bounced = "bounced"
    complained = "complained"
    no_address = "no_address"
    reached_elsewhere = "reached_elsewhere"
    skip_tag = "skip_tag"
    duplicate = "duplicate"
    mode = "mode"
    quiet_hours = "quiet_hours"
    already_sent = "already_sent"
    capped = "capped"
    expired = "expired"
    # refused
    invalid_email = "invalid_email"
    invalid_phone = "invalid_phone"
    invalid_device = "invalid_device"
    invalid_url = "invalid_url"
    no_provider = "no_provider"  # for the platform of this device
    missing_key = "missing_key"
    render_error = "render_error"
    null_value = "null_value"
    invalid_header = "invalid_header"
    too_many_recipients = "too_many_recipients"
    content_too_large = "content_too_large"
    too_many_segments = "too_many_segments"
    not_json = "not_json"
    # failed
    rejected_recipient = "rejected_recipient"
    rejected_content = "rejected_content"
    unregistered = "unregistered"  # the device's token is dead
    retries_exhausted = "retries_exhausted"
    other = "other"
    # unknown
    in_doubt = "in_doubt"
    gone = "gone"  # in doubt, and no longer in the audience


_SEGMENTS = "_segments"


def segments_reason(segments: int) -> str:
    """The reason of a text message that was sent in so many parts: blank for one, else such as `2_segments`."""
    return f"{segments}{_SEGMENTS}" if segments > 1 else ""


def segments_of(reason: str) -> int:
    """The other way round; 1 for every other reason."""
    number = reason.removesuffix(_SEGMENTS)
    return int(number) if number != reason and number.isdigit() else 1


class RunState(StrEnum):
    queued = "queued"  # its fire time has come, and it waits for its turn
    running = "running"
    paused = "paused"  # somebody has to mend something; `connect run` goes on
    stopped = "stopped"  # stopped on request; `connect run` goes on
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"
    skipped = "skipped"  # its fire time passed without a run; the reason says why

    @property
    def ended(self) -> bool:
        return self in (RunState.completed, RunState.failed, RunState.cancelled, RunState.skipped)


class HappeningType(StrEnum):
    """What is told to endpoints of the user's (`webhooks` in connect.yml)."""

    sent = "sent"
    failed = "failed"
    delivered = "delivered"
    opened = "opened"
    clicked = "clicked"
    bounced = "bounced"
    complained = "complained"
    unsubscribed = "unsubscribed"
    resubscribed = "resubscribed"
