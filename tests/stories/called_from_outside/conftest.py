"""The example `parcels`, served on a real socket, with keys of every kind."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connect.clock import SystemClock
from connect.project.api_keys import hash_of, new_key
from connect.providers import memory
from connect.schedule.work import Works
from connect.testing.serving import Served, served
from connect.vocabulary import Mode, Scope
from examples.parcels.build import build

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "parcels"
SECRET = "a-secret-of-the-parcels-0123456789"
KEYS = {
    "everything": ("read, trigger, send, control", "5000/s"),
    "reader": ("read", "5000/s"),
    "seldom": ("read", "2/h"),
    **{f"only {scope}": (scope, "5000/s") for scope in Scope},
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return str(self.body["code"])


@dataclass
class Shop:
    """Somebody who calls."""

    served: Served
    keys: dict[str, str]
    more: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str = "everything",
        raw: bytes | None = None,
        **more: str,
    ) -> Answer:
        connection = http.client.HTTPConnection(self.served.url.removeprefix("http://"), timeout=60)
        headers = {"Authorization": f"Bearer {self.keys.get(key, key)}"} if key else {}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers |= {"Content-Type": "application/json"} if content is not None else {}
        connection.request(method, path, content, headers)
        reply = connection.getresponse()
        found = Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, _read(reply.read()))
        connection.close()
        return found

    def trigger(self, name: str, body: object, **more: str) -> Answer:
        return self.ask("POST", f"/campaigns/{name}/trigger", body, **more)

    def take_up(self) -> None:
        """What a daemon would do with what waits."""
        site = self.served.site
        works = Works(site.doors, site.ledger, SystemClock(), workers=1)
        for run in site.ledger.work(Mode.live):
            asyncio.run(_worked(works, run, site))

    def sent(self) -> list[tuple[str, str, str]]:
        found = [
            (out.message.to[0].address, out.message.subject, out.message.text.strip()) for out in memory.sent("outbox")
        ]
        return sorted(found)


async def _worked(works: Works, run: Any, site: Any) -> None:
    await works(run, site.project, site.house.loaded(run.campaign), asyncio.Event())


def _read(body: bytes) -> Any:
    return json.loads(body) if body[:1] in b"{[" else body


def write(root: Path, keys: dict[str, str], project: str = "") -> None:
    """The example in this folder, sending into memory, with these keys."""
    for name in ("campaigns", "messages"):
        shutil.copytree(EXAMPLE / name, root / name)
    text = project or (EXAMPLE / "connect.yml").read_text().replace("{type: outbox}", "{type: memory}")
    lines = [
        f"    '{name}': {{hash: '{hash_of(keys[name])}', scopes: [{scopes}], rate: {rate}}}"
        for name, (scopes, rate) in KEYS.items()
    ]
    (root / "connect.yml").write_text("\n".join([text, "serve:", "  keys:", *lines, ""]))


@pytest.fixture
def keys() -> dict[str, str]:
    return {name: new_key() for name in KEYS}


@pytest.fixture
def root(tmp_path: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(os.environ, "CONNECT_SECRET", SECRET)
    write(tmp_path, keys)
    build(tmp_path)
    memory.reset()
    return tmp_path


@pytest.fixture
def shop(root: Path, keys: dict[str, str]) -> Iterator[Shop]:
    with served(root) as server:
        yield Shop(server, keys)
