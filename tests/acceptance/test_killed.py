"""`kill -9` at any instant: `connect run` goes on, everybody is accounted for, nobody is sent twice unasked."""

from __future__ import annotations

import signal

import pytest

from connect.testing.smtp import HANG, At

PEOPLE = 150
PLACES = [At.rcpt, At.data, At.end]


def killed_at(shop, place, who=77):
    """A run that is killed while the server keeps one message waiting at this place."""
    shop.server.answer(place, HANG, address=f"person-{who}@mail.example", times=1)
    process = shop.start("run", "news", "--yes")
    assert shop.server.hanging.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.wait()
    shop.server.forget_answers()
    shop.server.hanging.clear()


@pytest.mark.parametrize("place", PLACES)
def test_killed_under_skip_nobody_is_sent_twice_and_those_in_doubt_are_unknown(shop, place, window, counts):
    shop.people(PEOPLE).campaign(in_doubt="skip")
    killed_at(shop, place)
    report = shop.finish()
    reached, outcomes = shop.reached(), report["outcomes"]
    assert max(reached.values()) == 1
    assert report["deliveries"] == PEOPLE == outcomes["sent"] + outcomes["unknown"]
    assert 1 <= outcomes["unknown"] <= window
    assert outcomes["sent"] <= len(reached) <= outcomes["sent"] + outcomes["unknown"]
    assert counts(report).keys() == {"sent", "unknown: in_doubt"}


@pytest.mark.parametrize("place", [At.data, At.end])
def test_killed_under_resend_everybody_is_reached_and_at_most_a_window_twice(shop, place, window):
    shop.people(PEOPLE).campaign(in_doubt="resend")
    killed_at(shop, place)
    report = shop.finish()
    reached = shop.reached()
    assert report["outcomes"]["sent"] == report["deliveries"] == PEOPLE
    assert len(reached) == PEOPLE
    assert max(reached.values()) <= 2
    assert sum(reached.values()) - PEOPLE <= window


@pytest.mark.parametrize("in_doubt", ["skip", "resend"])
def test_killed_again_and_again(shop, in_doubt, window):
    people, kills = 400, 0
    shop.people(people).campaign(in_doubt=in_doubt)
    for more in (1, 60, 110):
        process = shop.start("run", "news", "--yes")
        shop.until_reached(min(people - 40, len(shop.server.messages) + more), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    report = shop.finish()
    reached, outcomes = shop.reached(), report["outcomes"]
    assert report["deliveries"] == people == outcomes["sent"] + outcomes["unknown"]
    assert outcomes["unknown"] <= kills * window
    if in_doubt == "skip":
        assert max(reached.values()) == 1
        assert outcomes["sent"] <= len(reached) <= outcomes["sent"] + outcomes["unknown"]
    else:
        assert outcomes["unknown"] == 0
        assert len(reached) == people
        assert sum(reached.values()) - people <= kills * window
    assert len(shop.runs()) == 1


def test_killed_before_anything_is_sent(shop, window):
    shop.people(20).campaign()
    shop.server.answer(At.mail, HANG)
    process = shop.start("run", "news", "--yes")
    assert shop.server.hanging.wait(60)
    process.kill()
    process.wait()
    shop.server.forget_answers()
    assert shop.server.messages == []
    assert [(run["state"], run["reason"]) for run in shop.runs()] == [("running", "interrupted: its process is gone")]
    outcomes = shop.finish()["outcomes"]
    assert [(run["state"], run["reason"]) for run in shop.runs()] == [("completed", "")]
    assert outcomes["sent"] == 20 - outcomes["unknown"] >= 20 - window


def test_those_who_left_the_audience_while_in_doubt_are_counted_as_gone(shop, counts):
    shop.people(PEOPLE).campaign()
    killed_at(shop, At.end, who=77)
    shop.sql("delete from people where id = 77")
    report = shop.finish()
    found = counts(report)
    assert found.pop("unknown: gone") == 1
    assert report["deliveries"] == sum(found.values()) + 1 == PEOPLE
    assert "person-77@mail.example" not in shop.reached()


def test_those_who_opted_out_while_in_doubt_are_counted_once_and_not_sent(shop, counts):
    shop.people(PEOPLE).campaign(in_doubt="resend")
    killed_at(shop, At.end, who=77)
    shop.sql("update people set subscribed = false where id = 77")
    report = shop.finish()
    assert counts(report) == {"sent": PEOPLE - 1, "unknown: in_doubt": 1}
    assert "person-77@mail.example" not in shop.reached()


def test_who_joins_behind_the_cursor_or_changes_does_not_make_a_duplicate(shop):
    shop.people(PEOPLE).campaign(in_doubt="resend")
    killed_at(shop, At.data)
    shop.sql("insert into people select id + 1000, 'new-' || email, first_name, true from people")
    report = shop.finish()
    reached = shop.reached()
    old = [address for address in reached if not address.startswith("new-")]
    assert len(old) == PEOPLE
    assert report["outcomes"]["sent"] == len(reached)


def test_a_resumed_run_is_the_campaign_as_it_was_begun(shop):
    shop.people(PEOPLE).campaign(subject="As begun")
    killed_at(shop, At.end)
    shop.campaign(subject="As changed meanwhile")
    shop.finish()
    assert shop.subjects() == {"As begun"}


def test_a_broken_file_does_not_stop_a_run_from_going_on(shop):
    shop.people(PEOPLE).campaign()
    killed_at(shop, At.end)
    (shop.root / "campaigns" / "news.yml").write_text("message: [not a campaign\n")
    done = shop.connect("run", "news", "--yes")
    assert done.returncode == 2
    assert "news.yml:" in done.stderr
    shop.campaign()
    assert shop.finish()["deliveries"] == PEOPLE


def test_another_secret_can_not_go_on_and_the_old_one_can(shop):
    shop.people(PEOPLE).campaign()
    killed_at(shop, At.end)
    before = len(shop.server.messages)
    refused = shop.connect("run", "news", "--yes", CONNECT_SECRET="another secret, just as long")
    assert (refused.returncode, len(shop.server.messages)) == (2, before)
    assert "error[run-sealed]" in refused.stderr
    assert shop.finish()["deliveries"] == PEOPLE


def test_a_second_process_is_refused_while_the_first_is_at_it(shop):
    shop.people(PEOPLE).campaign()
    shop.server.answer(At.end, HANG, address="person-9@mail.example", times=1)
    first = shop.start("run", "news", "--yes")
    assert shop.server.hanging.wait(60)
    second = shop.connect("run", "news", "--yes")
    assert second.returncode == 3
    assert "error[run-held]" in second.stderr
    assert str(first.pid) in second.stderr
    first.kill()
    first.wait()
    assert shop.finish()["deliveries"] == PEOPLE
    assert max(shop.reached().values()) == 1


def test_what_is_done_is_not_repeated_unless_said(shop):
    shop.people(5).campaign()
    run = shop.finish()["runs"][0]["id"]
    refused = shop.connect("run", "news", "--yes")
    assert refused.returncode == 2
    assert "error[already-ran]" in refused.stderr
    assert run in refused.stderr
    assert "--again" in refused.stderr
    assert len(shop.server.messages) == 5
    shop.finish("--again")
    assert len(shop.server.messages) == 10
