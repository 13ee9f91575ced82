"""What stands between a mistake and a million people: what live mode needs, and limits on the audience."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from connect.errors import Location, Problem
from connect.project.campaign import Campaign
from connect.project.project import Project
from connect.vocabulary import CampaignStatus, Channel, Mode


def draft_problems(campaign: Campaign, mode: Mode, reaches_people: bool) -> list[Problem]:
    """Why a campaign that is a draft or paused may not run: this run would reach people."""
    if mode is not Mode.live or not reaches_people or campaign.status is CampaignStatus.live:
        return []
    return [_not_live(campaign)]


def _not_live(campaign: Campaign) -> Problem:
    return Problem(
        "campaign-not-live",
        f"{campaign.name} is {'a draft' if campaign.status is CampaignStatus.draft else 'paused'}, "
        "and this target sends for real",
        "set `status: live` in the campaign when it has been reviewed, or run it with `--mode test`",
        _place(campaign),
    )


def marketing_problems(project: Project, campaign: Campaign, columns: Collection[str]) -> list[Problem]:
    """What marketing lacks before it may reach people, each with the way out."""
    if campaign.message.transactional:
        return []
    problems = []
    if project.subscriptions is None and "subscribed" not in columns:
        problems.append(
            Problem(
                "live-without-opt-outs",
                f"{campaign.name} is marketing, and there is nowhere to read opt-outs from",
                "add `subscriptions` to connect.yml, return a `subscribed` column from the audience, "
                "or say `transactional: true` if it is",
                _query(campaign),
            )
        )
    if campaign.audience.limits.max is None and campaign.audience.people is None:
        problems.append(
            Problem(
                "live-without-limit",
                f"{campaign.name} has no `audience.limits.max`, so nothing would stop a query that went wrong",
                "set `limits: {max: N}` to the largest audience that you would still believe",
                _query(campaign),
            )
        )
    return [*problems, *_unsubscribe_problems(project, campaign)]


def _unsubscribe_problems(project: Project, campaign: Campaign) -> Iterator[Problem]:
    """Links lead to a page of the user's, or to the project's server, which must be able to write down who leaves."""
    from connect.pipeline import desk  # with it comes the ledger, which needs a while to be imported

    if project.unsubscribe is not None and project.unsubscribe.url is not None:
        return
    if project.serve.base_url is None:
        if _sends_email(campaign):
            yield Problem(
                "live-without-unsubscribe",
                f"{campaign.name} is marketing by e-mail, and has no unsubscribe URL",
                "set `serve: {base_url: https://...}` to where `connect serve` answers, "
                "or `unsubscribe: {url: ...}` to a page of yours that takes people off the list",
                _place(campaign),
            )
    elif wrong := desk.problem(project):
        said = (
            f"{campaign.name} has unsubscribe links to the project's server, which could not heed them: {wrong.message}"
        )
        yield Problem("unsubscribe-not-heeded", said, wrong.hint, _place(campaign))


def limit_problems(campaign: Campaign, rows: int, last: int | None) -> list[Problem]:
    """Why an audience of this size may not be written to. `last` is that of the last completed live run."""
    limits, problems = campaign.audience.limits, []

    def outside(message: str, hint: str) -> None:
        problems.append(Problem("audience-outside-limits", message, hint, _query(campaign)))

    if limits.max is not None and rows > limits.max:
        outside(
            f"the audience has {rows:,} rows, and `limits.max` is {limits.max:,}",
            "look at the query; raise `limits.max` only if that many is right",
        )
    if limits.min is not None and rows < limits.min:
        outside(
            f"the audience has {rows:,} rows, and `limits.min` is {limits.min:,}",
            "is a table empty or late? lower `limits.min` only if so few is right",
        )
    if limits.max_change is not None and last and abs(rows - last) > limits.max_change * last:
        outside(
            f"the audience has {rows:,} rows and had {last:,} in the last live run: "
            f"more than {_percent(limits.max_change)} of change",
            "look at what changed in the query or its tables; raise `limits.max_change` only if that is right",
        )
    return problems


def _sends_email(campaign: Campaign) -> bool:
    return any(content.channel is Channel.email for content in campaign.message.content)


def _percent(share: Decimal) -> str:
    return f"{share * 100:f}".rstrip("0").rstrip(".") + "%"


def _place(campaign: Campaign) -> Location:
    return Location(campaign.file, 1, 1)


def _query(campaign: Campaign) -> Location:
    """Where the audience is described."""
    written = campaign.audience.written
    return written.at(0) if written else _place(campaign)
