"""Every provider of the catalog keeps the promises of the interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connect.providers import catalog
from connect.testing import ProviderContract, ProviderRig, rigs


class TestProviders(ProviderContract):
    @pytest.fixture(params=catalog.names())
    def rig(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProviderRig]:
        with rigs.rig(request.param, tmp_path) as running:
            yield running


def test_every_provider_has_a_rig() -> None:
    assert rigs.names() == catalog.names()
