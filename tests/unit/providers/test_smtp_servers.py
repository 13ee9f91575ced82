"""Real mail servers of other people: postfix's smtp-sink, and exim. Debian has both; without them this is skipped."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from connect.channels.message import Mailbox, Outgoing
from connect.providers.interface import Account, Receipt, Status
from connect.providers.smtp import Settings, Smtp
from connect.testing import an_email

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
SMTP_SINK = shutil.which("smtp-sink", path=_PATH)
EXIM = shutil.which("exim4", path=_PATH) or shutil.which("exim", path=_PATH)

needs_smtp_sink = pytest.mark.skipif(not SMTP_SINK, reason="smtp-sink is not here (it comes with Debian's postfix)")
needs_exim = pytest.mark.skipif(not EXIM, reason="exim is not here (Debian: exim4-daemon-light)")

_ROOT = os.getuid() == 0
_USER = "nobody" if _ROOT else pwd.getpwuid(os.getuid()).pw_name
_GROUP = grp.getgrgid(pwd.getpwnam(_USER).pw_gid).gr_name


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listening(port: int) -> None:
    """Another program tells nobody when it listens: try until somebody answers."""
    for _ in range(6000):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody listens on {port}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where `nobody` may write; pytest's own folders belong to whoever runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@asynccontextmanager
async def opened(port: int, concurrency: int = 8, **fields: object) -> AsyncIterator[Smtp]:
    given = {"host": "127.0.0.1", "port": port, "security": "none", "local_hostname": "me.example", **fields}
    provider = Smtp(Account("mail", Settings.model_validate(given), Path("/"), concurrency, timedelta(seconds=10)))
    try:
        await provider.open()
        yield provider
    finally:
        await provider.close()


def statuses(receipts: list[Receipt]) -> set[Status]:
    return {receipt.status for receipt in receipts}


@contextmanager
def sink(folder: Path, *options: str) -> Iterator[int]:
    assert SMTP_SINK
    port = free_port()
    user = ["-u", "nobody"] if _ROOT else []
    with serving_sink([SMTP_SINK, *options, *user, "-d", f"{folder}/mail.", f"127.0.0.1:{port}", "100"]):
        listening(port)
        yield port


@contextmanager
def serving_sink(command: list[str]) -> Iterator[None]:
    """smtp-sink gives up its rights by itself, and wants to be root if it has any."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def kept(folder: Path) -> list[str]:
    """Recipients of what smtp-sink kept."""
    text = "\n".join(file.read_text() for file in folder.glob("mail.*"))
    return sorted(re.findall(r"^X-Rcpt-Args: <(.*)>", text, re.MULTILINE))


def addresses(messages: list[Outgoing]) -> list[str]:
    return sorted(message.message.to[0].address for message in messages)  # type: ignore[union-attr,arg-type]


EMAILS = [an_email(number) for number in range(120)]


@needs_smtp_sink
@pytest.mark.parametrize("options", [(), ("-p",), ("-e",), ("-8",)], ids=["pipelining", "one-by-one", "helo", "7bit"])
async def test_smtp_sink_takes_each_message_once(folder: Path, options: tuple[str, ...]) -> None:
    with sink(folder, *options) as port:
        async with opened(port, messages_per_connection=25) as provider:
            assert statuses(await provider.send(EMAILS)) == {Status.accepted}
    assert kept(folder) == addresses(EMAILS)


@needs_smtp_sink
@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("-r", "rcpt"), Status.transient),
        (("-f", "rcpt"), Status.rejected_recipient),
        (("-r", "data"), Status.transient),
        (("-f", "."), Status.rejected_content),
        (("-q", "mail"), Status.transient),
        (("-q", "rcpt"), Status.transient),
        (("-q", "."), Status.ambiguous),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value.value,
)
async def test_smtp_sink_refuses(folder: Path, options: tuple[str, ...], status: Status) -> None:
    with sink(folder, *options) as port:
        async with opened(port, concurrency=1) as provider:
            receipts = [(await provider.send([email]))[0] for email in EMAILS[:5]]
    assert statuses(receipts) == {status}


EXIM_SETTINGS = """
exim_user = {user}
exim_group = {group}
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
primary_hostname = mail.example
tls_advertise_hosts =
keep_environment =
add_environment =
queue_only = true
prdr_enable = false
smtp_accept_max = 50
smtp_accept_max_per_connection = 20
smtp_enforce_sync = true
message_size_limit = 1M
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny local_parts = unknown
       message = no such user
  defer local_parts = later
  accept
data:
  deny condition = ${{if match{{$rh_subject:}}{{spam}}}}
       message = looks like spam
  accept
begin routers
all:
  driver = accept
  transport = nothing
begin transports
nothing:
  driver = appendfile
  file = /dev/null
"""


class Inetd(threading.Thread):
    """One exim for each connection, as an ordinary user: only its daemon needs more rights."""

    def __init__(self, *command: str) -> None:
        super().__init__(daemon=True)
        self._command = command
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):  # closed from the other thread
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._processes.append(self._spawned(connection))

    def _spawned(self, connection: socket.socket) -> subprocess.Popen[bytes]:
        user, group = ("nobody", _GROUP) if _ROOT else (None, None)
        extra = [] if _ROOT else None
        return subprocess.Popen(
            self._command,
            stdin=connection,
            stdout=connection,
            stderr=subprocess.DEVNULL,
            user=user,
            group=group,
            extra_groups=extra,
        )

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join()
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def exim(folder: Path) -> Iterator[int]:
    """exim, which keeps what it takes in its queue."""
    assert EXIM
    settings = folder / "exim.conf"
    settings.write_text(EXIM_SETTINGS.format(folder=folder, user=_USER, group=_GROUP))
    settings.chmod(0o644)
    inetd = Inetd(EXIM, "-C", str(settings), "-bs")
    inetd.start()
    try:
        yield inetd.port
    finally:
        inetd.stop()


def queued(folder: Path) -> list[str]:
    """Recipients of what is in exim's queue: each `-H` file ends its envelope with their number, one a line."""
    found = []
    for file in folder.glob("spool/input/**/*-H"):
        envelope = file.read_text().partition("\n\n")[0].splitlines()
        found += [line for line in envelope if "@mail.example" in line and not line.startswith(("-", "<"))]
    return sorted(found)


@needs_exim
async def test_exim_takes_each_message_once_whatever_is_wrong_with_its_neighbours(folder: Path) -> None:
    """It enforces that nothing is said out of turn, and takes twenty messages on a connection, then says 421."""
    emails = list(EMAILS)
    emails[7] = emails[40] = an_email(7, to=(Mailbox("unknown@mail.example"),))
    emails[8] = an_email(8, to=(Mailbox("later@mail.example"),))
    emails[30] = an_email(30, subject="spam")
    emails[50] = an_email(50, text="long " * 300_000)
    wrong = {7, 8, 30, 40, 50}
    with exim(folder) as port:
        async with opened(port) as provider:
            receipts = await provider.send(emails)
        told = {number: receipt.status for number, receipt in enumerate(receipts) if number in wrong}
        good = [email for number, email in enumerate(emails) if number not in wrong]
        assert told == {
            7: Status.rejected_recipient,
            40: Status.rejected_recipient,
            8: Status.transient,
            30: Status.rejected_content,
            50: Status.rejected_content,
        }
        assert statuses([receipt for number, receipt in enumerate(receipts) if number not in wrong]) == {
            Status.accepted
        }
        assert queued(folder) == addresses(good)
