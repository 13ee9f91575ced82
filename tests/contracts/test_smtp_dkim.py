"""An account that signs keeps every promise of a provider, and all that arrives from it verifies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dkim
import pytest

from connect.providers.interface import Account
from connect.providers.smtp import Settings
from connect.providers.smtp_dkim import Dkim, public_record
from connect.testing import ProviderContract, ProviderRig
from connect.testing.providers import Arrived
from connect.testing.rigs.smtp import SmtpRig
from connect.testing.smtp import SmtpServer
from tests.unit.providers.dkim_keys import RSA

SIGNATURE = Dkim.model_validate({"domain": "acme.example", "selector": "k1", "private_key": RSA})


class SigningRig(SmtpRig):
    """As `smtp`, with a key."""

    def account(self) -> Account:
        account = super().account()
        assert isinstance(account.settings, Settings)
        return replace(account, settings=account.settings.model_copy(update={"dkim": (SIGNATURE,)}))

    def arrived(self) -> list[Arrived]:
        record = public_record(RSA).encode()
        for message in self._server.messages:
            assert dkim.verify(message.content, dnsfunc=lambda name, timeout=5: record)
        return super().arrived()


class TestAnAccountThatSigns(ProviderContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[ProviderRig]:
        with SmtpServer() as server:
            yield SigningRig(server, tmp_path)
