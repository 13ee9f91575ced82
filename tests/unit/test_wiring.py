"""What a project says becomes warehouses, accounts and a ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connect import wiring
from connect.clock import SystemClock
from connect.errors import UserError
from connect.providers.memory import Memory
from connect.vocabulary import Mode
from connect.warehouses.interface import Query

PROJECT = """\
name: acme
secret: ${CONNECT_SECRET}
mode: live
providers:
  mem: {type: memory, concurrency: 3, timeout: 2m}
  box: {type: outbox}
"""
SOURCES = 'sources:\n  shop: {url: "duckdb:///shop.duckdb"}\n'
ENVIRONMENT = {"CONNECT_SECRET": "a secret that is long enough"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "connect.yml").write_text(PROJECT)
    (tmp_path / "campaigns").mkdir()
    return tmp_path


def opened(folder, **changes):
    return wiring.open_project(folder, None, changes.get("mode"), ENVIRONMENT)


def test_a_project_is_found_from_inside_its_folders(folder):
    project = opened(folder / "campaigns")
    assert (project.name, project.root, project.mode) == ("acme", folder, Mode.live)
    assert opened(folder, mode=Mode.offline).mode is Mode.offline


def test_accounts_have_their_settings_or_the_adapters_defaults(folder):
    accounts = wiring.open_accounts(opened(folder), ["mem", "box", "mem"])
    assert list(accounts) == ["box", "mem"]
    provider, account = accounts["mem"]
    assert isinstance(provider, Memory)
    assert (account.name, account.concurrency, account.timeout) == ("mem", 3, timedelta(minutes=2))
    box, box_account = accounts["box"]
    assert box_account.concurrency == box.capabilities.default_concurrency
    assert box_account.root == folder


def test_without_sources_people_are_read_in_memory(folder):
    warehouse = wiring.open_warehouse(opened(folder), "")
    try:
        assert warehouse.rows(Query("select 7 as id", {}), timedelta(seconds=10)) == [{"id": 7}]
    finally:
        warehouse.close()


def test_a_source_that_is_not_there(folder):
    (folder / "connect.yml").write_text(PROJECT + SOURCES)
    with pytest.raises(UserError) as caught:
        wiring.open_warehouse(opened(folder), "shpo")
    assert caught.value.problems[0].code == "unknown-source"


def test_a_ledger_is_of_its_project_and_target(folder):
    project = opened(folder)
    ledger = wiring.open_ledger(project, SystemClock())
    assert ledger.target == project.target
    assert (folder / ".connect" / "state.db").exists()
    ledger.close()
    (folder / "connect.yml").write_text(PROJECT.replace("name: acme", "name: other"))
    with pytest.raises(UserError):
        wiring.open_ledger(opened(folder), SystemClock())


def test_the_settings_of_every_adapter_load():
    found = wiring.adapters()
    assert {"memory", "outbox", "smtp", "ses"} <= found.providers.keys()
    assert "duckdb" in found.sources
    for load in (*found.providers.values(), *found.sources.values()):
        assert load().model_config.get("extra") == "forbid"
