"""A shop that listens on a real socket, to every provider that reports anything."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest

from connect.ledger.records import NewRun
from connect.pipeline.sealing import drain
from connect.pipeline.subscriptions import COLUMNS
from connect.providers.events import Webhook, parse_events_of
from connect.redact import Secret
from connect.server import parts
from connect.server.site import Part, Site
from connect.server.webhooks import Webhooks
from connect.testing import rigs
from connect.testing.messages import RUN_ID
from connect.testing.serving import Served, served
from connect.vocabulary import Mode
from connect.warehouses.destination import deliveries_table, events_table
from connect.warehouses.duckdb_dialect import DuckDBDialect
from connect.warehouses.interface import Query, Table

PROJECT = """
name: shop
timezone: Australia/Sydney
secret: ${{CONNECT_SECRET}}
mode: live
sources: {{shop: {{url: "duckdb:///shop.duckdb"}}}}
providers: {providers}
subscriptions: {{write: connect_opt_outs}}
destination: {{include: [id, address]}}
serve: {{base_url: "https://hooks.acme.example"}}
"""
LINK = "https://shop.example/offer/{{ user.product }}"
STORED = json.dumps({"campaign": {"message": {"content": [{"html": {"source": f'<a href="{LINK}">Look</a>'}}]}}})
TABLES = (
    deliveries_table("connect_deliveries"),
    events_table("connect_events"),
    Table("connect_opt_outs", COLUMNS, ("change_key",)),
)
REPORTING = [name for name in rigs.names() if name not in ("memory", "memory_idempotent", "outbox", "smtp")]
PATHS = {"messagebird": "texts"}
"""The rig's account, where the URL is signed."""

Answer = tuple[int, Mapping[str, str], bytes]


def account_of(name: str) -> str:
    return PATHS.get(name, name)


@dataclass
class Shop:
    """Its folder, and its server while it runs."""

    folder: Path
    certificates: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    """URLs that the server opened."""
    server: Served | None = None

    @property
    def site(self) -> Site:
        assert self.server is not None
        return self.server.site

    @contextmanager
    def listening(self, wrap: Callable[[Site], object] = lambda site: None) -> Iterator[Shop]:
        async def fetch(url: str) -> bytes | None:
            self.fetched.append(url)
            return self.certificates.get(url)

        def made(site: Site) -> list[Part]:
            wrap(site)
            return [Webhooks(site, fetch) if isinstance(part, Webhooks) else part for part in parts.make_parts(site)]

        with served(self.folder, make_parts=made) as self.server:
            yield self

    def configure(self, before: str, after: str) -> None:
        file = self.folder / "connect.yml"
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))

    def run(self, run_id: str = RUN_ID, mode: Mode = Mode.live, stored: str = STORED) -> None:
        """There was such a run."""
        fire_time = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=hash(run_id) % 10_000)
        new = NewRun(run_id, mode, f"hello {run_id}", fire_time, True, "d", stored, b"salt", b"secret")
        self.site.ledger.create_run(new)

    def post(self, account: str, webhook: Webhook) -> Answer:
        self.certificates |= webhook.certificates
        query = urlsplit(webhook.url).query
        return self.ask("POST", f"/webhooks/{account}" + (f"?{query}" if query else ""), webhook.body, webhook.headers)

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        assert self.server is not None
        connection = http.client.HTTPConnection(self.server.url.removeprefix("http://"), timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Beside the server, which writes to the same file."""
        found = self.site.warehouse("shop").rows(Query(sql, {}), timedelta(seconds=30))
        return [tuple(row.values()) for row in found]

    def opt_outs(self) -> list[tuple[Any, ...]]:
        """(address, channel, status, source, reason) of all, those that the server was still to write included."""
        project = self.site.project
        assert project.subscriptions is not None
        drain(self.site.ledger, project.secret, project.subscriptions, lambda: self.site.warehouse("shop"))
        return self.rows("select address, channel, status, source, reason from connect_opt_outs")

    def counted(self, run_id: str = RUN_ID) -> Counter[tuple[str, str]]:
        """(type, bounce) → how many, as the ledger has it."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.site.ledger.events(run_id):
            found[one.type, one.bounce] += one.count
        return found

    def written(self, run_id: str = RUN_ID) -> Counter[tuple[str, str]]:
        """The same, as the warehouse has it."""
        sql = f"select type, coalesce(bounce, ''), count(*) from connect_events where run = '{run_id}' group by 1, 2"
        return Counter({(type, bounce): count for type, bounce, count in self.rows(sql)})


def configured(built: Mapping[str, Any], environment: Callable[[str, str], None]) -> dict[str, Any]:
    """The accounts of these rigs, as connect.yml has them."""
    providers: dict[str, Any] = {}
    for name, rig in built.items():
        entry: dict[str, Any] = {"type": name}
        settings = rig.account().settings
        for field_name in settings.model_fields_set:
            value, key = getattr(settings, field_name), type(settings).model_fields[field_name].alias or field_name
            if isinstance(value, Secret):
                variable = f"{name}_{key}".upper()
                environment(variable, value.reveal())
                entry[key] = f"${{{variable}}}"
            elif value is not None:
                entry[key] = value if isinstance(value, list | tuple | int) else str(value)
        providers[account_of(name)] = entry
    return providers


def made(folder: Path, providers: Mapping[str, Any]) -> Shop:
    (folder / "connect.yml").write_text(PROJECT.format(providers=json.dumps(providers)))
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        for table in TABLES:
            for statement in DuckDBDialect().create_table(table):
                connection.execute(statement)
    return Shop(folder)


@pytest.fixture(scope="module")
def reporting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Mapping[str, Any]]]:
    """One server for every provider, and their rigs."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONNECT_SECRET", "a secret of these tests")
        built = {}
        for name in REPORTING:
            rig = stack.enter_context(rigs.rig(name, tmp_path_factory.mktemp(name)))
            if parse_events_of(rig.adapter) is not None:
                built[name] = rig
        shop = made(tmp_path_factory.mktemp("shop"), configured(built, patch.setenv))
        with shop.listening():
            shop.run()
            yield shop, built


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Shop, Any]]:
    """A server that is not running yet, for one provider with many events in a webhook; and its rig."""
    monkeypatch.setenv("CONNECT_SECRET", "a secret of these tests")
    folder = tmp_path / "shop"
    folder.mkdir()
    with rigs.rig("sendgrid", tmp_path) as rig:
        yield made(folder, configured({"sendgrid": rig}, monkeypatch.setenv)), rig
