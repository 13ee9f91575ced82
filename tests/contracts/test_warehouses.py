"""What every warehouse of the catalog promises: no adapter can opt out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from connect.testing import warehouse_rigs
from connect.testing.postgres import NoServer
from connect.testing.warehouses import WarehouseContract, WarehouseRig
from connect.warehouses import catalog

ROOT = Path(__file__).parents[2]

WITHOUT_A_RIG = {
    "mssql": "no package has a SQL Server: its SQL is checked as text only, in tests/unit/warehouses/test_mssql.py",
}
"""Why the contract can not be run on an adapter of the catalog. Its page and its `check` say that it was not."""


class TestWarehouses(WarehouseContract):
    @pytest.fixture(params=sorted({*catalog.ADAPTERS} - {*WITHOUT_A_RIG}))
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseRig]:
        with ExitStack() as stack:
            try:
                rig = stack.enter_context(warehouse_rigs.warehouse_rig(request.param, tmp_path))
            except NoServer as why:
                pytest.skip(str(why))
            yield rig


def test_every_warehouse_has_a_rig() -> None:
    assert sorted([*warehouse_rigs.names(), *WITHOUT_A_RIG]) == sorted(catalog.ADAPTERS)


@pytest.mark.parametrize("name", sorted(WITHOUT_A_RIG))
def test_what_was_never_run_says_so(name: str) -> None:
    assert "never run on a server" in (ROOT / "docs" / "warehouses" / f"{name}.md").read_text()
