"""`connect daemon` as a process: what it does with files, signals, kills, and beside others like it."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from threading import Timer

import pytest

from connect.testing.smtp import HANG, At

PATIENCE = 90.0
"""Seconds after which a daemon that does not do what is waited for is killed, so that the test fails and says why."""


class Daemon:
    """A daemon whose log lines are read as they come."""

    def __init__(self, shop, *arguments, **environment):
        self.process = shop.start("daemon", "--log-format", "json", "--lease", "2", *arguments, **environment)
        self.lines = []
        self._reading = self._read()
        self._timer = Timer(PATIENCE, self.process.kill)
        self._timer.start()

    def _read(self) -> Iterator[dict]:
        for text in self.process.stderr:
            self.lines.append(json.loads(text))
            yield self.lines[-1]

    def until(self, action, **values):
        """Wait for a line of this action, with these values."""
        for line in self._reading:
            if line["action"] == action and values.items() <= line.items():
                return line
        raise AssertionError(f"it ended before `{action}`: {self.lines}")

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self):
        """Read to the end; returns the exit code."""
        for _ in self._reading:
            pass
        self._timer.cancel()
        return self.process.wait()

    def kill(self):
        self.process.kill()
        return self.ended()


@pytest.fixture
def daemon(shop):
    started = []

    def start(*arguments, **environment):
        started.append(Daemon(shop, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def launched(shop):
    """A project whose campaign was launched, and waits for a daemon."""

    def launch(people, **campaign):
        shop.people(people).campaign(**campaign)
        done = shop.connect("launch", "news", "--yes")
        assert done.returncode == 0, done.stderr
        return shop

    return launch


def draft(shop):
    """The campaign is there, and does not fire yet."""
    shop.campaign()
    _replace(shop, "status: live", "status: draft")


def become_live(shop):
    _replace(shop, "status: draft", "status: live")


def _replace(shop, old, new):
    file = shop.root / "campaigns" / "news.yml"
    file.write_text(file.read_text().replace(old, new))


def states(shop):
    return [(run["campaign"], run["state"]) for run in shop.runs()]


def status(shop):
    return json.loads(shop.connect("status", "--json").stdout)


def test_what_becomes_live_is_sent_once_and_sigterm_ends_well(shop, daemon):
    draft(shop.people(20))
    first = daemon()
    first.until("campaign-adopted", campaign="news")
    become_live(shop)
    first.until("run-completed", campaign="news")
    assert status(shop)["alive"] == 1
    first.signal(signal.SIGTERM)

    assert first.ended() == 0
    assert status(shop)["daemons"] == []
    second = daemon("--once")

    assert second.ended() == 0
    assert set(shop.reached().values()) == {1}
    assert len(shop.reached()) == 20
    assert states(shop) == [("news", "completed")]


def test_what_was_live_before_the_first_daemon_came_is_not_fired(shop, daemon):
    shop.people(20).campaign()

    first = daemon("--once")

    assert first.ended() == 0
    assert shop.server.messages == []
    (campaign,) = status(shop)["campaigns"]
    assert campaign["fired"]
    assert "`connect launch news`" in campaign["words"]


def test_launched_it_is_worked_off_by_one_look(launched, daemon):
    shop = launched(20)

    assert daemon("--once").ended() == 0

    assert len(shop.reached()) == 20
    assert states(shop) == [("news", "completed")]
    assert status(shop)["runs"] == []


def test_sigterm_in_the_middle_leaves_nothing_in_doubt_and_the_next_daemon_goes_on(launched, daemon):
    people = 1200
    shop = launched(people)
    first = daemon()
    shop.until_reached(50, first.process)
    first.signal(signal.SIGTERM)

    assert first.ended() == 0
    before = len(shop.server.messages)
    assert 50 <= before < people
    assert daemon("--once").ended() == 0
    assert set(shop.reached().values()) == {1}
    assert len(shop.reached()) == people
    assert states(shop) == [("news", "completed")]


def test_a_second_signal_stops_at_once(launched, daemon):
    shop = launched(100)
    shop.server.answer(At.end, HANG, address="person-7@mail.example", times=1)
    first = daemon()
    assert shop.server.hanging.wait(60)
    first.signal(signal.SIGTERM)
    first.until("daemon-stopping")
    first.signal(signal.SIGTERM)

    assert first.ended() == 0  # the server would keep it waiting for ten minutes
    shop.server.forget_answers()


def test_killed_in_the_middle_another_takes_over_and_nobody_is_sent_twice(launched, daemon, window):
    people = 150
    shop = launched(people)
    shop.server.answer(At.end, HANG, address="person-77@mail.example", times=1)
    first = daemon()
    assert shop.server.hanging.wait(60)
    second = daemon()
    second.until("daemon-started")
    first.kill()
    shop.server.forget_answers()
    second.until("run-completed", campaign="news")
    second.signal(signal.SIGTERM)

    assert second.ended() == 0
    reached = shop.reached()
    assert max(reached.values()) == 1
    assert people - window <= len(reached) <= people
    assert states(shop) == [("news", "completed")]


def test_a_broken_campaign_is_named_and_the_others_are_followed(launched, daemon):
    shop = launched(20)
    (shop.root / "campaigns" / "broken.yml").write_text("trigger: {type: sometimes}\n")

    first = daemon("--once")

    assert first.ended() == 0
    assert any(
        line["action"] == "file-broken" and line["where"].startswith("campaigns/broken.yml:1") for line in first.lines
    )
    assert len(shop.reached()) == 20


def test_a_file_that_breaks_leaves_its_last_good_version(shop, daemon):
    shop.people(20).campaign()
    first = daemon()
    first.until("campaign-adopted", campaign="news")
    file = shop.root / "campaigns" / "news.yml"
    good = file.read_text()
    file.write_text("message: [not a campaign\n")
    first.until("campaign-kept", campaign="news")
    file.write_text(good)

    first.until("file-mended", file="campaigns/news.yml")
    assert shop.server.messages == []


def test_a_broken_project_is_refused(shop, daemon):
    (shop.root / "connect.yml").write_text("nmae: acme\n")

    done = shop.connect("daemon", "--once")

    assert done.returncode == 2
    assert "connect.yml:1:1: error[unknown-key]" in done.stderr


def test_sighup_reads_the_files_at_once(shop, daemon):
    shop.people(20).campaign()
    first = daemon()
    first.until("daemon-started")
    first.signal(signal.SIGHUP)

    first.until("files-read")
    first.signal(signal.SIGTERM)
    assert first.ended() == 0


def test_pausing_holds_for_a_daemon_that_runs(shop, daemon):
    draft(shop.people(20))
    first = daemon()
    first.until("campaign-adopted", campaign="news")
    assert shop.connect("pause", "news").returncode == 0
    become_live(shop)

    first.until("fire-time-skipped", campaign="news", reason="paused by hand")
    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    assert shop.server.messages == []
    assert states(shop) == [("news", "skipped")]


def test_lines_name_an_action_and_nobody(launched, daemon):
    shop = launched(20)
    shop.server.answer(At.rcpt, "550 5.1.1 no such person", address="person-7@mail.example")
    first = daemon("--once")

    assert first.ended() == 1  # a delivery has failed
    assert all({"at", "level", "action"} <= line.keys() for line in first.lines)
    text = json.dumps(first.lines)
    assert "mail.example" not in text
    assert "Person" not in text
    assert shop.server.password not in text
    (taken,) = [line for line in first.lines if line["action"] == "run-taken-up"]
    assert taken["campaign"] == "news"
    assert taken["run"]


def test_systemd_is_told(shop, daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        first = daemon(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        told = [manager.recv(4096).decode() for _ in range(4)]
        first.signal(signal.SIGTERM)
        while "STOPPING=1" not in told:
            told.append(manager.recv(4096).decode())

        assert first.ended() == 0
    assert told[0] == "READY=1"
    assert "WATCHDOG=1" in told
    assert any(line.startswith("STATUS=0 live campaigns") for line in told)
