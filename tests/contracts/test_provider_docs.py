"""Every provider has a page, with every setting and every reason that its tables can give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connect.providers import catalog, ses_replies, smtp_replies

PAGES = Path(__file__).parents[2] / "docs" / "providers"


def page(name: str) -> str:
    return (PAGES / f"{name.removesuffix('_idempotent')}.md").read_text()


@pytest.mark.parametrize("name", catalog.names())
def test_every_provider_has_a_page_with_every_setting(name: str) -> None:
    for setting in catalog.load(name).Settings.model_fields:
        assert f"`{setting}`" in page(name)


def reasons() -> dict[str, set[str]]:
    smtp = set(smtp_replies.REASONS_BY_ENHANCED_CODE.values()) | set(smtp_replies.SIGN_IN.values())
    smtp |= {reason for table in smtp_replies.REASONS_BY_CODE.values() for reason in table.values()}
    smtp |= {reason for _, reason in smtp_replies.REFUSED.values()}
    tables = (ses_replies.STATUSES, ses_replies.ERRORS, ses_replies.HTTP_STATUSES)
    ses = {reason for table in tables for _, reason in table.values()} - {""}
    return {"smtp": smtp, "ses": ses}


@pytest.mark.parametrize("name", ["smtp", "ses"])
def test_every_reason_is_explained(name: str) -> None:
    assert reasons()[name] - set(re.findall(r"`([a-z0-9_]+)`", page(name))) == set()


@pytest.mark.parametrize("name", catalog.names())
def test_run_trouble_is_explained(name: str) -> None:
    """Codes of run-level trouble are written `provider-what` in the adapters."""
    module = catalog.providers[name].partition(":")[0].rpartition(".")[2]
    sources = Path(catalog.__file__).parent.glob(f"{module}*.py")
    codes = {code for source in sources for code in re.findall(rf'"({name}-[a-z-]+)"', source.read_text())}
    assert codes or name.startswith("memory")
    assert {code for code in codes if f"`{code}`" not in page(name)} == set()
