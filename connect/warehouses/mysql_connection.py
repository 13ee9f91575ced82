"""A connection to MySQL or MariaDB for one query: read-only, with a time-out, to be stopped from outside.

PyMySQL signs in, and its private names `_read_packet`, `_rfile`, `_sock` and `_request_authentication` are used: tests
guard them. A client that hangs up is noticed only when the server next writes to it, so that a query which is to stop
is killed from a second connection, as the same user, for which every user has the right.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pymysql
from pymysql.constants import CLIENT, COMMAND

from connect.warehouses.mysql_wire import Field, LineClosed, Row, ServerError, field, rows

CONNECTING: dict[str, Any] = {"connect_timeout": 10, "charset": "utf8mb4", "program_name": "connect"}
_PATIENCE_OF_A_LINE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A server that vanished without a word is noticed within a minute."""
_BUFFER = 1 << 17
_STOPPING = 5.0
"""How long a server may take to stop a query that was killed, before we hang up."""
_GRACE = 5.0
"""How long after its time-out a server may say so itself."""

_LOST, _UNREACHABLE, _LOCKED, _DEADLOCK, _DUPLICATE = 2013, 2003, 1205, 1213, 1062
_FOLLOWS = 8
"""MariaDB's MARIADB_CLIENT_EXTENDED_METADATA, 1 << 35, in the four bytes that are above the first 32 bits."""
_HEADER = 32


class _Line(pymysql.Connection):  # type: ignore[misc]
    """PyMySQL's connection, which also asks MariaDB what a column holds beside its type: JSON, a UUID."""

    _extends = False

    def _request_authentication(self) -> None:
        if "MariaDB" in self.server_version:
            # The client says that it is not an old one of MySQL, and has flags in what was reserved.
            # https://mariadb.com/kb/en/connection/#capabilities
            self.client_flag &= ~CLIENT.LONG_PASSWORD
            self._extends = True
        super()._request_authentication()
        self._extends = False

    def write_packet(self, payload: bytes) -> None:
        if self._extends and len(payload) >= _HEADER and payload[9:_HEADER] == bytes(_HEADER - 9):
            payload = payload[: _HEADER - 4] + struct.pack("<I", _FOLLOWS) + payload[_HEADER:]
        super().write_packet(payload)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and their columns."""

    fields: list[Field]
    rows: list[Row]


class Running:
    """An open connection; the query on it can be stopped from whichever thread."""

    def __init__(self, parameters: Mapping[str, Any], until: float) -> None:
        """Connects. `until`: the instant of `time.monotonic()` at which the time is over. Raises PyMySQL's errors."""
        self._guard = threading.Lock()
        self._open = True
        self._parameters = {**CONNECTING, **parameters}
        self.why = ""
        self.until = until
        self._raw: Any = _opened(self._parameters)
        self._line: Any = self._raw._sock  # which PyMySQL forgets when it is interrupted
        _patient(self._line)
        self._raw._rfile = self._line.makefile("rb", _BUFFER)
        self._timer = threading.Timer(max(0.0, until - time.monotonic()) + _GRACE, self.interrupt, ("timeout",))
        self._timer.daemon = True
        self._timer.start()

    @property
    def version(self) -> str:
        """`8.4.3`, `5.5.5-10.11.19-MariaDB`."""
        return str(self._raw.server_version)

    @property
    def is_mariadb(self) -> bool:
        return "MariaDB" in self.version

    @property
    def encrypted(self) -> bool:
        return hasattr(self._line, "cipher")

    @property
    def left(self) -> float:
        """How many seconds there are."""
        return max(0.001, self.until - time.monotonic())

    def execute(self, sql: str) -> int:
        """Run a statement whose rows, if it gives any, nobody wants; how many it changed."""
        with self._guarded():
            return int(self._raw.query(sql))

    def ask(self, sql: str) -> Sequence[Row]:
        """All rows of a small query."""
        stream = self.stream(sql, 1000)
        return [row for chunk in stream for row in chunk.rows]

    def pairs(self, sql: str) -> dict[str, str]:
        """A small query of two columns that are texts."""
        return {(first or b"").decode(): (second or b"").decode() for first, second in self.ask(sql)}

    def wait_for_turn(self, sql: str) -> None:
        """Ask for a lock of ours, which is kept until the connection ends. Raises the error of a lock that is held."""
        if self.ask(sql) != [[b"1"]]:
            raise pymysql.err.OperationalError(_LOCKED, "")

    def describe(self, sql: str) -> list[Field]:
        """Run a query that gives no rows; its columns."""
        with self._guarded():
            found = self._begun(sql)
            for _ in rows(self._raw._rfile.read, len(found)):
                pass
            return found

    def stream(self, sql: str, count: int) -> Generator[Chunk, None, None]:
        """The rows of a query as they come, some at a time. Closing it early stops the query."""
        with self._guarded():
            found = self._begun(sql)
        coming = rows(self._raw._rfile.read, len(found))
        while True:
            with self._guarded():
                chunk = list(islice(coming, count))
            if not chunk:
                return
            try:
                yield Chunk(found, chunk)
            except GeneratorExit:
                self._stop(coming)
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """The errors of a query as PyMySQL's; a query of which Python is torn away (by Ctrl-C) is killed."""
        try:
            yield
        except pymysql.err.Error:
            raise
        except (LineClosed, OSError):
            raise pymysql.err.OperationalError(_LOST, "") from None
        except ServerError as error:
            told = error.args[0]
            error.args = ()
            pymysql.err.raise_mysql_exception(told)
        except BaseException:
            self._kill()
            self._hang_up()
            raise

    def _begun(self, sql: str) -> list[Field]:
        """The columns of a query that begins to give its rows."""
        self._raw._execute_command(COMMAND.COM_QUERY, sql)
        packet = self._raw._read_packet()
        if packet.get_all_data()[:1] in (b"\x00", b"\xfb"):  # done without rows, or it asks for a file of ours
            raise pymysql.err.ProgrammingError(0, "this is not a query")
        found = [field(self._raw._read_packet().get_all_data()) for _ in range(packet.read_length_encoded_integer())]
        self._raw._read_packet()
        return found

    def _stop(self, coming: Any) -> None:
        """Kill the query; what is still on its way ends with the server's word that it did."""
        self._line.settimeout(_STOPPING)
        if not self._kill():
            return self._hang_up()
        try:
            for _ in coming:
                pass
        except (ServerError, LineClosed, OSError):
            pass  # the word that it was killed, or that nobody is there
        return None

    def interrupt(self, why: str) -> None:
        """Stop the query: have it killed, and hang up where that can not be done."""
        with self._guard:
            self.why = self.why or why
            if self._open and (not self._kill() or why == "timeout"):
                self._hang_up()  # one whose time is over should have stopped by itself

    def _kill(self) -> bool:
        try:
            other = _opened(self._parameters)
        except pymysql.err.MySQLError:
            return False
        try:
            other.query(f"kill query {self._raw.thread_id():d}")
        except pymysql.err.MySQLError:
            return False
        finally:
            other.close()
        return True

    def close(self) -> None:
        self._timer.cancel()
        with self._guard:
            self._open = False
        with suppress(pymysql.err.Error):
            self._raw.close()

    def _hang_up(self) -> None:
        """End the connection under a thread that waits for it; closing it would not wake that one up."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)


def _opened(parameters: Mapping[str, Any]) -> Any:
    raw = _Line(**parameters, defer_connect=True)
    raw.connect(_to_socket(raw) if raw.unix_socket else None)
    return raw


def _to_socket(raw: Any) -> socket.socket:
    """PyMySQL leaves a socket open that nobody answers."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(raw.connect_timeout)
    try:
        line.connect(raw.unix_socket)
    except OSError as error:
        line.close()
        raise pymysql.err.OperationalError(_UNREACHABLE, str(error)) from None
    raw._secure = True
    return line


def _patient(line: socket.socket) -> None:
    if line.family != getattr(socket, "AF_UNIX", None):
        for name, value in _PATIENCE_OF_A_LINE.items():
            if (option := getattr(socket, name, None)) is not None:
                line.setsockopt(socket.IPPROTO_TCP, option, value)


def is_race(error: BaseException) -> bool:
    """Whether somebody else did the same at the same time."""
    return is_driver_error(error) and error.args[:1] in ((_DEADLOCK,), (_DUPLICATE,))


def is_driver_error(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] == "pymysql" for kind in type(error).__mro__)
