"""A ledger in PostgreSQL, for several machines: the server's clock, row locks, durable at every commit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from connect.clock import Clock
from connect.errors import UserError
from connect.ledger import place
from connect.ledger.place import GOES_ON, Chance, Place, bad_url
from connect.ledger.tables import METADATA

_DRIVER = "psycopg"

# A server that vanished without a word is noticed within seconds (libpq's connection parameters).
_CONNECTING = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_UNANSWERED = {"tcp_user_timeout": 15_000, "application_name": "connect"}

# A suspended process must not keep its locks: whoever takes its slice over would wait for them for ever. Our
# transactions take milliseconds. A setting of the server that waits for more than the disk (remote_apply) stays.
_SETTINGS = """
SELECT set_config('lock_timeout', '{busy}ms', false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('statement_timeout', '30s', false),
       CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', false) END
"""

_LOCK = 0x636F_6E6E  # "conn"
_TABLES = ", ".join(f"'{name}'" for name in METADATA.tables)

_COMES_BACK = f"see that the server runs; {GOES_ON}"
_RIGHTS = "its user must own the ledger's tables, or the schema in which they are made"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REMEDIES = {
    "25006": ("can not be written", "`state` must name the primary server, not a standby"),
    "28": ("can not be opened: it refuses the user or the password", "check user and password in `state`"),
    "3D000": ("can not be opened: there is no such database", "make it with `createdb`; the tables come by themselves"),
    "3F000": ("can not be opened: its schema is missing or not for this user", "make it: CREATE SCHEMA connect"),
    "40": ("is used by too many at once", GOES_ON),
    "42501": ("may not be used by this user", _RIGHTS),
    "53100": ("can not grow: the server's disk is full", f"free some space; {GOES_ON}"),
    "53300": ("takes no more connections", f"raise the server's max_connections; {GOES_ON}"),
    "55P03": ("is locked by another process", "look for a transaction that was left open, in pg_stat_activity"),
    "57014": ("does not answer in time", _COMES_BACK),
    "57": ("is shutting down or starting", _COMES_BACK),
    "08": ("can not be reached", _COMES_BACK),
    "25P03": ("can not be reached", _COMES_BACK),
    "XX001": ("is damaged: the server says so", "restore it from a backup"),
    "XX002": ("is damaged: the server says so", "restore it from a backup"),
}
# A connection that was never made has no code; these are the words of the server and of libpq.
_SAID = {
    "authentication failed": "28",
    "no password supplied": "28",
    "does not exist": "3D000",
    "too many": "53300",
    "starting up": "57",
    "shutting down": "57",
}


@dataclass(frozen=True, slots=True)
class PostgreSQL(Place):
    url: URL
    one_writer: ClassVar[bool] = False
    reads: ClassVar[Mapping[str, Any]] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    @classmethod
    def of(cls, url: URL, driver: str) -> Self:
        if driver not in ("", _DRIVER):
            raise bad_url(f"a ledger does not use the driver {driver}")
        if find_spec(_DRIVER) is None:
            remedy = 'pip install "connect-campaigns[postgresql]"'
            raise UserError.of("missing-extra", f"a ledger in PostgreSQL needs the package `{_DRIVER}`", remedy)
        return cls(url.set(drivername=f"postgresql+{_DRIVER}"))

    def __str__(self) -> str:
        host = self.url.host or self.url.query.get("host") or "this machine"
        database = self.url.database or self.url.query.get("dbname") or self.url.username
        return f"the ledger in PostgreSQL ({f'{database} on ' if database else ''}{host})"

    def engine(self) -> Engine:
        given = {**_CONNECTING, **_UNANSWERED}
        arguments = {name: value for name, value in given.items() if name not in self.url.query}
        # READ COMMITTED: each statement sees what was committed before it, and each transaction begins by locking
        # the row that it is about, so that nothing it has read can change under it.
        engine = create_engine(
            self.url, hide_parameters=True, isolation_level="READ COMMITTED", connect_args=arguments, pool_use_lifo=True
        )
        event.listen(engine, "connect", _prepare)
        return engine

    def chance(self, error: BaseException | None) -> Chance:
        if not isinstance(error, DBAPIError):
            return Chance.none
        code = _code(error.orig)
        if isinstance(error, IntegrityError) or code.startswith("40") or code == "55P03":
            return Chance.at_once
        gone = error.connection_invalidated or code.startswith(("08", "57P")) or code in ("25P03", "53300", "57")
        never_made = not code and type(error.orig).__name__ == "OperationalError"
        return Chance.later if gone or never_made else Chance.none

    def one_at_a_time(self, connection: Connection) -> None:
        # Within the schema that the ledger is in: two ledgers of one database do not wait for each other.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(coalesce(current_schema(), '')))")

    def now(self, connection: Connection, clock: Clock) -> datetime:
        """The server's own clock: those of the machines that share it may differ by more than a lease."""
        instant: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return instant.astimezone(UTC)

    def checkpoint(self, engine: Engine) -> None:
        """The server does it by itself."""

    def forget(self, engine: Engine) -> None:
        """Give back the space of deleted rows at once. The server would do it too, in its own time: no failure counts.

        What the server's write-ahead log, its backups and its standbys keep is not ours to wipe.
        """
        with suppress(DBAPIError), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("VACUUM (SKIP_LOCKED) intents, slices, runs, tallies")

    def damage(self, connection: Connection) -> str:
        return ""  # the server says so itself when it reads a page that is

    def remark(self, connection: Connection) -> str:
        off = [name for name in ("fsync", "full_page_writes") if _is_off(connection, name)]
        risk = "when its power goes, the last commits may be lost, and what they noted is sent again"
        return f"its server has {' and '.join(off)} off: {risk}" if off else ""

    def size(self, connection: Connection) -> int:
        query = f"SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname IN ({_TABLES})"
        mine = f"{query} AND relnamespace = current_schema()::regnamespace"
        return int(connection.exec_driver_sql(mine).scalar_one() or 0)

    def explained(self, error: BaseException | None) -> Exception:
        code = _code(error)
        unreached = code or ("08" if type(error).__name__ == "OperationalError" else "")
        for known in (unreached, unreached[:2]):
            if known in _REMEDIES:
                return self.unavailable(*_REMEDIES[known])
        return self.unavailable(f"can not be used ({code or type(error).__name__})", "see `connect doctor`")

    def not_a_ledger(self) -> UserError:
        return UserError.of(
            "ledger-not-a-ledger",
            f"the database of {self} holds tables of something else",
            "give it a database of its own; or a schema, with ?options=-csearch_path%3DNAME at the end of `state`",
        )


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver: Any = connection
    with driver.cursor() as cursor:
        cursor.execute(_SETTINGS.format(busy=int(place.BUSY_SECONDS * 1000)))
    driver.commit()


def _is_off(connection: Connection, setting: str) -> bool:
    return bool(connection.execute(select(func.current_setting(setting))).scalar_one() == "off")


def _code(error: BaseException | None) -> str:
    """The server's SQLSTATE; for a connection that was never made, the nearest one."""
    code = str(getattr(error, "sqlstate", None) or "")
    said = str(error)
    return code or next((known for words, known in _SAID.items() if words in said), "")
