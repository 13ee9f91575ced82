"""Providers are found by name, and nothing is imported before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from connect.errors import UserError
from connect.providers import catalog
from connect.providers.interface import Capabilities, ProviderSettings


@pytest.mark.parametrize("name", catalog.names())
def test_every_name_loads(name: str) -> None:
    adapter = catalog.load(name)
    assert issubclass(adapter.Settings, ProviderSettings)
    assert isinstance(adapter.capabilities, Capabilities)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        catalog.load("smpt")
    (problem,) = caught.value.problems
    assert problem.code == "unknown-provider"
    assert "did you mean `smtp`?" in problem.hint


def test_the_catalog_imports_no_adapter() -> None:
    code = "import sys; import connect.providers.catalog as c; c.names(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"boto3", "botocore", "connect.providers.smtp", "connect.providers.ses"} & set(modules)


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.providers, "ses", "no_such_sdk.ses:Ses")
    with pytest.raises(UserError) as caught:
        catalog.load("ses")
    (problem,) = caught.value.problems
    assert problem.code == "missing-extra"
    assert problem.hint == 'pip install "connect-campaigns[ses]"'


def test_a_broken_adapter_of_ours_is_not_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.providers, "ses", "connect.providers.no_such_module:Ses")
    with pytest.raises(ModuleNotFoundError):
        catalog.load("ses")


PLUGIN = """
from connect.providers.memory import Memory

class Pigeon(Memory):
    pass
"""


def test_another_package_registers_its_adapter(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pigeon_post.py").write_text(PLUGIN)
    information = tmp_path / "pigeon_post-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    registered = "[connect.providers]\npigeon = pigeon_post:Pigeon\nsmtp = pigeon_post:Pigeon\n"
    (information / "entry_points.txt").write_text(registered)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "pigeon" in catalog.names()
    assert catalog.load("pigeon").__name__ == "Pigeon"
    assert catalog.load("smtp").__name__ == "Smtp", "a name of Connect's own stays its own"
