"""A message that was sent, shown in a browser: rendered again from the warehouse, for a sealed link.

Nothing was kept of it. The ledger has the campaign as the run began with it, the warehouse the person's row, and the
link the rest: with its message key, what a template draws at random is drawn again. What has changed in the row since
is shown as it is now. A message whose run, row or audience is gone can not be shown any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Lock

from connect.channels.message import Email, Outgoing
from connect.errors import UserError
from connect.ledger.records import RunRecord
from connect.liquid.library import Library
from connect.pipeline.bundle import Bundle
from connect.pipeline.checking import wrap
from connect.pipeline.compose import Composer
from connect.pipeline.deliveries import Person, RunFacts
from connect.pipeline.links import UnsubscribeLinks
from connect.pipeline.moment import Moment
from connect.pipeline.tracking import Tracking
from connect.pipeline.visits import Visit
from connect.project.audience import Audience
from connect.project.campaign import Campaign
from connect.project.message import EmailContent
from connect.project.project import Project
from connect.project.trigger import Api
from connect.vocabulary import Mode
from connect.warehouses.interface import Warehouse
from connect.warehouses.wrapping import Wrapping

PATIENCE = timedelta(seconds=15)
"""How long one may wait for a page."""
_REMEMBERED = 16
"""Runs whose campaigns are kept compiled."""

OpenAudience = Callable[[Project, Audience], Warehouse]


class Gone(Exception):
    """It can not be shown any more."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same for all messages of a run."""

    project: Project
    campaign: Campaign
    library: Library
    links: UnsubscribeLinks
    facts: RunFacts
    wrapping: Wrapping


class Viewer:
    """Shows messages. May be used by several threads at once."""

    def __init__(self, find: Callable[[str], RunRecord | None], open_audience: OpenAudience) -> None:
        """find: a run of the ledger."""
        self._find, self._open = find, open_audience
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._lock = Lock()

    def email(self, project: Project, campaigns: Mapping[str, Campaign], visit: Visit) -> Email:
        """The message of this delivery. Asks the warehouse one question. Raises Gone, or OutsideError."""
        run = self._find(visit.run_id)
        if run is None or not run.campaign_json:
            raise Gone
        try:
            return self._shown(project, campaigns, run, visit)
        except UserError:  # the query or the templates do not fit any more
            raise Gone from None

    def _shown(self, project: Project, campaigns: Mapping[str, Campaign], record: RunRecord, visit: Visit) -> Email:
        known = self._known(project, record.id)
        bundle = None if known else _bundle(record, campaigns)
        audience = known.campaign.audience if known else bundle.campaign.audience  # type: ignore[union-attr]
        warehouse = self._open(project, audience)
        try:
            run = known or _run(project, record, bundle, warehouse)  # type: ignore[arg-type]
            self._remember(run)
            rows = warehouse.rows(run.wrapping.person_query(visit.key_text), PATIENCE)
        finally:
            warehouse.close()
        if not rows:
            raise Gone
        return _rendered(run, rows[0], visit)

    def _known(self, project: Project, run_id: str) -> _Run | None:
        with self._lock:
            found = self._runs.get(run_id)
            return found if found is not None and found.project is project else None

    def _remember(self, run: _Run) -> None:
        with self._lock:
            self._runs[run.facts.run_id] = run
            self._runs.move_to_end(run.facts.run_id)
            while len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)


def _bundle(record: RunRecord, campaigns: Mapping[str, Campaign]) -> Bundle:
    """The campaign as the run began with it, e-mail only.

    Raises Gone where it needs what a call brought, and UserError where its people were never kept.
    """
    bundle = Bundle.restore(record.campaign_json, campaigns.get(record.campaign))
    campaign = bundle.campaign
    emails = tuple(content for content in campaign.message.content if isinstance(content, EmailContent))
    if not emails or (isinstance(campaign.trigger, Api) and campaign.trigger.parameters):
        raise Gone
    audience = campaign.audience.model_copy(update={"timeout": min(campaign.audience.timeout, PATIENCE)})
    message = campaign.message.model_copy(update={"content": emails})
    return bundle.model_copy(
        update={"campaign": campaign.model_copy(update={"message": message, "audience": audience})}
    )


def _run(project: Project, record: RunRecord, bundle: Bundle, warehouse: Warehouse) -> _Run:
    campaign, library = bundle.campaign, Library(bundle.templates)
    page = bundle.unsubscribe_page
    links = UnsubscribeLinks(
        ring=project.secret,
        base_url=project.serve.base_url,
        page=library.compile(page, escape=False) if page else None,
        mailto=None,
        topic=campaign.message.topic,
    )
    # Live, whatever it was: a test copy differs in its address alone.
    facts = RunFacts(record.id, campaign.name, project.target, Mode.live, record.fire_time, b"")
    moment = Moment(record.fire_time, record.since, record.until)
    # Whoever has opted out since may still read what was sent to them: only the row is asked for.
    unasked = replace(project, subscriptions=None)
    return _Run(project, campaign, library, links, facts, wrap(unasked, campaign, warehouse, moment))


def _rendered(run: _Run, row: Mapping[str, object], visit: Visit) -> Email:
    composer = Composer(
        run.campaign,
        run.library,
        run.facts,
        run.links,
        test_recipient={},
        copied=set(),
        tracking=Tracking(run.project.name, run.campaign.name),
        known=visit.key,
    )
    (delivery,) = composer.deliveries(Person(visit.key_text, row, {}))
    if not isinstance(delivery.result, Outgoing):
        raise Gone
    assert isinstance(delivery.result.message, Email)
    return delivery.result.message
