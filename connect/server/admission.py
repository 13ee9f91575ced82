"""Who may call the API, for what, and how often. Asked before anything of a request but its headers is read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from connect.project.api_keys import whose
from connect.project.types import Rate
from connect.server.limits import Limiter, retry_after
from connect.server.problems import Refused
from connect.server.site import Site
from connect.vocabulary import Scope

FAILURES = Rate(20, timedelta(minutes=1))
"""Calls without a good key, from one address."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Caller:
    """Whose key it is."""

    name: str


class Admission:
    """Keys are those of connect.yml as it is now."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._calls = Limiter(site.clock.monotonic)
        self._failures = Limiter(site.clock.monotonic)

    def admit(self, request: Request, scope: Scope) -> Caller:
        """Raises Refused: 401 without a good key, 403 without the scope, 429 for too many."""
        keys = self._site.project.serve.api_keys
        address = request.client.host if request.client else ""
        if self._failures.left(address, FAILURES) < 1:
            wait = self._failures.take(address, FAILURES)
            raise Refused(429, "too-many-failures", "too many calls without a good key", "", retry_after(wait))
        name = whose(_token(request), keys)
        if name is None:
            self._failures.take(address, FAILURES)
            hint = "`Authorization: Bearer …`, with a key of `serve.keys`; `connect keys new` makes one"
            raise Refused(
                401, "bad-key", "no key came with the call, or none that is known", hint, {"WWW-Authenticate": "Bearer"}
            )
        if wait := self._calls.take(name, keys[name].rate):
            said = f"the key `{name}` may call {keys[name].rate}"
            raise Refused(429, "too-many-calls", said, "", retry_after(wait))
        if scope not in keys[name].scopes:
            bearer = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            hint = f"`scopes` of `serve.keys.{name}` in connect.yml gives it one"
            raise Refused(403, "scope-missing", f"the key `{name}` has no scope `{scope}`", hint, bearer)
        return Caller(name)


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def route_for(admit: Callable[[Request], Caller]) -> type[APIRoute]:
    """Routes whose callers are asked before their body is read."""

    class Admitted(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                request.state.caller = admit(request)
                return await handle(request)

            return handler

    return Admitted
