"""A ledger in the way: locked by another program, on a disk that is full, on a server that is started again."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from connect.providers import memory
from connect.testing.postgres import NoServer, PostgresServer
from connect.testing.smtp import SmtpServer

LOCKS = """
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
ledger.execute("begin immediate")
print("locked", flush=True)
sys.stdin.read()
ledger.execute("rollback")
"""
IMPATIENT = """
import sys
from connect.ledger import place
place.BUSY_SECONDS = 0.05
from connect.cli.main import main
sys.exit(main())
"""
PEOPLE = 300


class Browser:
    """Another program that has begun to write, and does not end."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._process: subprocess.Popen[str] | None = None

    def lock(self) -> None:
        if self._process is None:
            command = [sys.executable, "-c", LOCKS, str(self._ledger)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._process.stdout
            assert self._process.stdout.readline() == "locked\n"

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


@pytest.fixture
def browser(shop: Any) -> Iterator[Browser]:
    browser = Browser(shop.root / ".connect/state.db")
    yield browser
    browser.close()


@pytest.fixture
def shop_by_mail(shop: Any, server: SmtpServer) -> Any:
    """Hundreds of people, a slow account, and so at most two deliveries in doubt at a time."""
    shop.people(PEOPLE)
    shop.configure_smtp(server, concurrency=1)
    return shop


def sends(shop: Any, server: SmtpServer) -> subprocess.Popen[str]:
    """`connect run` as a process that does not wait for locks as long as people want it to, in its middle."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "run", "hello", "--yes"],
        cwd=shop.root,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while len(server.messages) < PEOPLE // 10:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)  # two processes share no event
    return process


def gave_up(shop: Any, process: subprocess.Popen[str], words: str) -> None:
    """It said why. That can not be noted in the ledger: whoever goes on finds a run whose process is gone."""
    ended = shop.ended(process)
    assert (ended.code, ended.error.code) == (3, "ledger-unavailable"), ended.err
    assert words in ended.error.message
    assert ended.error.hint


def ends_well(shop: Any, server: SmtpServer) -> None:
    """The same run goes on: everybody is counted once, nobody heard twice, and two at most are in doubt."""
    ended = shop.run("hello", "--json")
    outcomes = ended.json["outcomes"]
    assert ended.json["deliveries"] == outcomes["sent"] + outcomes["unknown"] == PEOPLE
    assert outcomes["unknown"] <= 2
    heard = Counter(address for message in server.messages for address in message.recipients)
    assert set(heard.values()) == {1}
    assert len(heard) >= outcomes["sent"]
    assert shop.ledger == [("live", "hello", "completed")]


def test_one_that_stays_locked_stops_the_run(shop_by_mail: Any, server: SmtpServer, browser: Browser) -> None:
    process = sends(shop_by_mail, server)
    browser.lock()
    gave_up(shop_by_mail, process, "is locked by another process")
    browser.close()
    ends_well(shop_by_mail, server)


def test_one_that_is_locked_for_a_while_is_waited_for(shop: Any, browser: Browser) -> None:
    shop.people(60)

    def lock(outgoing: Any, attempt: int) -> None:
        if memory.counts("mail").accepted == 30:
            browser.lock()
            threading.Timer(0.5, browser.close).start()  # while the outcomes are waiting to be written

    memory.script("mail", lock)

    ended = shop.run("hello", "--json")

    assert ended.code == 0
    assert ended.counts == {("email", "sent", ""): 60}


def test_files_that_may_not_grow_any_more_stop_the_run(shop_by_mail: Any, server: SmtpServer) -> None:
    """A quota on files (prlimit(2), RLIMIT_FSIZE), which needs no rights to try."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system does not limit other processes")
    process = sends(shop_by_mail, server)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))
    gave_up(shop_by_mail, process, "the disk f")
    ends_well(shop_by_mail, server)


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[None]:
    """A disk of its own (tmpfs)."""
    at.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(at)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def filled(file: Path) -> None:
    """Take what is left of a disk."""
    with suppress(OSError), file.open("wb", buffering=0) as taken:
        while True:
            taken.write(bytes(16 * 1024))


def test_a_full_disk_stops_the_run_and_more_space_lets_it_go_on(shop_by_mail: Any, server: SmtpServer) -> None:
    disk = shop_by_mail.root / ".connect"
    with small_disk(disk, "16m"):
        process = sends(shop_by_mail, server)
        filled(disk / "somebody-elses")
        gave_up(shop_by_mail, process, "can not grow: the disk is full")
        (disk / "somebody-elses").unlink()
        ends_well(shop_by_mail, server)


class Restarted(PostgresServer):
    """A server that is started again at once, as after a crash: nothing is said goodbye to."""

    def restart(self) -> None:
        data = str(self.folder / "data")
        self._run("pg_ctl", "restart", "-D", data, "-m", "immediate", "-w", "-l", str(self.folder / "log2"))

    def close(self) -> None:
        self._run("pg_ctl", "stop", "-D", str(self.folder / "data"), "-m", "immediate")
        super().close()


@pytest.fixture
def postgres() -> Iterator[Restarted]:
    try:
        server = Restarted("fsync=on")
    except NoServer as why:
        pytest.skip(str(why))
    with server:
        yield server


def test_a_server_that_is_started_again_is_waited_for(shop: Any, crowd: int, postgres: Restarted) -> None:
    with postgres.database() as url:
        shop.configure(mail="{type: memory, concurrency: 1}", more=f"state: {url}\n")
        restarts: list[int] = []

        def restart(outgoing: Any, attempt: int) -> None:
            if memory.counts("mail").accepted in (100, 1700) and len(restarts) < 2:
                restarts.append(memory.counts("mail").accepted)
                postgres.restart()

        memory.script("mail", restart)

        ended = shop.run("hello", "--json")

        assert restarts == [100, 1700]
        assert ended.code == 0
        assert ended.counts == {("email", "sent", ""): crowd}
        assert len(set(shop.addresses())) == len(shop.addresses()) == crowd
