"""What several contracts need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.testing import warehouse_rigs
from connect.testing.postgres import NoServer
from connect.testing.warehouses import WarehouseRig


@pytest.fixture(params=warehouse_rigs.names())
def written_to(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WarehouseRig]:
    """Each warehouse that is written to."""
    try:
        with warehouse_rigs.warehouse_rig(request.param, tmp_path) as rig:
            if not rig.warehouse.capabilities.writes:
                pytest.skip("it is only read from")
            yield rig
    except NoServer as why:
        pytest.skip(str(why))
