"""The one place that knows every catalog: it turns what a project says into warehouses, providers and a ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import BaseModel

from connect.clock import Clock
from connect.errors import UserError
from connect.project.audience import Audience
from connect.project.load import find_root, load_project
from connect.project.project import Project
from connect.project.settings import Adapters
from connect.providers import catalog as providers
from connect.providers.events import ParseEvents, parse_events_of
from connect.providers.interface import Account, Provider, ProviderSettings
from connect.vocabulary import Mode
from connect.warehouses import catalog as warehouses

if TYPE_CHECKING:
    from connect.ledger.store import Ledger
    from connect.pipeline.postbox import Posted
    from connect.warehouses.interface import TakesRows, Warehouse

_IN_MEMORY = ("duckdb", {"url": "duckdb:///:memory:"})
"""Where audiences of `people` run in a project that has no source yet."""


def _provider_settings(name: str) -> type[BaseModel]:
    return providers.load(name).Settings


def _source_settings(name: str) -> type[BaseModel]:
    return warehouses.load(name).Settings


def adapters() -> Adapters:
    """The settings models of every adapter that is installed, each loaded when a project names it."""
    return Adapters(
        providers={name: partial(_provider_settings, name) for name in providers.names()},
        sources={name: partial(_source_settings, name) for name in warehouses.names()},
        source_type=warehouses.type_of,
    )


def open_project(start: Path, target: str | None, mode: Mode | None, environment: Mapping[str, str]) -> Project:
    """The project that holds this folder, for one target."""
    return load_project(find_root(start), target=target, mode=mode, environment=environment, adapters=adapters())


def open_ledger(project: Project, clock: Clock) -> Ledger:
    """The project's ledger; it refuses another project's, and another target's."""
    from connect.ledger.store import Ledger

    return Ledger.open(project.state, project=project.name, target=project.target, clock=clock)


def open_warehouse(project: Project, source: str) -> Warehouse:
    """One of the project's sources. A project without any can still run audiences of `people`, in memory."""
    from connect.warehouses.interface import Source

    entry = project.sources.get(source)
    if entry is None and not project.sources:
        adapter = warehouses.load(_IN_MEMORY[0])
        return adapter(Source("memory", adapter.Settings.model_validate(_IN_MEMORY[1]), project.root))
    if entry is None:
        raise UserError.of("unknown-source", f"connect.yml has no source `{source}`", "add it under `sources`")
    adapter = warehouses.load(entry.type)
    return _beside_others(project, adapter(Source(entry.name, entry.settings, project.root)))  # type: ignore[arg-type]


def open_audience(project: Project, audience: Audience) -> Warehouse:
    """The warehouse that an audience is read from: its source, or its files.

    People who are written out are put beside the opt-outs, wherever those are.
    """
    if audience.file is not None:
        return _beside_others(project, _files(project, audience))
    if audience.goes_anywhere and project.subscriptions is not None:
        return open_warehouse(project, project.subscriptions.source)
    return open_warehouse(project, audience.source)


def _files(project: Project, audience: Audience) -> Warehouse:
    from connect.warehouses.files import Files, FilesSettings
    from connect.warehouses.interface import Source

    name = audience.file
    assert name is not None
    if audience.sheet is not None:
        return _sheet(project, audience.sheet.source)
    kind: Literal["csv", "parquet"] = "csv" if audience.csv else "parquet"
    settings = FilesSettings(kind=kind, name=name.source, folders=project.audience_folders)
    return cast("Warehouse", Files(Source(name.source, settings, project.root)))


def _sheet(project: Project, address: str) -> Warehouse:
    from connect.warehouses.interface import Source
    from connect.warehouses.sheet import Sheet, SheetSettings

    account, endpoint = project.sheets.service_account, project.sheets.endpoint_url
    settings = SheetSettings(sheet=address, service_account=account, endpoint_url=endpoint)
    return cast("Warehouse", Sheet(Source("the sheet", settings, project.root)))


def _beside_others(project: Project, warehouse: Warehouse) -> Warehouse:
    """The warehouse, with a way to the others where it can read beside them."""
    if warehouse.capabilities.takes_rows:
        cast("TakesRows", warehouse).others = cache(partial(open_warehouse, project))
    return warehouse


Reported = Callable[[Mapping[str, str], bytes, str], "Posted"]
"""What was posted for an account: its headers, its body, and the URL."""


def reports_of(project: Project, account: str) -> Reported | None:
    """How what is posted for an account is read; None where there is no such account, or its provider reports nothing.

    Raises UserError where its extra is not installed.
    """
    from connect.pipeline.postbox import Posted

    entry = project.providers.get(account)
    parse = _parser(entry.type) if entry is not None else None
    return (
        partial(Posted, parse, cast("ProviderSettings", entry.settings))
        if entry is not None and parse is not None
        else None
    )


@cache
def _parser(kind: str) -> ParseEvents | None:
    return parse_events_of(providers.load(kind))


def open_accounts(
    project: Project, names: Iterable[str], *, sandbox: bool = False
) -> dict[str, tuple[Provider, Account]]:
    """Provider accounts by name, not yet connected. In their sandboxes they check messages, and send none.

    Raises UserError where an account that reaches people has no sandbox, and where a run that was begun names one that
    the project has no more.
    """
    found: dict[str, tuple[Provider, Account]] = {}
    for name in sorted(set(names)):
        entry = project.providers.get(name)
        if entry is None:
            said, hint = f"there is no provider `{name}` in connect.yml", "add it under `providers`"
            raise UserError.of("unknown-provider", said, hint)
        adapter = providers.load(entry.type)
        if sandbox and adapter.capabilities.reaches_people and not adapter.capabilities.sandbox:
            said = f"`{entry.type}` has no mode in which it checks messages and sends none (`{name}`)"
            raise UserError.of(
                "no-sandbox", said, "leave out `--sandbox`: test mode sends one copy to `test_recipient`"
            )
        account = Account(
            name,
            entry.settings,  # type: ignore[arg-type]
            project.root,
            entry.concurrency or adapter.capabilities.default_concurrency,
            entry.timeout,
            sandbox=sandbox,
        )
        found[name] = (adapter(account), account)
    return found
