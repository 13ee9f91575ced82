"""A program calls campaigns and sends messages: what goes out, what is told, and what is refused."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connect.ledger.owner import Owner
from connect.pipeline.beginning import new_run
from connect.pipeline.bundle import Bundle
from connect.pipeline.moment import Moment
from connect.server.api_models import Report
from connect.vocabulary import Mode, RunState
from tests import processes

ORDER = {"parameters": {"order": "A-1003"}}
LATE = {"days": 2}
DEEP: Any = json.loads("[" * 700 + "]" * 700)
CLEO = {"id": "3", "email": "cleo@example.com", "name": "Cleo"}


def test_a_call_is_a_run_for_the_people_that_its_parameters_name(shop: Any) -> None:
    called = shop.trigger("order_shipped", ORDER)
    assert called.status == 202
    assert called.headers["location"] == f"/runs/{called.body['run']['id']}"
    assert called.body["run"]["state"] == "queued"
    assert shop.served.site.ledger.run(called.body["run"]["id"]).parameters is not None

    shop.take_up()

    assert shop.sent() == [("cleo@example.com", "Order A-1003 is on its way", "Cleo, the post has it.")]
    told = shop.ask("GET", called.headers["location"]).body
    assert (told["state"], told["deliveries"], told["outcomes"]["sent"]) == ("completed", 1, 1)
    assert [state["state"] for state in told["states"]][:: len(told["states"]) - 1] == ["queued", "completed"]
    assert shop.served.site.ledger.run(told["id"]).parameters is None


def test_calls_in_one_instant_have_a_run_each(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = shop.served.site.ledger
    now = ledger.now()
    monkeypatch.setattr(ledger, "now", lambda: now)
    runs = [shop.trigger("order_shipped", ORDER).body["run"] for _ in range(3)]
    assert len({run["id"] for run in runs}) == 3
    assert len({run["fire_time"] for run in runs}) == 3
    for _ in runs:
        shop.take_up()
    assert len(shop.sent()) == 3


def test_recipients_are_written_to_before_the_answer_and_every_gate_holds_for_them(shop: Any) -> None:
    people = [
        CLEO,
        {"id": "2", "email": "bob@example.com", "name": "Bob"},  # opted out
        {"id": "5", "email": "no address", "name": "Eve"},
        {"id": "", "email": "nobody@example.com", "name": "Nobody"},
        CLEO,
    ]
    ran = shop.trigger("delayed", {"parameters": LATE, "recipients": people})
    assert ran.status == 200
    ends = [[(each["outcome"], each["reason"]) for each in one["deliveries"]] for one in ran.body["recipients"]]
    assert ends == [
        [("sent", "")],
        [("skipped", "unsubscribed")],
        [("refused", "invalid_email")],
        [("refused", "missing_key")],
        [("skipped", "duplicate")],
    ]
    assert (ran.body["run"]["state"], ran.body["deliveries"]) == ("completed", 5)
    assert sum(ran.body["outcomes"].values()) == 5
    assert [(to, subject) for to, subject, _ in shop.sent()] == [("cleo@example.com", "Cleo, your parcel is late")]


def test_a_message_goes_to_one_person(shop: Any) -> None:
    people = [{"id": 9, "email": "ada@example.com", "name": "Ada", "total": 12, "bought": ["a", {"b": 1}]}]
    sent = shop.ask("POST", "/messages/receipt", {"recipients": people})
    assert sent.status == 200
    assert [one["deliveries"][0]["outcome"] for one in sent.body["recipients"]] == ["sent"]
    assert shop.sent() == [("ada@example.com", "Your receipt", "Ada, you paid 12.")]
    assert shop.ask("GET", "/runs?campaign=message+receipt").body["items"][0]["id"] == sent.body["run"]["id"]


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("order_shipped", {}, 422, "bad-parameters"),
        ("order_shipped", {"parameters": {"order": "ada@example.com is too long"}}, 422, "bad-parameters"),
        ("order_shipped", {"parameters": {"order": "A", "ada@example.com": 1}}, 422, "bad-parameters"),
        ("order_shipped", {"parameters": {"order": "a\0"}}, 422, "bad-parameters"),
        ("order_shipped", {**ORDER, "recipients": [CLEO]}, 422, "recipients-not-allowed"),
        ("order_shipped", {**ORDER, "ada@example.com": 1}, 422, "bad-request"),
        ("order_shipped", {**ORDER, "mode": "sideways"}, 422, "bad-request"),
        ("delayed", {"parameters": LATE, "recipients": []}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [CLEO] * 1001}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [{"ada@example.com": 1}]}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [{"Id": 1, "id": 2}]}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [{"id": "\ud800"}]}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [{"id": "1"}]}, 422, "missing-column"),
        ("delayed", {"parameters": {"days": 31}, "recipients": [CLEO]}, 422, "bad-parameters"),
        ("delayed", {"parameters": LATE, "recipients": [{"id": "1", "x": DEEP}]}, 422, "bad-recipients"),
        ("delayed", {"parameters": LATE, "recipients": [{**CLEO, "id": 1.5}]}, 422, "bad-recipients"),
        ("order_shipped", {"parameters": {"order": DEEP}}, 422, "bad-parameters"),
        ("nothing", ORDER, 404, "unknown-campaign"),
        ("no%00thing", ORDER, 422, "bad-request"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_of_it_repeated(
    shop: Any, name: str, body: Any, status: int, code: str
) -> None:
    refused = shop.trigger(name, body)
    assert (refused.status, refused.code) == (status, code), refused.body
    assert "ada@" not in str(refused.body)
    assert shop.ask("GET", "/runs").body["items"] == []


def test_mistakes_are_told_in_the_words_of_who_calls(shop: Any) -> None:
    refused = shop.ask("POST", "/messages/receipt", {"recipients": [CLEO]})
    assert (refused.code, refused.body["detail"]) == (
        "unknown-name",
        "a template prints `user.total`, and no recipient has `total`",
    )
    refused = shop.ask("POST", "/messages/receipt", {"recipients": CLEO, "to": 1})
    assert refused.body["errors"] == [
        {"at": ["body", "recipients"], "problem": "is not a list"},
        {"at": ["body", "…"], "problem": "is not known here"},
    ]
    assert shop.ask("POST", "/messages/receipt", raw=b'{"recipients"').status == 400


def test_only_what_is_live_and_called_can_be_called(shop: Any) -> None:
    assert shop.ask("POST", "/campaigns/order_shipped/pause").body["paused"] is True
    assert shop.trigger("order_shipped", ORDER).code == "campaign-paused"
    assert shop.ask("POST", "/campaigns/order_shipped/resume").body["paused"] is False
    assert shop.trigger("order_shipped", ORDER).status == 202


def test_a_call_may_be_safer_than_the_server_and_never_less_safe(shop: Any) -> None:
    ran = shop.trigger("delayed", {"parameters": LATE, "recipients": [CLEO], "mode": "offline"})
    assert (ran.status, ran.body["run"]["mode"], shop.sent()) == (200, "offline", [])
    waits = shop.trigger("order_shipped", {**ORDER, "mode": "offline"})
    assert (waits.body["run"]["mode"], waits.body["daemon_alive"]) == ("offline", False)


def test_a_run_is_paused_resumed_and_cancelled_as_by_hand(shop: Any) -> None:
    run = shop.trigger("order_shipped", ORDER).body["run"]
    assert shop.ask("POST", f"/runs/{run['id']}/pause").code == "run-queued"
    cancelled = shop.ask("POST", f"/runs/{run['id']}/cancel")
    assert (cancelled.body["state"], cancelled.body["reason"]) == ("cancelled", "cancelled by hand")
    assert shop.ask("POST", f"/runs/{run['id']}/resume").code == "run-ended"
    assert shop.ask("POST", "/runs/none/cancel").code == "unknown-run"
    assert shop.served.site.ledger.run(run["id"]).parameters is None


def test_a_paused_run_goes_on_when_it_is_resumed(shop: Any) -> None:
    run_id = shop.trigger("order_shipped", ORDER).body["run"]["id"]
    ledger = shop.served.site.ledger
    ledger.start_run(run_id, audience_rows=1)
    assert shop.ask("POST", f"/runs/{run_id}/pause").body["state"] == "paused"
    assert shop.ask("POST", f"/runs/{run_id}/resume").status == 202
    ended = threading.Event()
    for _ in range(600):
        if ledger.run(run_id).state is RunState.completed:
            break
        ended.wait(0.05)
    assert shop.ask("GET", f"/runs/{run_id}").body["state"] == "completed"
    assert len(shop.sent()) == 1


def test_pages_follow_one_another(shop: Any) -> None:
    ids = [shop.trigger("order_shipped", ORDER).body["run"]["id"] for _ in range(5)]
    found, cursor = [], ""
    while True:
        page = shop.ask("GET", f"/runs?limit=2&state=queued{cursor}").body
        found += [run["id"] for run in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == ids[::-1]
    assert shop.ask("GET", "/runs?cursor=bm8").code == "bad-cursor"
    first = shop.ask("GET", "/campaigns?limit=1").body
    second = shop.ask("GET", f"/campaigns?limit=1&cursor={first['next']}").body
    assert [one["name"] for one in first["items"] + second["items"]] == ["delayed", "order_shipped"]
    assert second["next"] is None


def test_a_report_is_that_of_the_command(shop: Any, root: Path) -> None:
    assert shop.ask("GET", "/reports/delayed").code == "never-ran"
    shop.trigger("delayed", {"parameters": LATE, "recipients": [CLEO]})
    said = processes.run(processes.COMMAND, "report", "delayed", "--json", folder=root, text=True)
    report = shop.ask("GET", "/reports/delayed").body
    assert json.loads(said.stdout) == report
    named = {field.alias or name for name, field in Report.model_fields.items()}
    assert set(report) == named
    assert Report.model_validate(report).by["day"][0].figures["sent"].total == report["outcomes"]["sent"]


def test_runs_of_processes_that_are_gone_are_ended(shop: Any) -> None:
    """As by a server that was killed while it answered: its people are nobody's any more."""
    site = shop.served.site
    campaign = site.campaigns["delayed"]
    bundle = Bundle(campaign=campaign, templates={})
    made = new_run(
        site.project, bundle, Moment(site.ledger.now()), site.clock, lambda size: bytes(size), state=RunState.running
    )
    run = site.ledger.create_run(replace(made, fleeting=True, beside=True))
    here = Owner.here()
    site.ledger.claim_slice(run.id, owner=replace(here, started=here.started + "9"), lease=timedelta(minutes=5))
    assert site.ledger.work(Mode.live) == []

    sent = shop.ask("POST", "/messages/receipt", {"recipients": [{**CLEO, "total": 1}]}, Idempotency_Key="one")
    again = shop.ask("POST", "/messages/receipt", {"recipients": [{**CLEO, "total": 1}]}, Idempotency_Key="one")

    assert again.body["run"] == sent.body["run"]
    assert shop.ask("GET", f"/runs/{run.id}").body["state"] == "cancelled"


def test_a_campaign_that_is_called_is_run_by_hand_with_its_parameters(root: Path) -> None:
    def run(*more: str) -> Any:
        return processes.run(processes.COMMAND, "run", "order_shipped", "--yes", *more, folder=root, text=True)

    missing = run()
    assert (missing.returncode, "error[bad-parameters]" in missing.stderr) == (2, True)
    assert run("--parameters", "{").returncode == 2
    ended = run("--parameters", '{"order": "A-1003"}', "--json")
    assert (ended.returncode, json.loads(ended.stdout)["outcomes"]["sent"]) == (0, 1)
