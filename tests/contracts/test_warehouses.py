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


class TestWarehouses(WarehouseContract):
    @pytest.fixture(params=sorted(catalog.ADAPTERS))
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseRig]:
        with ExitStack() as stack:
            try:
                rig = stack.enter_context(warehouse_rigs.warehouse_rig(request.param, tmp_path))
            except NoServer as why:
                pytest.skip(str(why))
            yield rig


def test_every_warehouse_has_a_rig() -> None:
    assert warehouse_rigs.names() == sorted(catalog.ADAPTERS)
