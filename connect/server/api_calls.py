"""Campaigns that are called and messages that are sent, each call once, however often it is repeated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from fastapi import Body, Header, Path, Request
from fastapi.responses import JSONResponse

from connect.errors import Problem, UserError
from connect.ledger.records import Named, RunRecord
from connect.ledger.refusals import CallKnown
from connect.pipeline.parameters import checked
from connect.pipeline.recipients import brought, must_tell_apart, people_of, sound
from connect.pipeline.reporting import run_report
from connect.pipeline.sending import as_campaign, end_abandoned, is_a_send
from connect.pipeline.witness import Seen
from connect.project.project import Project
from connect.project.targets import safer
from connect.reports.counts import run_as_json
from connect.schedule.calling import must_be_callable, queue
from connect.schedule.direct import Answered, Asked, Direct
from connect.schedule.places import Full, no_room
from connect.schedule.standing import alive, daemons_of
from connect.server.api_models import Send, Trigger
from connect.server.api_reads import NO_NUL, Name, campaign_of, counts
from connect.server.problems import Refused, answer
from connect.server.site import Site
from connect.vocabulary import Mode, RunState

MOST_RECIPIENTS, MOST_PEOPLE = 1000, 100
"""In one call: of a campaign, and of a message."""

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Names the call: repeated within seven days with the same body, it gets the same run.",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
    ),
]
Message = Annotated[
    str, Path(description="A message's name in messages/.", max_length=200, pattern=NO_NUL, examples=["welcome"])
]


@dataclass(frozen=True)
class _Naming:
    """A call that named itself, as every secret of the project knows it; the newest first."""

    names: tuple[bytes, ...]
    requests: tuple[bytes, ...]

    @property
    def named(self) -> Named:
        return Named(self.names[0], self.requests[0])


class Calls:
    """Of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._in_hand: set[bytes] = set()

    @cached_property
    def direct(self) -> Direct:
        return Direct(self._site.doors, self._site.ledger, self._site.clock, self._site.herald)

    async def trigger_campaign(
        self, name: Name, request: Request, body: Annotated[Trigger | None, Body()] = None, key: Key = None
    ) -> JSONResponse:
        """Call a campaign whose trigger is `api`.

        Without recipients: a run for its audience is queued, which a daemon takes up (202). With recipients: they are
        written to before the answer (200), and kept nowhere.
        """
        wanted, site = body or Trigger(), self._site
        campaign = campaign_of(site, name)
        trigger = await asyncio.to_thread(must_be_callable, campaign, site.ledger, site.project.mode)
        _must_be_sound(wanted.parameters)
        project = self._in_mode(wanted.mode)
        with self._once(await self._naming(request, key)) as naming:
            if known := await self._before(naming):
                return await self._again(known, project.mode)
            if wanted.recipients is None:
                return await self._queued(project, name, wanted, naming)
            if not trigger.recipients:
                said = f"calls of {name} bring no recipients: it has an audience of its own"
                raise UserError.of("recipients-not-allowed", said, "`recipients: true` under its trigger allows them")
            loaded = site.house.loaded(name)
            assert loaded is not None
            people = people_of(wanted.recipients, MOST_RECIPIENTS)
            asked = Asked(project, brought(loaded, people), people, checked(campaign, wanted.parameters), _of(naming))
            return await self._run(asked, naming)

    async def send_message(self, name: Message, request: Request, body: Send, key: Key = None) -> JSONResponse:
        """Send a message of messages/ to one person, or up to 100, before the answer. They are kept nowhere."""
        people, project = people_of(body.recipients, MOST_PEOPLE), self._in_mode(body.mode)
        with self._once(await self._naming(request, key)) as naming:
            if known := await self._before(naming):
                return await self._again(known, project.mode)
            message = await self.direct.message(project, name)
            asked = Asked(project, as_campaign(project, name, message, people), people, {}, _of(naming))
            return await self._run(asked, naming)

    def have_room(self) -> None:
        """Raises Refused where as much is under way as may be."""
        if self.direct.places.full:
            raise _too_busy(no_room())

    async def tidy(self) -> None:
        """End runs of processes that are gone, whose people nobody has any more."""
        self.direct.let_go()
        await asyncio.to_thread(end_abandoned, self._site.ledger)

    def _in_mode(self, mode: Mode | None) -> Project:
        project = self._site.project
        return replace(project, mode=safer(project.mode, mode, project.target, project.tree)) if mode else project

    async def _queued(self, project: Project, name: str, wanted: Trigger, naming: _Naming | None) -> JSONResponse:
        campaign, site = campaign_of(self._site, name), self._site
        try:
            run = await asyncio.to_thread(
                queue, project, campaign, wanted.parameters, site.ledger, site.clock, named=_of(naming)
            )
        except CallKnown as known:  # another process was faster
            return await self._again(self._same(known.run_id, known.request, naming), project.mode)
        return await self._told(run, project.mode)

    async def _run(self, asked: Asked, naming: _Naming | None) -> JSONResponse:
        if asked.loaded.campaign is not None:
            must_tell_apart(asked.people, asked.loaded.campaign.audience.key)
        try:
            done = await self.direct.run(asked)
        except UserError as error:
            raise UserError(*map(_to_a_caller, error.problems)) from None
        except CallKnown as known:
            return await self._again(self._same(known.run_id, known.request, naming), asked.project.mode)
        except Full as full:
            raise _too_busy(full) from None
        return await asyncio.to_thread(self._ran, done)

    # Answers

    def _ran(self, done: Answered) -> JSONResponse:
        told = {**self._over(done.run), "recipients": _recipients(done.ends)}
        if done.trouble is not None and done.trouble.problems:
            first = done.trouble.problems[0]
            return answer(502, first.code, first.message, first.hint, None, **told)
        if done.run.state is not RunState.completed:
            hint = "recipients without deliveries were not reached"
            return answer(
                504,
                "not-finished",
                f"the run ended before everybody was reached: {done.run.reason}",
                hint,
                None,
                **told,
            )
        return JSONResponse(told)

    def _over(self, run: RunRecord) -> dict[str, object]:
        return {"run": run_as_json(run), **counts(run_report(self._site.ledger, run))}

    async def _told(self, run: RunRecord, mode: Mode, headers: dict[str, str] | None = None) -> JSONResponse:
        daemons = await asyncio.to_thread(daemons_of, self._site.ledger)
        told = {"run": run_as_json(run), "daemon_alive": bool(alive(daemons, mode))}
        return JSONResponse(told, 202, {"Location": f"/runs/{run.id}", **(headers or {})})

    async def _again(self, run_id: str, mode: Mode) -> JSONResponse:
        """The answer of a call that was made before."""
        replayed = {"Idempotent-Replayed": "true"}
        await self.tidy()
        run = await asyncio.to_thread(self._site.ledger.run, run_id)
        if run is None:
            raise Refused(409, "call-forgotten", "this call was made before, and its run was removed since")
        if not run.fleeting and not is_a_send(run.campaign):
            return await self._told(run, mode, replayed)
        if not run.state.ended:
            raise _in_progress()
        return JSONResponse({**await asyncio.to_thread(self._over, run), "recipients": None}, 200, replayed)

    # Calls that name themselves

    async def _naming(self, request: Request, key: str | None) -> _Naming | None:
        if key is None:
            return None
        ring, caller = self._site.project.secret, request.state.caller.name
        asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
        name = f"{caller}\0{key}".encode()
        return _Naming(ring.marks("call", name), ring.marks("request", asked))

    @contextmanager
    def _once(self, naming: _Naming | None) -> Iterator[_Naming | None]:
        """One call of a name at a time."""
        if naming is None:
            yield None
            return
        if naming.names[0] in self._in_hand:
            raise _in_progress()
        self._in_hand.add(naming.names[0])
        try:
            yield naming
        finally:
            self._in_hand.discard(naming.names[0])

    async def _before(self, naming: _Naming | None) -> str | None:
        """The run of the call that was named so before."""
        for name in naming.names if naming else ():
            if call := await asyncio.to_thread(self._site.ledger.call, name):
                return self._same(call.run_id, call.request, naming)
        return None

    def _same(self, run_id: str, request: bytes, naming: _Naming | None) -> str:
        if naming is None or request not in naming.requests:
            said = "this Idempotency-Key was used for another request"
            raise Refused(422, "call-differs", said, "each call has a key of its own; repeat it byte for byte")
        return run_id


def _of(naming: _Naming | None) -> Named | None:
    return naming.named if naming else None


def _in_progress() -> Refused:
    said = "a call with this Idempotency-Key is being answered"
    return Refused(409, "call-in-progress", said, "call again in a moment", {"Retry-After": "1"})


_NO_COLUMN = re.compile(r"the audience has no column `(\w+)`")


def _to_a_caller(problem: Problem) -> Problem:
    """In the words of somebody who brings the people: for them there is no audience."""
    found = _NO_COLUMN.fullmatch(problem.message)
    if found is None or problem.code != "unknown-name":
        return problem
    said = f"a template prints `user.{found[1]}`, and no recipient has `{found[1]}`"
    return replace(problem, message=said, hint="bring it with the recipients; null for those who have none")


def _too_busy(full: Full) -> Refused:
    (why,) = full.problems
    return Refused(503, why.code, why.message, why.hint, {"Retry-After": "2"})


def _must_be_sound(parameters: dict[str, object]) -> None:
    if not sound(parameters):
        said = "`parameters` hold what no text or number can be"
        hint = "no NaN, no NUL, no half of a character; whole numbers have 64 bits"
        raise UserError.of("bad-parameters", said, hint)


def _recipients(ends: Sequence[tuple[Seen, ...]]) -> list[dict[str, object]]:
    return [
        {"position": position, "deliveries": [_delivery(seen) for seen in found]} for position, found in enumerate(ends)
    ]


def _delivery(seen: Seen) -> dict[str, str]:
    return {"channel": seen.channel.value, "outcome": seen.end.outcome.value, "reason": str(seen.end.reason)}
