"""The provider accounts that a campaign sends by."""

from __future__ import annotations

from collections.abc import Mapping

from connect.project.campaign import Campaign
from connect.providers.interface import Account, Provider

Accounts = Mapping[str, tuple[Provider, Account]]
"""By name."""


def providers_of(campaign: Campaign) -> list[str]:
    """The names of the accounts that a campaign sends by."""
    return list(dict.fromkeys(name for content in campaign.message.content for name in content.provider.names))


def reaches_people(accounts: Accounts) -> bool:
    """Whether anything that is handed to these accounts can reach somebody."""
    return any(provider.capabilities.reaches_people for provider, _ in accounts.values())
