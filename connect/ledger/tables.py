"""The tables. All of them are free of people: no address, no name, no key text, no cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNFINISHED = text("state IN ('running', 'paused', 'stopped')")
# Written as SQLAlchemy writes the query, for the planner.
_AT_WORK_SQLITE = text(f"{_UNFINISHED.text} AND beside = 0")
_AT_WORK_POSTGRESQL = text(f"{_UNFINISHED.text} AND NOT beside")
_QUEUED = text("state = 'queued'")


def microseconds(instant: datetime) -> int:
    """Since 1970; what `Instant` stores."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime:
    """The other way round."""
    return EPOCH + timedelta(microseconds=microseconds)


class Instant(TypeDecorator[datetime]):
    """An aware datetime as whole microseconds since 1970: exact, and in order on every engine."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


METADATA = MetaData()

META = Table(
    "meta",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("target", Text, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("campaign", Text, nullable=False),
    Column("fire_time", Instant, nullable=False),
    Column("manual", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("campaign_json", Text, nullable=False),
    Column("salt", LargeBinary),
    Column("secret", LargeBinary),
    Column("audience_rows", BigInteger),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("recoveries", Integer, nullable=False),  # the most that a slice of it has
    Column("since", Instant),
    Column("until", Instant),
    Column("beside", Boolean, nullable=False, server_default=false()),
    Column("cap", Text, nullable=False, server_default=""),
    Column("parameters", LargeBinary),  # of a call, sealed; erased when the run ends
    Column("fleeting", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("target", "mode", "campaign", "fire_time", name="one_run_per_fire_time"),
    # Runs of one campaign never overlap, whatever a racing process believes, unless they are made for it.
    Index(
        "one_unfinished_run",
        "target",
        "mode",
        "campaign",
        unique=True,
        sqlite_where=_AT_WORK_SQLITE,
        postgresql_where=_AT_WORK_POSTGRESQL,
    ),
    Index(
        "unfinished_runs",
        "target",
        "mode",
        "campaign",
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    ),
    Index("runs_by_start", "started_at"),
    Index(
        "queued_runs",
        "target",
        "mode",
        "campaign",
        "fire_time",
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    ),
)

STATES = Table(
    "states",
    METADATA,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
)

SLICES = Table(
    "slices",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False, index=True),
    Column("low", String(32), nullable=False),
    Column("high", String(32)),
    Column("cursor", String(32)),
    Column("owner", Text, nullable=False),  # empty: nobody's
    Column("epoch", Integer, nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("last_write", BigInteger, nullable=False, server_default="0"),  # drawn anew by each
    Column("wave", Text, nullable=False, server_default=""),
    Column("opens_at", Instant),
    Column("closes_at", Instant),
    Column("ended", Boolean, nullable=False, server_default=false()),
    Column("recoveries", Integer, nullable=False, server_default="0"),
)

# One row for up to a hundred intents that were released together, as columns of bytes: see `connect.ledger.bundles`.
INTENTS = Table(
    "intents",
    METADATA,
    # The slice's id, and a number within it: one b-tree, in which a slice's rows are neighbours.
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("slice_id", ForeignKey("slices.id"), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("account", Text, nullable=False),
    Column("released_at", Instant, nullable=False),
    Column("keys", LargeBinary, nullable=False),  # 16 bytes each
    Column("sequences", LargeBinary, nullable=False),  # 8 bytes each, little-endian, as are the next
    Column("calls", LargeBinary, nullable=False),
    Column("call_sizes", LargeBinary, nullable=False),  # 4 bytes each
    Column("states", LargeBinary, nullable=False),  # 1 byte each
    Column("endings", Text, nullable=False),  # JSON: outcome and reason for states from 2
)

TALLIES = Table(
    "tallies",
    METADATA,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("channel", String(8), primary_key=True),
    Column("arm", String(64), primary_key=True),
    Column("outcome", String(8), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

SCHEDULES = Table(
    "schedules",
    METADATA,
    Column("target", Text, primary_key=True),
    Column("mode", String(16), primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("cursor", Instant, nullable=False),
    Column("live_since", Instant),
    Column("fired", Boolean, nullable=False),
    Column("watermark", Instant),
    Column("paused", Boolean, nullable=False),
    Column("skip_next", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

BUCKETS = Table(
    "buckets",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("free_at", Instant, nullable=False),
    Column("asked_at", Instant, nullable=False),
)

DAEMONS = Table(
    "daemons",
    METADATA,
    Column("owner", String(255), primary_key=True),
    Column("mode", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("beat_at", Instant, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("dropped", Integer, nullable=False, server_default="0"),
)

# What providers reported about the deliveries of a run, counted. A link is one that stands in the campaign's own
# templates, as it stands there: what was clicked is never kept, because it may name a person.
EVENTS = Table(
    "events",
    METADATA,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("channel", String(8), primary_key=True),
    Column("arm", String(64), primary_key=True),
    Column("type", String(16), primary_key=True),
    Column("bounce", String(8), primary_key=True),  # hard or soft; empty for what is no bounce
    Column("machine", Boolean, primary_key=True),
    Column("day", String(10), primary_key=True),  # in the project's zone
    Column("link", Text, primary_key=True),  # empty where none was clicked
    Column("count", BigInteger, nullable=False),
    Column("firsts", BigInteger, nullable=False),  # of them, the first of their type and link for their delivery
    sqlite_with_rowid=False,
)

# What has been counted: keyed hashes, forgotten after some days.
SEEN = Table(
    "seen",
    METADATA,
    Column("name", LargeBinary(16), primary_key=True),
    Column("day", Integer, nullable=False),  # since 1970; no index: it would cost as much as all the rest
    sqlite_with_rowid=False,
)

# When servers may have written events that they never came to count. A name is random.
SPELLS = Table(
    "spells",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
)

# Opt-outs that the warehouse could not take yet: each sealed with the project's secret.
OPTOUTS = Table(
    "optouts",
    METADATA,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("name", LargeBinary(16), nullable=False, unique=True),  # a keyed hash: the same one is held once
    Column("sealed", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("gone_at", Instant),  # when it was said that the warehouse has it: it stays for those that read before
    sqlite_autoincrement=True,  # an id is never used again: who reads on behind one misses none
)

# Calls of the API that named themselves: who calls again is told what became of the first.
CALLS = Table(
    "calls",
    METADATA,
    Column("name", LargeBinary(16), primary_key=True),  # a keyed hash of the API key's name and the Idempotency-Key
    Column("request", LargeBinary(16), nullable=False),  # a keyed hash of what was asked
    Column("run_id", String(16), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    sqlite_with_rowid=False,
)
