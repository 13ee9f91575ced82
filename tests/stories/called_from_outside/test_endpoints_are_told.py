"""What the server itself sends is told to the project's endpoints, as what a run sends is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from connect.channels.message import Outgoing
from connect.providers import memory
from connect.providers.interface import Receipt, Status
from connect.testing.api import Answer, ApiServer
from connect.testing.serving import served
from connect.vocabulary import RunState
from tests.stories.called_from_outside.conftest import Shop
from tests.stories.called_from_outside.test_calls import CLEO, LATE, ORDER

SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
HOOKS = (
    'webhooks: {{crm: {{url: "{}", signing_secret: "${{SIGNING}}", allow_private: true, events: [sent, failed]}}}}\n'
)
DAN = {"id": "4", "email": "dan@example.com", "name": "Dan"}
BOUGHT = {"total": 12, "bought": ["a"]}


def fails(outgoing: Outgoing, attempt: int) -> Receipt | None:
    return Receipt(Status.rejected_recipient, "no_such_person") if "dan@" in outgoing.message.address else None


def test_calls_and_a_run_that_goes_on(root: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING", SECRET)
    memory.script("outbox", fails)
    with ApiServer(lambda call: Answer(204)) as endpoint:
        written = (root / "connect.yml").read_text()
        (root / "connect.yml").write_text(HOOKS.format(endpoint.url) + written)
        with served(root) as server:
            shop = Shop(server, keys)
            bought = [CLEO | BOUGHT, DAN | BOUGHT]
            assert shop.ask("POST", "/messages/receipt", {"recipients": bought}).status == 200
            assert shop.trigger("delayed", {"parameters": LATE, "recipients": [CLEO, DAN]}).status == 200
            run, ledger = shop.trigger("order_shipped", ORDER).body["run"]["id"], server.site.ledger
            ledger.start_run(run, audience_rows=1)
            assert shop.ask("POST", f"/runs/{run}/pause").body["state"] == "paused"
            assert shop.ask("POST", f"/runs/{run}/resume").status == 202
            while ledger.run(run).state is not RunState.completed:
                time.sleep(0.01)
    told = [Webhook(SECRET).verify(call.body, dict(call.headers)) for call in endpoint.calls]
    by_campaign = sorted((one["data"]["campaign"], one["type"]) for one in told)
    assert by_campaign == [
        *[("delayed", "failed"), ("delayed", "sent")],
        *[("message receipt", "failed"), ("message receipt", "sent")],
        ("order_shipped", "sent"),
    ]
