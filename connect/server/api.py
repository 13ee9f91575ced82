"""The API for other programs: its routes, and what each of them needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from connect.errors import ConnectError
from connect.server import api_models as models
from connect.server.admission import Admission, Caller, route_for
from connect.server.api_calls import Calls
from connect.server.api_control import Control
from connect.server.api_reads import Reads
from connect.server.site import Site
from connect.vocabulary import Scope

_TIDY = 60.0
"""Seconds between two looks for runs of processes that are gone."""
_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `serve.keys`: `connect keys new`.")
EVERYWHERE = {
    400: "The body is not JSON.",
    401: "No key, or none that is known.",
    403: "The key has no scope for this.",
    408: "The request did not come to its end in time.",
    413: "The request is too large.",
    422: "Something of the request is not as it should be.",
    429: "Too many calls; `Retry-After` says when.",
    503: "Something outside is in the way, or too many calls are under way: try again.",
}
_NOT_FOUND = {404: "There is none of this name."}
_STATE = {**_NOT_FOUND, 409: "Not in the state that it is in."}
_CALL = {
    **_STATE,
    502: "A provider was in the way; `recipients` says how far it came.",
    504: "It took too long; `recipients` says how far it came.",
}


class Api:
    """What other programs ask and do."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @cached_property
    def _admission(self) -> Admission:
        return Admission(self._site)

    @cached_property
    def _calls(self) -> Calls:
        return Calls(self._site)

    @cached_property
    def _control(self) -> Control:
        return Control(self._site)

    def routes(self) -> APIRouter:
        router = APIRouter()
        self._add_reads(router)
        self._add_calls(router)
        self._add_control(router)
        return router

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(ConnectError):  # a ledger that is away; the next look does it
                await self._calls.tidy()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TIDY)
        await self._calls.direct.end()
        await self._control.end()

    def _add_reads(self, router: APIRouter) -> None:
        reads = Reads(self._site)
        add = partial(self._add, router, "GET", Scope.read)
        add("/campaigns", reads.list_campaigns, models.Campaigns)
        add("/campaigns/{name}", reads.get_campaign, models.Campaign, _NOT_FOUND)
        add("/runs", reads.list_runs, models.Runs)
        add("/runs/{id}", reads.get_run, models.RunStanding, _NOT_FOUND)
        add("/reports/{campaign}", reads.get_report, models.Report, _NOT_FOUND)

    def _add_calls(self, router: APIRouter) -> None:
        calls = self._calls
        also: dict[int | str, Any] = {202: {"model": models.Queued, "description": "Queued for a daemon."}}
        self._add(
            router, "POST", Scope.trigger, "/campaigns/{name}/trigger", calls.trigger_campaign, models.Ran, _CALL, also
        )
        self._add(
            router, "POST", Scope.send, "/messages/{name}", calls.send_message, models.Ran, _CALL, ready=calls.have_room
        )

    def _add_control(self, router: APIRouter) -> None:
        control = self._control
        add = partial(self._add, router, "POST", Scope.control)
        add("/campaigns/{name}/pause", control.pause_campaign, models.Steered, _STATE)
        add("/campaigns/{name}/resume", control.resume_campaign, models.Steered, _STATE)
        add("/runs/{id}/pause", control.pause_run, models.RunStanding, _STATE)
        add("/runs/{id}/cancel", control.cancel_run, models.RunStanding, _STATE)
        add("/runs/{id}/resume", control.resume_run, models.RunStanding, _STATE, status=202)

    def _add(
        self,
        router: APIRouter,
        method: str,
        scope: Scope,
        path: str,
        endpoint: Callable[..., Any],
        answers: type[BaseModel],
        problems: dict[int, str] | None = None,
        also: dict[int | str, Any] | None = None,
        status: int = 200,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`ready` raises Refused where nothing more of the request is to be read."""

        def admit(request: Any) -> Caller:
            caller = self._admission.admit(request, scope)
            ready()
            return caller

        told = {**EVERYWHERE, **(problems or {})}
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            response_model=answers,
            status_code=status,
            response_description=(answers.__doc__ or "").strip().split("\n")[0],
            responses={**{code: _problem(words) for code, words in sorted(told.items())}, **(also or {})},
            dependencies=[Security(_BEARER)],
            openapi_extra={"x-scope": scope.value},
            route_class_override=route_for(admit),
        )


def _problem(words: str) -> dict[str, Any]:
    return {"model": models.Problem, "description": words}
