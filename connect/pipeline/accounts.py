"""The provider accounts that a campaign sends by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connect.errors import Location, Problem
from connect.project.campaign import Campaign
from connect.project.message import Content, EmailContent, HttpContent
from connect.providers.interface import Account, Capabilities, Provider

Accounts = Mapping[str, tuple[Provider, Account]]
"""By name."""


def providers_of(campaign: Campaign) -> list[str]:
    """The names of the accounts that a campaign sends by."""
    return list(dict.fromkeys(name for content in campaign.message.content for name in content.provider.names))


def reaches_people(accounts: Accounts) -> bool:
    """Whether anything that is handed to these accounts can reach somebody."""
    return any(provider.capabilities.reaches_people for provider, _ in accounts.values())


def route_problems(campaign: Campaign, accounts: Accounts) -> list[Problem]:
    """Contents that an account of theirs can not carry, or may not."""
    found = [
        problem
        for content in campaign.message.content
        for name in content.provider.names
        for problem in _both(content, *accounts[name], Location(campaign.file, 1, 1))
    ]
    return list(dict.fromkeys([*found, *_secrets_on_disk(campaign, accounts)]))


def _secrets_on_disk(campaign: Campaign, accounts: Accounts) -> Iterator[Problem]:
    """A secret is put in where a request reaches somebody; then it must not come by an account that keeps requests."""
    sharing: dict[str, list[str]] = {}
    for content in campaign.message.content:
        for secret in content.secrets():
            sharing.setdefault(secret.references, []).extend(content.provider.names)
    for names in sharing.values():
        keeps = [name for name in names if accounts[name][0].capabilities.persists_messages]
        if keeps and reaches_people({name: accounts[name] for name in names}):
            said = f"`{keeps[0]}` writes requests to disk, and would write down a secret of this http content"
            hint = "leave it out of the content's `provider`, or send all http contents by it"
            yield Problem("secret-on-disk", said, hint, Location(campaign.file, 1, 1))


def _both(content: Content, provider: Provider, account: Account, place: Location) -> Iterator[Problem]:
    yield from _unfit(content, account.name, provider.capabilities, place)
    nowhere = not getattr(account.settings, "url", "an account that asks nobody, such as an outbox")
    if isinstance(content, HttpContent) and content.url is None and nowhere:
        said = f"neither the http content nor `{account.name}` says where its requests go"
        yield Problem("no-endpoint", said, f"give one a `url`: the content, or `{account.name}` in connect.yml", place)


def _unfit(content: Content, name: str, can: Capabilities, place: Location) -> Iterator[Problem]:
    if content.channel not in can.channels:
        said = f"`{name}` does not carry {content.channel}: it is for {', '.join(sorted(can.channels))}"
        yield Problem("provider-channel", said, f"name another one under `channels.{content.channel}`", place)
    for platform, names in content.provider.platforms.items():
        if name in names and platform not in can.platforms:
            said = f"`{name}` does not reach {platform} devices"
            yield Problem("provider-platform", said, f"name another one for `{platform}`", place)
    if isinstance(content, EmailContent) and content.attachments and not can.attachments:
        said = f"`{name}` does not carry attachments"
        yield Problem("provider-attachments", said, "leave them out, or send by another account", place)
    if isinstance(content, EmailContent) and content.headers and not can.custom_headers:
        said = f"`{name}` does not carry headers of a content's own"
        yield Problem("provider-headers", said, "leave them out, or send by another account", place)
