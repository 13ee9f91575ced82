"""`make demo`, in a copy: what was planted in the shop's warehouse is what the reports count.

It finds no package beyond those that Connect is installed with, as on a fresh machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from email import message_from_bytes, policy
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import phonenumbers
import pytest

ROOT = Path(__file__).resolve().parents[3]
DEMO = ("connect.yml", "campaigns", "templates", "audiences", "examples")
CAMPAIGNS = ("points_expiring", "arriving_today", "order_review", "welcome_back")
EVERY_OUTCOME = {"sent", "skipped", "refused", "failed", "unknown"}

sys.path.insert(0, str(ROOT))
from examples.shop import build as shop  # noqa: E402
from tests import as_installed, processes  # noqa: E402

Tally = tuple[str, str, str]  # channel, outcome, reason

# What becomes of somebody whom this was planted on. Everybody else is sent to.
LETTER = {
    "no_id": ("refused", "missing_key"),
    "bad_email": ("refused", "invalid_email"),
    "no_email": ("skipped", "no_address"),
    "line_break_in_name": ("refused", "invalid_header"),
    "rejected": ("failed", "mailbox_unavailable"),
    "lost": ("unknown", "no_answer"),
    "opted_out_by_id": ("skipped", "unsubscribed"),
    "opted_out_by_address": ("skipped", "unsubscribed"),
    "bounced": ("skipped", "bounced"),
    "complained": ("skipped", "complained"),
}
SENT, ELSEWHERE = ("sent", ""), ("skipped", "reached_elsewhere")
NO_ADDRESS = ("skipped", "no_address")
REVIEW = {
    "no_packer": (("refused", "null_value"), ELSEWHERE),
    "bad_email": (("refused", "invalid_email"), SENT),
    "no_email": (NO_ADDRESS, SENT),
    "bad_phone": (NO_ADDRESS, ("refused", "invalid_phone")),
    "nowhere": (NO_ADDRESS, NO_ADDRESS),
    "opted_out_of_email": (("skipped", "unsubscribed"), SENT),
}
POINTS = {
    "no_id": ("refused", "missing_key"),
    "opted_out_by_id": ("skipped", "unsubscribed"),
    "opted_out_of_sms": ("skipped", "unsubscribed"),
    "bad_phone": ("refused", "invalid_phone"),
    "no_phone": NO_ADDRESS,
    "nowhere": NO_ADDRESS,
}


class Demo:
    """The demo after it has run."""

    def __init__(self, folder: Path, ended: subprocess.CompletedProcess[str]) -> None:
        self.folder, self.ended = folder, ended
        self.flaws = {person.account: person.flaw for person in shop.people(Random(shop.SEED))}

    def report(self, campaign: str) -> dict[str, Any]:
        return self._reports[campaign]

    @cached_property
    def _reports(self) -> dict[str, dict[str, Any]]:
        shown = connect(self.folder, "report", "--json")
        assert shown.returncode == 0, shown.stderr
        return {report["campaign"]: report for report in json.loads(shown.stdout)}

    def tallies(self, campaign: str) -> Counter[Tally]:
        """However many segments a text message took."""
        found: Counter[Tally] = Counter()
        for tally in self.report(campaign)["tallies"]:
            reason = "" if tally["outcome"] == "sent" else tally["reason"]
            found[tally["channel"], tally["outcome"], reason] += tally["count"]
        return found

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "shop.duckdb"), read_only=True) as database:
            return database.execute(sql).fetchall()

    def files(self, campaign: str, suffix: str) -> list[Path]:
        return list((self.folder / "outbox" / self.report(campaign)["runs"][0]["id"]).glob(f"*{suffix}"))

    def emails(self, campaign: str) -> list[Any]:
        return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in self.files(campaign, ".eml")]

    def texts(self, campaign: str) -> list[dict[str, str]]:
        files = [file for file in self.files(campaign, ".json") if not file.name.endswith(".push.json")]
        return [json.loads(file.read_text()) for file in files]

    def pushes(self, campaign: str) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in self.files(campaign, ".push.json")]


def connect(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return processes.run(processes.COMMAND, *arguments, folder=folder, environment=environment(), text=True)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CONNECT_")}


def run(folder: Path, *arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    found = {**environment(), "PYTHONPATH": path}
    return subprocess.run(arguments, cwd=folder, env=found, capture_output=True, text=True, check=False)


LEFT = (".connect/state.db", "outbox/run/letter.eml", "shop.duckdb")


def leave_behind(folder: Path) -> None:
    """What an earlier demo made, and was broken since."""
    for name in LEFT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("left behind")
    (folder / ".env").write_text("CONNECT_SECRET=the secret of an earlier demo, which stays\n")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "project"
    folder.mkdir()
    for name in DEMO:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    leave_behind(folder)
    path = as_installed.hiding_the_rest(folder.with_name("alone"))
    return Demo(folder, run(folder, sys.executable, "-m", "examples.shop.demo", path=path))


def test_it_finds_no_more_than_is_installed_with_connect(demo: Demo) -> None:
    hidden = as_installed.beyond()
    assert {"boto3", "fastapi", "jsonschema", "psycopg", "pytest"} <= hidden
    assert hidden.isdisjoint({"connect", "duckdb", "liquid", "pyarrow", "pydantic", "sqlalchemy", "typer"})
    path = str(demo.folder.with_name("alone"))
    asked = run(demo.folder, sys.executable, "-c", "import duckdb, jsonschema", path=path)
    assert asked.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'jsonschema'"


def test_it_ends_well_and_says_what_to_look_at(demo: Demo) -> None:
    assert demo.ended.returncode == 0, demo.ended.stdout + demo.ended.stderr
    assert "outbox --open" in demo.ended.stdout
    for campaign in CAMPAIGNS:
        assert f"connect run {campaign} --yes" in demo.ended.stdout


def test_the_report_shows_each_kind_of_outcome_and_adds_up(demo: Demo) -> None:
    seen = set()
    for campaign in CAMPAIGNS:
        report = demo.report(campaign)
        assert report["deliveries"] == sum(report["outcomes"].values()) > 0
        assert report["deliveries"] == sum(tally["count"] for tally in report["tallies"])
        seen |= {outcome for outcome, count in report["outcomes"].items() if count}
    assert seen == EVERY_OUTCOME


def test_the_letter_shows_all_of_them(demo: Demo) -> None:
    assert all(demo.report("welcome_back")["outcomes"][outcome] for outcome in EVERY_OUTCOME)


LAPSED = """
select account from people where account in (
    select account from orders group by account having max(ordered_at) < now()::timestamp - interval 130 days
)
"""


def test_the_letter_counts_what_was_planted(demo: Demo) -> None:
    expected: Counter[Tally] = Counter()
    rows = Counter(account for (account,) in demo.asked(LAPSED))
    for account, count in rows.items():
        expected["email", *LETTER.get(demo.flaws[account], SENT)] += 1
        expected["email", "skipped", "duplicate"] += count - 1
    assert demo.tallies("welcome_back") == expected
    assert expected["email", "skipped", "duplicate"] == 3


def test_the_letter_reaches_exactly_the_others(demo: Demo) -> None:
    lapsed = {account for (account,) in demo.asked(LAPSED)}
    handed_over = {account for account in lapsed if demo.flaws[account] not in LETTER or demo.flaws[account] == "lost"}
    expected = {email for account, email in demo.asked("select account, email from people") if account in handed_over}
    assert {parseaddr(str(message["To"]))[1] for message in demo.emails("welcome_back")} == expected


def test_everybody_gets_the_letter_in_their_language(demo: Demo) -> None:
    locales = dict(demo.asked("select email, locale from people where email is not null"))
    languages = Counter()
    for message in demo.emails("welcome_back"):
        html = message.get_body(("html",)).get_content()
        language = locales[parseaddr(str(message["To"]))[1]][:2]
        assert f'<html lang="{language if language in ("fr", "de") else "en"}">' in html
        languages[language] += 1
    assert {"en", "fr", "de", "ja"} <= languages.keys()


def test_each_letter_can_be_stopped(demo: Demo) -> None:
    links = set()
    for message in demo.emails("welcome_back"):
        link = message["List-Unsubscribe"].split(">")[0].lstrip("<")
        assert link.startswith("https://juniperandsalt.example/letters/stop?t=")
        assert link in message.get_body(("html",)).get_content().replace("&amp;", "&")
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        links.add(link)
    assert len(links) == len(demo.emails("welcome_back"))


def test_reviews_are_asked_for_once_for_each_order_on_the_first_channel(demo: Demo) -> None:
    expected: Counter[Tally] = Counter()
    last_week = "select account from orders where delivered_on between current_date - 15 and current_date - 5"
    orders = [account for (account,) in demo.asked(last_week)]
    for account in orders:
        email, sms = REVIEW.get(demo.flaws[account], (SENT, ELSEWHERE))
        expected["email", *email] += 1
        expected["sms", *sms] += 1
    assert demo.tallies("order_review") == expected
    assert len(orders) > len(set(orders))


ARRIVING = """
select parcels.account, parcels.order_id, people.email, people.phone_number,
       (select list(token order by token) from devices where devices.account = parcels.account)
from parcels join people on people.account = parcels.account
where arrives_on = (select min(arrives_on) from parcels)
"""


def test_whoever_waits_for_a_parcel_hears_by_mail_by_text_and_on_every_phone(demo: Demo) -> None:
    expected: Counter[Tally] = Counter()
    tokens, most = set(), 0
    for account, _order, _email, _number, devices in demo.asked(ARRIVING):
        expected["email", *SENT] += 1
        expected["sms", *POINTS.get(demo.flaws[account], SENT)] += 1
        most = max(most, len(devices or ()))
        for token in devices or ():
            expected["push", *(("failed", "unregistered") if token.startswith("dead-") else SENT)] += 1
            tokens |= set() if token.startswith("dead-") else {token}
        expected["push", *NO_ADDRESS] += not devices
    expected["sms", *SENT] += expected.pop(("sms", "skipped", "unsubscribed"), 0)  # they wait for it all the same
    assert demo.tallies("arriving_today") == +expected
    assert {push["to"] for push in demo.pushes("arriving_today")} == tokens
    assert most > 1
    assert expected["push", "failed", "unregistered"] > 0


def test_a_parcel_is_a_text_of_one_segment(demo: Demo) -> None:
    reasons = {tally["reason"] for tally in demo.report("arriving_today")["tallies"] if tally["channel"] == "sms"}
    assert not any("segments" in reason for reason in reasons)


DUE = """
select account, any_value(points), count(*) from people
where points_expire_on between current_date - 1 and current_date + 12
group by account
"""


def test_points_are_worth_a_text_or_not(demo: Demo) -> None:
    expected: Counter[Tally] = Counter()
    for account, points, rows in demo.asked(DUE):
        unharmed = ("skipped", "skip_tag: too few points") if points < 150 else SENT
        expected["sms", *POINTS.get(demo.flaws[account], unharmed)] += 1
        expected["sms", "skipped", "duplicate"] += rows - 1
    assert demo.tallies("points_expiring") == +expected
    assert expected["sms", "skipped", "skip_tag: too few points"] > 0


def test_text_messages_go_to_valid_numbers_and_say_how_to_stop(demo: Demo) -> None:
    texts = demo.texts("points_expiring") + demo.texts("order_review")
    assert texts
    for text in texts:
        assert phonenumbers.is_valid_number(phonenumbers.parse(text["to"]))
        assert text["body"].endswith(("reply STOP", "répondez STOP", "STOP antworten"))
        assert "  " not in text["body"]


def test_examples_can_be_previewed(demo: Demo) -> None:
    counts = (("welcome_back", 3), ("order_review", 4), ("points_expiring", 4), ("arriving_today", 4))
    for campaign, count in counts:
        shown = connect(demo.folder, "preview", campaign, "--json")
        assert shown.returncode == 0, shown.stderr
        deliveries = json.loads(shown.stdout)
        assert len(deliveries) == count
        assert any(delivery.get("subject") or delivery.get("text") for delivery in deliveries)


def test_it_starts_over(demo: Demo) -> None:
    """Whoever runs it again gets the same once more: nothing of what was there is read, or is there."""
    for campaign in CAMPAIGNS:
        assert len(demo.report(campaign)["runs"]) == 1
    for name in LEFT:
        file = demo.folder / name
        assert not file.exists() or b"left behind" not in file.read_bytes()
    assert (demo.folder / ".env").read_text() == "CONNECT_SECRET=the secret of an earlier demo, which stays\n"
