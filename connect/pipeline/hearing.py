"""What providers are asked to report, and would come to nothing: for `connect validate`."""

from __future__ import annotations

from collections.abc import Iterator

from connect.errors import Location, Problem, Severity
from connect.pipeline.accounts import Accounts
from connect.project.load import FILE
from connect.project.nodes import Node, block
from connect.project.project import Project

_OF_WEBHOOKS = ("webhook_", "status_callback")
"""How settings begin that are about webhooks, at every provider."""


def warnings(project: Project, accounts: Accounts) -> list[Problem]:
    """Of these accounts, those whose settings are made for webhooks, and what the project lacks for them."""
    return [problem for name in accounts for problem in _of(project, name, accounts)]


def _of(project: Project, name: str, accounts: Accounts) -> Iterator[Problem]:
    settings = accounts[name][1].settings
    given = sorted(field for field in settings.model_fields_set if field.startswith(_OF_WEBHOOKS))
    if not given:
        return
    place = _place(project, name, given[0])
    if project.subscriptions is None or project.subscriptions.write is None:
        said = f"`{name}` may report bounces, complaints and unsubscribes, and nobody would be written to less for it"
        hint = "say with `subscriptions: {write: …}` in which table they are kept"
        yield Problem("webhooks-not-heeded", said, hint, place, Severity.warning)
    signed = settings.signed_url
    if signed and project.serve.base_url is None and getattr(settings, signed) is None:
        said = f"`{name}` signs the URL that it reports to, which may not be the one that arrives here"
        hint = (
            f"set `serve: {{base_url: https://…}}` to where `connect serve` can be reached, or the account's `{signed}`"
        )
        yield Problem("webhooks-unproved", said, hint, place, Severity.warning)


def _place(project: Project, name: str, setting: str) -> Location:
    providers = block(project.tree.get("providers"))
    account: Node | None = providers.get(name)
    found = block(account).key_places.get(setting) or providers.key_places.get(name)
    return found or Location(FILE, 1, 1)
