"""A real MariaDB server for tests, of the operating system's package `mariadb-server`: started here, not as a service.

    with MariaDBServer() as server:
        server.sql("create database shop")

Most tests want `shared_server()`: one for the whole process, started when the first test asks for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connect.testing.postgres import NoServer

_STARTING = 60.0

# The server ends with whoever started it, however that one ends: then the pipe is closed, and `cat` with it.
_GUARDED = '"$@" & server=$!; cat >/dev/null; kill -TERM "$server" 2>/dev/null; wait "$server"; rm -rf "$FOLDER"'

# What is tested is killed while the machine goes on: nothing depends on what reaches the disk.
_QUICK = ("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-buffer-pool-size=64M")
_SMALL = ("--innodb-log-file-size=16M", "--skip-networking", "--skip-log-bin", "--max-connections=60")


class MariaDBServer:
    """A server of its own, behind a socket in a temporary folder. All of it is gone when it is closed."""

    def __init__(self, *options: str) -> None:
        """Starts it. `options` are the server's own (`--sql-mode=…`). Raises NoServer."""
        self._numbers = count(1)
        server, installer = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
        self.folder = Path(tempfile.mkdtemp(prefix="my-"))
        try:
            self._as = _unprivileged()
            self._start(server, installer, options)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def socket(self) -> str:
        return str(self.folder / "socket")

    def _start(self, server: str, installer: str, options: tuple[str, ...]) -> None:
        if self._as:
            self.folder.chmod(0o755)
            shutil.chown(self.folder, self._as["user"], self._as["group"])
        data = f"--datadir={self.folder / 'data'}"
        self._run(installer, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db")
        command = [server, "--no-defaults", data, f"--socket={self.socket}", *_QUICK, *_SMALL, *options]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _GUARDED, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                **self._as,
            )
        self._wait()

    def _environment(self) -> Mapping[str, str]:
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
        return {"PATH": path, "FOLDER": str(self.folder), "TMPDIR": str(self.folder)}

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False, **self._as
        )
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())
            raise NoServer(f"{Path(command[0]).name} fails: {said[-300:]}")

    def _wait(self) -> None:
        """Until it answers: there is no event for that, so it is asked again and again."""
        deadline = time.monotonic() + _STARTING
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as line:
                    return line.connect(self.socket)
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text(errors="replace").split()
                    self.close()
                    raise NoServer(f"MariaDB does not start: {' '.join(said)[-300:]}") from None
                time.sleep(0.02)

    def sql(self, *statements: str, database: str | None = None) -> Any:
        """Do something as the server's administrator, in standard SQL's way of quoting; the last statement's rows."""
        import pymysql

        modes = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES"
        connection = pymysql.connect(
            unix_socket=self.socket, user="root", database=database, charset="utf8mb4", sql_mode=modes, autocommit=True
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def create(self) -> str:
        """A new database."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"create database {name} character set utf8mb4")
        return name

    def drop(self, name: str) -> None:
        self.cut(name)
        self.sql(f"drop database {name}")

    def cut(self, database: str) -> None:
        """Terminate every connection to a database, as a fail-over does."""
        import pymysql

        for (number,) in self.sql(f"select id from information_schema.processlist where db = '{database}'"):
            with suppress(pymysql.err.OperationalError):  # it has ended by itself
                self.sql(f"kill {number}")

    def busy(self, database: str) -> int:
        """How many queries on a database the server is working on."""
        working = f"select count(*) from information_schema.processlist where db = '{database}' and command <> 'Sleep'"
        return int(self.sql(working)[0][0])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@cache
def _shared() -> MariaDBServer | NoServer:
    try:
        server = MariaDBServer()
    except NoServer as why:
        return why
    atexit.register(server.close)
    return server


def shared_server() -> MariaDBServer:
    """The server of this process. Raises NoServer, every time, when there can be none."""
    found = _shared()
    if isinstance(found, NoServer):
        raise found
    return found


def _program(*names: str) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    found = next((place for name in names if (place := shutil.which(name, path=path))), None)
    if found is None:
        raise NoServer("MariaDB is not installed: apt-get install mariadb-server")
    return found


def _unprivileged() -> dict[str, Any]:
    """MariaDB refuses to run as root: then it is started as `mysql`, or as `nobody`."""
    if not hasattr(os, "geteuid"):
        raise NoServer("there is no MariaDB for tests on Windows")
    if os.geteuid():
        return {}
    import pwd

    for name in ("mysql", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise NoServer("MariaDB does not run as root, and there is no user `mysql` or `nobody`")
