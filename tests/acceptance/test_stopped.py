"""Ctrl-C and SIGTERM: what is in the air is finished, the rest goes on with the next `connect run`."""

from __future__ import annotations

import signal

import pytest

from connect.testing.smtp import HANG, At

PEOPLE = 1200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_drains_says_how_to_go_on_and_leaves_nothing_in_doubt(shop, number):
    shop.people(PEOPLE).campaign()
    process = shop.start("run", "news", "--yes")
    shop.until_reached(50, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopping: finishing what is in the air" in err
    assert "`connect run news` goes on" in err
    assert "stopped" in out
    (run,) = shop.runs()
    assert (run["state"], run["reason"]) == ("stopped", "stopped on request")
    before = len(shop.server.messages)
    assert 50 <= before < PEOPLE
    assert f"{before:,} sent" in out

    report = shop.finish()
    assert report["outcomes"] == {"sent": PEOPLE, "skipped": 0, "refused": 0, "failed": 0, "unknown": 0}
    assert report["runs"][0]["id"] == run["id"]
    assert max(shop.reached().values()) == 1
    assert len(shop.reached()) == PEOPLE


def test_stopping_does_not_wait_for_an_account_that_throttles(shop):
    shop.people(100).campaign()
    shop.server.answer(At.rcpt, "421 4.7.0 slow down")
    process = shop.start("run", "news", "--yes")
    while shop.server.connections < 12:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert shop.server.messages == []
    shop.server.forget_answers()
    assert shop.finish()["outcomes"]["sent"] == 100


def test_the_second_signal_stops_at_once(shop):
    shop.people(100).campaign()
    shop.server.answer(At.end, HANG, address="person-7@mail.example", times=1)
    process = shop.start("run", "news", "--yes")
    assert shop.server.hanging.wait(60)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)  # the server would keep it waiting for ten minutes
    assert process.returncode == 130
    assert "stopped" in out
    shop.server.forget_answers()
    report = shop.finish()
    assert report["outcomes"]["unknown"] >= 1
    assert report["deliveries"] == 100
    assert max(shop.reached().values()) == 1


def test_a_stopped_run_is_shown_with_what_to_do(shop):
    shop.people(PEOPLE).campaign()
    process = shop.start("run", "news", "--yes")
    shop.until_reached(20, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    (run,) = shop.runs()
    shown = shop.connect("runs", "show", run["id"][:10])
    assert shown.returncode == 0
    assert "stopped: stopped on request" in shown.stdout
    assert "`connect run news` goes on" in shown.stdout
