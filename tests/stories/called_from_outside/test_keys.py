"""Who may call, how often, and that a call is made once however often it is repeated."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connect.ledger.owner import Owner
from connect.ledger.records import Named
from connect.pipeline.beginning import new_run
from connect.pipeline.bundle import Bundle
from connect.pipeline.moment import Moment
from connect.vocabulary import RunState, Scope

ORDER = {"parameters": {"order": "A-1003"}}
RECEIPT = {"recipients": [{"id": "3", "email": "cleo@example.com", "name": "Cleo", "total": 1}]}
CALLS = [
    ("GET", "/campaigns", None),
    ("GET", "/campaigns/delayed", None),
    ("GET", "/runs", None),
    ("GET", "/runs/1", None),
    ("GET", "/reports/delayed", None),
    ("POST", "/campaigns/order_shipped/trigger", ORDER),
    ("POST", "/messages/receipt", RECEIPT),
    ("POST", "/campaigns/delayed/pause", None),
    ("POST", "/campaigns/delayed/resume", None),
    ("POST", "/runs/1/pause", None),
    ("POST", "/runs/1/resume", None),
    ("POST", "/runs/1/cancel", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_every_call_needs_a_key_with_its_scope(shop: Any, method: str, path: str, body: Any) -> None:
    for wrong in ("", "cnk_" + "A" * 43, "x"):
        refused = shop.ask(method, path, body, key=wrong)
        assert (refused.status, refused.code) == (401, "bad-key")
        assert refused.headers["www-authenticate"] == "Bearer"
    if method == "POST":
        refused = shop.ask(method, path, body, key="reader")
        assert (refused.status, refused.code) == (403, "scope-missing")
    assert shop.ask(method, path, body).status not in (401, 403)


SCOPES = {
    ("GET", "/campaigns"): "read",
    ("GET", "/campaigns/{name}"): "read",
    ("GET", "/runs"): "read",
    ("GET", "/runs/{id}"): "read",
    ("GET", "/reports/{campaign}"): "read",
    ("POST", "/campaigns/{name}/trigger"): "trigger",
    ("POST", "/messages/{name}"): "send",
    ("POST", "/campaigns/{name}/pause"): "control",
    ("POST", "/campaigns/{name}/resume"): "control",
    ("POST", "/runs/{id}/pause"): "control",
    ("POST", "/runs/{id}/resume"): "control",
    ("POST", "/runs/{id}/cancel"): "control",
}


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_of_one_scope_makes_the_calls_of_that_scope_alone(shop: Any, scope: Scope) -> None:
    document = shop.ask("GET", "/openapi.json", key="").body["paths"]
    calls = [(method.upper(), path, call["x-scope"]) for path, has in document.items() for method, call in has.items()]
    assert {(method, path): needs for method, path, needs in calls} == SCOPES
    for (method, path), needs in SCOPES.items():
        body = {} if method == "POST" else None
        answer = shop.ask(method, re.sub("{.*?}", "delayed", path), body, key=f"only {scope}")
        if needs == scope:
            assert answer.status not in (401, 403), path
        else:
            assert (answer.status, answer.code) == (403, "scope-missing"), path


@pytest.mark.parametrize(("people", "status"), [(100, 200), (101, 422)])
def test_a_message_goes_to_a_hundred_people_at_most(shop: Any, people: int, status: int) -> None:
    cleo = RECEIPT["recipients"][0]
    brought = [{**cleo, "id": str(number), "email": f"cleo{number}@example.com"} for number in range(people)]
    answer = shop.ask("POST", "/messages/receipt", {"recipients": brought})
    assert answer.status == status
    assert len(shop.sent()) == (people if status == 200 else 0)
    assert status == 200 or answer.code == "bad-recipients"


def test_a_body_is_not_read_for_whoever_has_no_key(shop: Any) -> None:
    assert shop.ask("POST", "/messages/receipt", raw=b"{", key="").status == 401
    assert shop.ask("POST", "/messages/receipt", raw=b"{").code == "bad-request"


def test_a_key_has_its_rate(shop: Any) -> None:
    assert [shop.ask("GET", "/runs", key="seldom").status for _ in range(3)] == [200, 200, 429]
    refused = shop.ask("GET", "/runs", key="seldom")
    assert refused.code == "too-many-calls"
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert shop.ask("GET", "/runs", key="reader").status == 200


def test_who_tries_keys_has_to_wait_and_so_has_everybody_from_there(shop: Any) -> None:
    tried = [shop.ask("GET", "/runs", key=f"cnk_{number}").status for number in range(25)]
    assert tried[:20] == [401] * 20
    assert tried[-1] == 429
    refused = shop.ask("GET", "/runs")
    assert (refused.status, refused.code) == (429, "too-many-failures")


def test_the_document_needs_no_key_and_says_nothing_of_the_project(shop: Any) -> None:
    told = shop.ask("GET", "/openapi.json", key="")
    assert told.status == 200
    assert set(told.body["paths"]) == {path.replace("/1", "/{id}") for path in PATHS}
    for word in ("parcels", "order_shipped", "everything"):
        assert word not in json.dumps(told.body)


PATHS = {
    *("/campaigns", "/campaigns/{name}", "/runs", "/runs/1", "/reports/{campaign}", "/campaigns/{name}/trigger"),
    *("/messages/{name}", "/campaigns/{name}/pause", "/campaigns/{name}/resume"),
    *("/runs/1/pause", "/runs/1/resume", "/runs/1/cancel"),
}


def test_a_repeated_call_gets_the_run_of_the_first(shop: Any) -> None:
    first = shop.trigger("order_shipped", ORDER, Idempotency_Key="one")
    again = shop.trigger("order_shipped", ORDER, Idempotency_Key="one")
    other = shop.trigger("order_shipped", ORDER, Idempotency_Key="two")
    assert [each.status for each in (first, again, other)] == [202] * 3
    assert again.body["run"] == first.body["run"]
    assert other.body["run"]["id"] != first.body["run"]["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


def test_a_repeated_message_is_not_sent_again(shop: Any) -> None:
    first = shop.ask("POST", "/messages/receipt", RECEIPT, Idempotency_Key="one")
    again = shop.ask("POST", "/messages/receipt", RECEIPT, Idempotency_Key="one")
    assert (again.status, again.body["recipients"]) == (200, None)
    assert {**again.body, "recipients": first.body["recipients"]} == first.body
    assert len(shop.sent()) == 1


def test_one_name_is_not_two_calls(shop: Any) -> None:
    shop.ask("POST", "/messages/receipt", RECEIPT, Idempotency_Key="one")
    other = {"recipients": [{**RECEIPT["recipients"][0], "total": 2}]}
    refused = shop.ask("POST", "/messages/receipt", other, Idempotency_Key="one")
    assert (refused.status, refused.code) == (422, "call-differs")
    assert len(shop.sent()) == 1


def test_a_call_that_was_refused_can_be_repeated(shop: Any) -> None:
    bad = {"recipients": [{"id": "3", "email": "cleo@example.com"}]}
    assert shop.ask("POST", "/messages/receipt", bad, Idempotency_Key="one").code == "unknown-name"
    assert shop.ask("POST", "/messages/receipt", RECEIPT, Idempotency_Key="one").status == 200


def test_of_calls_at_once_with_one_name_one_is_made(shop: Any) -> None:
    found = []
    together = threading.Barrier(8)

    def call() -> None:
        together.wait()
        found.append(shop.ask("POST", "/messages/receipt", RECEIPT, Idempotency_Key="one"))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.status for each in found} <= {200, 409}
    assert len({each.body["run"]["id"] for each in found if each.status == 200}) == 1
    assert {each.code for each in found if each.status == 409} <= {"call-in-progress"}
    assert len(shop.sent()) == 1


def test_a_call_whose_server_was_killed_is_not_made_again(shop: Any) -> None:
    site = shop.served.site
    ring, body = site.project.secret, json.dumps(RECEIPT).encode()
    request = b"POST /messages/receipt\n" + body
    named = Named(ring.marks("call", b"everything\0one")[0], ring.marks("request", request)[0])
    campaign = site.campaigns["delayed"].model_copy(update={"name": "message receipt"})
    moment, bundle = Moment(site.ledger.now()), Bundle(campaign=campaign, templates={})
    made = new_run(site.project, bundle, moment, site.clock, bytes, state=RunState.running)
    run = site.ledger.create_run(replace(made, fleeting=True, beside=True, named=named))
    here = Owner.here()
    site.ledger.claim_slice(run.id, owner=replace(here, started=here.started + "9"), lease=timedelta(minutes=5))

    again = shop.ask("POST", "/messages/receipt", raw=body, Idempotency_Key="one")

    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert (again.body["run"]["id"], again.body["run"]["state"]) == (run.id, "cancelled")
    assert shop.sent() == []
