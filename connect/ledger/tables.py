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
)
