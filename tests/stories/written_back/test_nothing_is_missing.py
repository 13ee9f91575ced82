"""The warehouse is out, the table is gone, the process is killed: afterwards every delivery has its row, once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from connect.testing.smtp import SmtpServer

PEOPLE = 300
_HOLDER = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mailed(home: Any, server: SmtpServer) -> Any:
    return _mailed(home, server)


@pytest.fixture
def filed(file: Any, server: SmtpServer) -> Any:
    return _mailed(file, server)


def _mailed(home: Any, server: SmtpServer) -> Any:
    """Everybody is written to through a real mail server, by processes of their own."""
    account = {
        "type": "smtp",
        "host": server.host,
        "port": server.port,
        "username": server.username,
        "password": "${SMTP_PASSWORD}",
        "ca_file": str(server.ca_file),
        "local_hostname": "sender.example",
        "concurrency": 4,
    }
    home.configure("destination: {include: [id, address]}", mail=account)
    home.crowd(PEOPLE)
    home.init()
    return home


def _until(server: SmtpServer, count: int, process: subprocess.Popen[str]) -> None:
    while len(server.messages) < count and process.poll() is None:
        time.sleep(0.001)  # two processes share no event


def _heard(server: SmtpServer) -> Counter[str]:
    return Counter(message.recipients[0] for message in server.messages)


def _all_is_there(home: Any, server: SmtpServer) -> None:
    """What the table says is what the report says, and whoever it says was sent has heard, person by person."""
    report = home.shop.connect("report", "hello", "--json").json
    told = {(one["channel"], one["outcome"], one["reason"]): one["count"] for one in report["tallies"]}
    assert home.written() == told
    home.each_once()
    sent = Counter(row["address"] for row in home.ask("select address from connect_deliveries where outcome = 'sent'"))
    heard = _heard(server)
    assert set(sent.values()) == {1}
    assert set(heard.values()) == {1}
    unsure = told.get(("email", "unknown", "in_doubt"), 0)
    assert set(sent) <= set(heard)
    assert len(sent) + unsure == PEOPLE


def test_killed_at_random_instants(mailed: Any, server: SmtpServer) -> None:
    dice = random.Random(7)
    for _ in range(4):
        process = mailed.shop.start("run", "hello", "--yes", "--lease", "1")
        _until(server, len(server.messages) + dice.randrange(5, 60), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = mailed.shop.ended(mailed.shop.start("run", "hello", "--yes", "--lease", "1"))
    assert ended.code in (0, 1), ended.err
    _all_is_there(mailed, server)


def test_stopped_and_gone_on_with(mailed: Any, server: SmtpServer) -> None:
    process = mailed.shop.start("run", "hello", "--yes")
    _until(server, 40, process)
    process.send_signal(signal.SIGINT)
    assert mailed.shop.ended(process).code in (0, 1, 130)
    so_far = mailed.ask("select count(*) as n from connect_deliveries where outcome = 'sent'")
    assert so_far == [{"n": len(server.messages)}]
    assert mailed.shop.ended(mailed.shop.start("run", "hello", "--yes")).code == 0
    _all_is_there(mailed, server)


def test_the_table_is_dropped_meanwhile(mailed: Any, server: SmtpServer) -> None:
    process = mailed.shop.start("run", "hello", "--yes")
    _until(server, 40, process)
    mailed.change("drop table connect_deliveries")
    stopped = mailed.shop.ended(process)
    assert stopped.code != 0
    assert "the destination does not take what was sent" in stopped.err
    (run,) = mailed.shop.connect("runs", "list", "--json").json
    assert run["state"] == "paused"
    refused = mailed.shop.run("hello")
    assert (refused.code, refused.error.code) == (2, "destination-missing")
    mailed.init()
    before = {message.recipients[0] for message in server.messages}
    assert mailed.shop.run("hello").code == 0
    assert set(_heard(server).values()) == {1}
    assert set(_heard(server)) >= before
    assert len(server.messages) == PEOPLE


@contextlib.contextmanager
def _held(home: Any) -> Any:
    """Somebody else has the file open to write."""
    name = home.url.removeprefix("duckdb:///")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    try:
        yield
    finally:
        holder.communicate("")


def test_a_file_that_somebody_else_writes_to_is_waited_for(filed: Any, server: SmtpServer) -> None:
    process = filed.shop.start("run", "hello", "--yes")
    _until(server, 40, process)
    with _held(filed):
        while True:
            shown = filed.shop.connect("runs", "show", filed.run_id()).out
            if "destination `shop`" in shown:
                break
            assert process.poll() is None, process.communicate()
    assert filed.shop.ended(process).code == 0
    _all_is_there(filed, server)


def test_stopped_while_the_file_is_somebody_elses(filed: Any, server: SmtpServer) -> None:
    process = filed.shop.start("run", "hello", "--yes")
    _until(server, 40, process)
    with _held(filed):
        while "destination `shop`" not in filed.shop.connect("runs", "show", filed.run_id()).out:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        filed.shop.ended(process)
    assert filed.shop.run("hello").code == 0
    _all_is_there(filed, server)
