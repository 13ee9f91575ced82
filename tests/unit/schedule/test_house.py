"""The last good version of everything, and noticing that files have changed."""

from __future__ import annotations

import os

import pytest

from connect.errors import UserError
from connect.schedule.house import House
from connect.schedule.watching import Watch, signature

HOURLY = '{type: recurring, cron: "0 * * * *"}'


def codes(changes):
    return [problem.code for problem in changes.problems]


# The house


def test_a_reload_says_what_is_new_what_changed_and_what_is_gone(club):
    for name in ("same", "changed", "gone"):
        club.campaign(name)
    house = club.house()

    club.campaign("changed", HOURLY)
    club.campaign("new")
    club.remove("gone")
    changes = house.reload()

    assert (changes.campaigns, changes.gone, changes.problems) == (("changed", "new"), ("gone",), ())
    assert not changes.project
    assert sorted(house.campaigns) == ["changed", "new", "same"]
    assert house.campaigns["changed"].trigger.cron == "0 * * * *"


def test_a_broken_file_leaves_its_last_good_version_and_is_said_once(club):
    club.campaign("one")
    club.campaign("two")
    house = club.house()

    club.campaign("one", "{type: recurring, cron: never}")
    first, second = house.reload(), house.reload()

    assert codes(first) == ["bad-cron"]
    assert first.kept == second.kept == ("one",)
    assert second.problems == ()
    assert (first.campaigns, first.gone) == ((), ())
    assert house.campaigns["one"].trigger.cron == "0 9 * * *"
    assert house.loaded("one").campaign is house.campaigns["one"]
    assert house.is_whole
    assert [problem.code for problem in house.problems] == ["bad-cron"]


def test_trouble_that_comes_back_is_said_again(club):
    good = club.campaign("one").read_text()
    house = club.house()
    file = club.write("campaigns/one.yml", "trigger: [")
    assert len(house.reload().problems) == 1
    file.write_text(good)
    assert house.reload().mended == ("campaigns/one.yml",)
    assert house.problems == ()
    file.write_text("trigger: [")
    assert len(house.reload().problems) == 1


def test_a_file_that_was_never_good_gives_no_campaign(club):
    club.campaign("good")
    club.write("campaigns/bad.yml", "trigger: {type: sometimes}")
    house = club.house()
    assert sorted(house.campaigns) == ["good"]
    assert house.loaded("bad") is None
    assert not house.is_whole
    assert house.unread == {"campaigns/bad.yml"}
    assert house.files == {"campaigns/bad.yml", "campaigns/good.yml"}
    assert house.problems

    club.campaign("bad")
    changes = house.reload()
    assert (changes.campaigns, changes.mended) == (("bad",), ("campaigns/bad.yml",))
    assert house.is_whole

    club.write("campaigns/bad.yml", "trigger: {type: sometimes}")
    house.reload()
    assert house.unread == frozenset()


@pytest.mark.parametrize("broken", ["name: [", "name: club\nmodes: live\n", ""])
def test_a_broken_project_leaves_everything_as_it_was(club, broken):
    club.campaign("one")
    house = club.house()
    before = house.project

    club.write("connect.yml", broken)
    club.campaign("one", HOURLY)
    changes = house.reload()

    assert changes.problems
    assert (changes.project, changes.campaigns, changes.gone) == (False, (), ())
    assert house.project is before
    assert house.campaigns["one"].trigger.cron == "0 9 * * *"


def test_a_project_that_is_away_leaves_everything_as_it_was(club):
    club.campaign("one")
    house = club.house()
    club.root.rename(club.root.with_name("elsewhere"))
    assert codes(house.reload()) == ["no-project"]
    assert "one" in house.campaigns
    club.root.with_name("elsewhere").rename(club.root)
    assert house.reload().mended == ("",)


def test_files_that_can_not_be_read_are_a_problem_with_their_name(club):
    club.campaign("one")
    project, found = club.house()._load()
    broken = False

    def load():
        if broken:
            raise PermissionError(13, "Permission denied", "campaigns/one.yml")
        return project, found

    house = House(load)
    broken = True
    changes = house.reload()
    assert codes(changes) == ["unreadable-file"]
    assert "`campaigns/one.yml` can not be read: Permission denied" in changes.problems[0].message
    assert "one" in house.campaigns


def test_the_first_project_must_be_good(club):
    club.write("connect.yml", "name: [")
    with pytest.raises(UserError):
        club.house()


def test_a_second_file_of_the_same_name_does_not_replace_the_good_one(club):
    club.campaign("one")
    house = club.house()
    good = house.campaigns["one"]

    file = club.campaign("two", HOURLY)
    file.write_text("name: one\n" + file.read_text())
    changes = house.reload()

    assert set(codes(changes)) == {"duplicate-campaign"}
    assert house.campaigns == {"one": good}


def test_a_file_that_takes_the_name_of_another_goes_on_under_its_own(club):
    club.campaign("one")
    file = club.campaign("two")
    house = club.house()
    file.write_text("name: one\n" + file.read_text())
    house.reload()
    assert sorted(house.campaigns) == ["one", "two"]


def test_a_name_that_moved_to_another_file_while_the_first_broke_is_there_once(club):
    first = club.campaign("one")
    house = club.house()
    second = club.campaign("two", HOURLY)
    second.write_text("name: one\n" + second.read_text())
    first.write_text("name: other\ntrigger: {type: sometimes}\n")
    house.reload()
    assert [campaign.file for campaign in house.campaigns.values()] == ["campaigns/two.yml"]


def test_a_change_of_the_project_is_told(club):
    club.campaign("one")
    house = club.house()
    club.write("connect.yml", (club.root / "connect.yml").read_text().replace("timezone: UTC", "timezone: Asia/Tokyo"))
    changes = house.reload()
    assert changes.project
    assert changes.campaigns == ("one",)  # it inherits the zone
    assert house.project.timezone == "Asia/Tokyo"


# The watch


def test_the_same_files_have_the_same_signature(club):
    club.campaign("one")
    assert signature(club.root) == signature(club.root)


@pytest.mark.parametrize(
    "name",
    [
        "connect.yml",
        ".env",
        "campaigns/x.yml",
        "messages/x.yml",
        "audiences/x.sql",
        "segments/x.sql",
        "templates/a/b/x.html",
    ],
)
def test_every_file_that_a_project_reads_is_watched(club, name):
    before = signature(club.root)
    file = club.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one")
    made = signature(club.root)
    assert made != before
    file.write_text("other")
    written = signature(club.root)
    assert written != made
    file.unlink()
    assert signature(club.root) not in (made, written)


def test_other_files_are_not_watched(club):
    before = signature(club.root)
    club.write("shop.duckdb", "data")
    (club.root / ".connect").mkdir()
    club.write(".connect/state.db", "ledger")
    assert signature(club.root) == before


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_seen(club):
    file = club.campaign("one", subject="Hello")
    before, status = signature(club.root), file.stat()
    other = club.write("campaigns/.one.tmp", file.read_text().replace("Hello", "Howdy"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(file)
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert signature(club.root) != before


def test_a_checkout_that_is_swapped_behind_a_symlink_is_seen(tmp_path, new_club):
    for release in ("1", "2"):
        new_club(tmp_path / release).campaign("one")
    current = tmp_path / "current"
    current.symlink_to("1")
    watch = Watch(current)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(current)
    assert [watch.changed(0.0), watch.changed(1.0), watch.changed(2.0)] == [False, True, False]


def test_symlinked_files_are_looked_through_and_loops_have_an_end(club, tmp_path):
    shared = tmp_path / "shared.html"
    shared.write_text("one")
    (club.root / "templates").mkdir()
    (club.root / "templates/shared.html").symlink_to(shared)
    (club.root / "templates/again").symlink_to(club.root / "templates")
    (club.root / "templates/nowhere").symlink_to("missing")
    before = signature(club.root)
    shared.write_text("another")
    assert signature(club.root) != before


def test_a_change_is_told_once_when_it_has_settled(club):
    club.campaign("one")
    watch = Watch(club.root)
    assert not watch.changed(0.0)
    club.campaign("two")
    assert not watch.changed(5.0)
    assert watch.unsettled
    club.campaign("three")  # the checkout goes on
    assert not watch.changed(10.0)
    assert not watch.changed(10.2)
    assert watch.changed(11.0)
    assert not watch.unsettled
    assert not watch.changed(20.0)


def test_a_change_that_is_undone_is_none(club):
    watch = Watch(club.root)
    club.campaign("one")
    assert not watch.changed(0.0)
    club.remove("one")
    assert not watch.changed(5.0)
    assert not watch.unsettled
    assert not watch.changed(10.0)


def test_what_changes_while_it_is_read_is_a_change(club):
    watch = Watch(club.root)
    club.campaign("one")
    watch.reading()
    club.campaign("one", HOURLY)
    assert not watch.changed(0.0)
    assert watch.changed(1.0)


def test_a_remark_in_a_file_makes_no_other_campaign(club):
    file = club.campaign("one")
    house = club.house()
    before = house.campaigns["one"]
    file.write_text("# a remark\n" + file.read_text())
    house.reload()
    assert house.campaigns["one"].digest == before.digest
