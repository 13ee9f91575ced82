"""A server that is killed while it sends: the call that is repeated is told what is known, and nobody hears twice."""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connect.testing.api import HANG, Answer, ApiServer, Call
from tests import processes
from tests.stories.called_from_outside.conftest import SECRET, Shop

HOOK = """\
transactional: true
content:
  - channel: http
    url: "{url}/hook"
    allow_private: true
    body: {{who: "{{{{ user.id }}}}"}}
"""
BODY = {"recipients": [{"id": str(number)} for number in range(3)]}


def serving(root: Path) -> tuple[Any, str]:
    """A server as a process of its own, and where it answers."""
    environment = {**os.environ, "CONNECT_SECRET": SECRET}
    arguments = ("serve", "--listen", "127.0.0.1:0", "--log-format", "json")
    process = processes.start(processes.COMMAND, *arguments, folder=root, environment=environment, text=True)
    for line in process.stderr:
        if '"serving"' in line:
            return process, json.loads(line)["url"]
    raise AssertionError("it did not begin to answer")


def test_nobody_hears_twice(root: Path, keys: dict[str, str]) -> None:
    asked: list[Call] = []
    in_the_air = threading.Event()

    def answer(call: Call) -> Answer:
        asked.append(call)
        in_the_air.set()
        return HANG

    text = (root / "connect.yml").read_text().replace("providers:", "providers:\n  hooks: {type: http, concurrency: 1}")
    (root / "connect.yml").write_text(re.sub(r"channels: \{", "channels: {http: hooks, ", text))
    with ApiServer(answer) as endpoint:
        (root / "messages" / "hook.yml").write_text(HOOK.format(url=endpoint.url))
        process, url = serving(root)
        shop = Shop(SimpleNamespace(url=url), keys)  # type: ignore[arg-type]

        def call() -> None:
            with suppress(OSError, HTTPException):
                shop.ask("POST", "/messages/hook", BODY, Idempotency_Key="one")

        calling = threading.Thread(target=call)
        calling.start()
        assert in_the_air.wait(60)
        process.kill()
        process.communicate()
        calling.join()
        before = len(asked)

        process, shop.served.url = serving(root)  # type: ignore[misc]
        again = shop.ask("POST", "/messages/hook", BODY, Idempotency_Key="one")
        process.terminate()
        process.communicate(timeout=60)

    assert (again.status, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.body["run"]["state"] == "cancelled"
    assert again.body["outcomes"]["unknown"] == again.body["deliveries"] >= 1
    assert len(asked) == before
