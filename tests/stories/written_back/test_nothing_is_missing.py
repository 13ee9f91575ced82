"""The warehouse is out, the table is gone, the process is killed: afterwards every delivery has its row, once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from email import message_from_bytes
from typing import Any

import pytest

from connect.testing.smtp import HANG, At, SmtpServer

PEOPLE = 300
_HOLDER = """
import duckdb, sys
print("ready", flush=True)
sys.stdin.readline()
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mailed(home: Any, server: SmtpServer) -> Any:
    return mailed_by(home, server)


@pytest.fixture
def filed(file: Any, server: SmtpServer) -> Any:
    return mailed_by(file, server)


def mailed_by(home: Any, server: SmtpServer) -> Any:
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


def until_heard(server: SmtpServer, count: int, process: subprocess.Popen[str]) -> None:
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
        until_heard(server, len(server.messages) + dice.randrange(5, 60), process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ended = mailed.shop.ended(mailed.shop.start("run", "hello", "--yes", "--lease", "1"))
    assert ended.code in (0, 1), ended.err
    _all_is_there(mailed, server)


def _dies(home: Any, server: SmtpServer) -> subprocess.Popen[str] | None:
    """A process that is killed while the server keeps a message waiting; None if it was; else it has ended."""
    process: subprocess.Popen[str] = home.shop.start("run", "hello", "--yes", "--lease", "1")
    while not server.hanging.wait(0.05):
        if process.poll() is not None:
            return process
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.hanging.clear()
    return None


def test_the_same_row_kills_each_time(filed: Any, contents: Any, server: SmtpServer) -> None:
    """Others get through before it and behind it, and are written: that is no reason to go on for ever."""
    filed.campaign(contents["email"], in_doubt="resend")
    server.answer(At.end, HANG, address=filed.person(PEOPLE // 2)[1])
    deaths = 0
    while (ended := _dies(filed, server)) is None:
        deaths += 1
        assert deaths < 10
    assert 3 <= deaths <= 6
    _, err = ended.communicate()
    assert (ended.returncode, "workers in a row have died without getting any further" in err) == (3, True)
    server.forget_answers()
    assert filed.shop.run("hello").code == 0
    assert filed.written() == {("email", "sent", ""): PEOPLE}
    filed.each_once()


def test_two_runs_that_share_a_cap_take_turns(mailed: Any, contents: Any, server: SmtpServer) -> None:
    shop, cap = mailed.shop, {"max": 1, "per": "7d", "across": "all"}
    for name in ("first", "second"):
        mailed.campaign({**contents["email"], "subject": name}, name=name, frequency_cap=cap, in_doubt="resend")
    server.answer(At.end, HANG, address=mailed.person(PEOPLE // 2)[1])
    first = shop.start("run", "first", "--yes", "--lease", "1")
    while not server.hanging.wait(0.05):
        assert first.poll() is None, first.communicate()
    second = shop.start("run", "second", "--yes")
    for killed in (False, True):
        if killed:  # what it has sent is not written yet, whoever works on it
            first.send_signal(signal.SIGKILL)
            first.communicate()
        while "waiting: cap held by first" not in shop.connect("runs", "list", "--json").out:
            assert second.poll() is None, second.communicate()
    assert mailed.ask("select run from connect_deliveries where campaign = 'second'") == []
    server.forget_answers()
    assert shop.ended(shop.start("run", "first", "--yes")).code == 0
    assert shop.ended(second).code == 0
    assert len(_heard(server)) == PEOPLE
    subjects = {message_from_bytes(message.content)["subject"] for message in server.messages}
    assert subjects == {"first"}  # of which some came twice: they were in doubt
    assert mailed.written() == {("email", "sent", ""): PEOPLE, ("email", "skipped", "capped"): PEOPLE}
    mailed.each_once()


def test_stopped_and_gone_on_with(mailed: Any, server: SmtpServer) -> None:
    process = mailed.shop.start("run", "hello", "--yes")
    until_heard(server, 40, process)
    process.send_signal(signal.SIGINT)
    assert mailed.shop.ended(process).code in (0, 1, 130)
    so_far = mailed.ask("select count(*) as n from connect_deliveries where outcome = 'sent'")
    assert so_far == [{"n": len(server.messages)}]
    assert mailed.shop.ended(mailed.shop.start("run", "hello", "--yes")).code == 0
    _all_is_there(mailed, server)


def test_the_table_is_dropped_meanwhile(mailed: Any, server: SmtpServer) -> None:
    process = mailed.shop.start("run", "hello", "--yes")
    until_heard(server, 40, process)
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
def _holder(home: Any) -> Any:
    """Somebody who opens the file to write when called, and keeps it to themselves; at once, or the run is over."""
    name = home.url.removeprefix("duckdb:///")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdin
    assert holder.stdout.readline() == "ready\n"

    def take() -> None:
        print(file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "held\n"

    try:
        yield take
    finally:
        holder.communicate("")


def test_a_file_that_somebody_else_writes_to_is_waited_for(filed: Any, server: SmtpServer) -> None:
    with _holder(filed) as take:
        process = filed.shop.start("run", "hello", "--yes")
        until_heard(server, 40, process)
        take()
        while True:
            shown = filed.shop.connect("runs", "show", filed.run_id()).out
            if "destination `shop`" in shown:
                break
            assert process.poll() is None, process.communicate()
    assert filed.shop.ended(process).code == 0
    _all_is_there(filed, server)


def test_stopped_while_the_file_is_somebody_elses(filed: Any, server: SmtpServer) -> None:
    with _holder(filed) as take:
        process = filed.shop.start("run", "hello", "--yes")
        until_heard(server, 40, process)
        take()
        while "destination `shop`" not in filed.shop.connect("runs", "show", filed.run_id()).out:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        filed.shop.ended(process)
    assert filed.shop.run("hello").code == 0
    _all_is_there(filed, server)
