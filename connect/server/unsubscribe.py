"""`/u/{token}`: one-click unsubscribing (RFC 8058), and the page for people.

GET changes nothing: scanners follow links.
Nobody is told that they are unsubscribed before that is durable (`connect.pipeline.desk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import Response

from connect.errors import ConnectError, OutsideError, UserError
from connect.identity import SealBroken, read_correlation_id
from connect.pipeline.desk import problem
from connect.pipeline.intake import OURSELVES
from connect.pipeline.preferences import Claims, Preferences, with_held
from connect.pipeline.subscriber import Entry, on_record
from connect.pipeline.subscriptions import ONE_CLICK, PAGE, Change, writable
from connect.pipeline.waiting import Waiting
from connect.project.project import Project
from connect.providers.events import Event, EventType
from connect.server.aftercare import Aftercare
from connect.server.forms import LARGEST, Form, read_form
from connect.server.pages import Page, Pages, Speaker, Topic
from connect.server.problems import Refused
from connect.server.site import Site
from connect.vocabulary import SubscriptionStatus

_METHODS = ["GET", "HEAD", "OPTIONS", "POST"]
_LOOKING = 3.0
"""Seconds that the warehouse has to say what somebody receives; without that, one can leave all the same."""
_MOST_LOOKING = 8
_MOST_TOLD = 1000
_TELLING = 5.0


class Unsubscribe:
    """Answers unsubscribe links, and sees to it that what is held gets into the warehouse."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pages: tuple[Project, Pages] | None = None
        self._threads = ThreadPoolExecutor(2, "preferences")
        self._looking = 0
        self._waiting: tuple[Project, Waiting] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._aftercare = Aftercare(site)

    def routes(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/u/{token}", self.answer, methods=_METHODS, response_model=None)
        return router

    async def run(self, stop: asyncio.Event) -> None:
        if wrong := problem(self._site.project):
            self._site.log.warning("unsubscribe-links-off", reason=wrong.message, code=wrong.code, hint=wrong.hint)
        await asyncio.gather(self._aftercare.run(stop), self._site.desk.run(stop))
        if self._telling:
            await asyncio.wait(self._telling, timeout=_TELLING)

    async def answer(self, request: Request, token: str) -> Response:
        """Every method of a link."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(_METHODS)})
        speaker = self._speak().to(request.headers.get("accept-language", ""))
        try:
            claims = Claims.of(self._site.project.secret, token)
        except (SealBroken, KeyError, ValueError):
            return _answer(speaker.broken(), 404)
        except UserError as error:  # the project has no secret
            return self._not_now(speaker, error)
        if self._cannot(claims):
            return self._not_now(speaker, None)
        if request.method != "POST":
            return _answer(await self._shown(speaker, claims))
        form = await _form_of(request)
        try:
            return _answer(await self._done(speaker, claims, form))
        except ConnectError as error:
            return self._not_now(speaker, error)

    def _cannot(self, claims: Claims) -> bool:
        """Whether nothing that is written for them would be heeded: a page must not say otherwise."""
        return problem(self._site.project) is not None or not claims.can_leave

    def _not_now(self, speaker: Speaker, error: ConnectError | None) -> Response:
        if error is not None:
            self._site.log.trouble("unsubscribe-failed", error)
        else:
            self._site.log.warning("unsubscribe-failed", reason="no run would heed what this link could write")
        return _answer(speaker.later(), 503, {"Retry-After": "60"})

    def _speak(self) -> Pages:
        project = self._site.project
        if self._pages is None or self._pages[0] is not project:
            try:
                pages = Pages(project)
            except UserError as error:
                self._site.log.trouble("unsubscribe-template", error)
                pages = Pages(project, plain=True)
            self._pages = project, pages
        return self._pages[1]

    # Looking

    async def _shown(self, speaker: Speaker, claims: Claims) -> Page:
        names = self._speak().topics
        if not names:
            return speaker.asked(claims.topic)
        preferences = await self._preferences(claims)
        if preferences is None:
            return speaker.untold(_topics(names))
        if preferences.held_back:
            return speaker.held_back()
        shown = [Topic(name, preferences.is_on(name)) for name in names]
        return speaker.choices(shown, all_off=preferences.all_off)

    async def _preferences(self, claims: Claims) -> Preferences | None:
        """What they receive now; None where the warehouse does not say so in time."""
        if self._looking >= _MOST_LOOKING:
            return None
        self._looking += 1
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._look, claims)
        asked.add_done_callback(self._looked)
        done, _ = await asyncio.wait([asked], timeout=_LOOKING)
        return Preferences(claims, asked.result()) if done and asked.exception() is None else None

    def _looked(self, asked: asyncio.Future[tuple[Entry, ...]]) -> None:
        self._looking -= 1
        if error := asked.exception():
            self._site.log.trouble("preferences-unknown", error)

    def _look(self, claims: Claims) -> tuple[Entry, ...]:
        """In a thread."""
        site, project = self._site, self._site.project
        waiting = self._what_waits(project)
        waiting.look()
        looked_at = site.clock.monotonic()  # what another look finds gone meanwhile may have gone behind our back
        warehouse = site.warehouse(writable(project).source)
        try:
            entries = on_record(project, warehouse, claims.person, site.clock.now())
        finally:
            warehouse.close()
        return with_held(entries, waiting.changes(looked_at), claims.person)

    def _what_waits(self, project: Project) -> Waiting:
        if self._waiting is None or self._waiting[0] is not project:
            self._waiting = project, Waiting(self._site.ledger, project.secret, self._site.clock)
        return self._waiting[1]

    # Doing

    async def _done(self, speaker: Speaker, claims: Claims, form: Form) -> Page:
        """What the form asks for is durable, and the page says so. Whatever it says that is not known means: leave."""
        names = self._speak().topics
        match form.get("do", [""])[0]:
            case "all":
                return await self._leave(speaker, claims, [None])
            case "some":
                some = [name for name in form.get("topic", []) if name in names]
                return await self._leave(speaker, claims, some) if some else speaker.untold(_topics(names))
            case "save":
                return await self._save(speaker, claims, form)
            case "back":
                return await self._back(speaker, claims, form.get("of", [""])[0])
            case _:
                source = PAGE if "do" in form else ONE_CLICK
                return await self._leave(speaker, claims, [claims.topic], source)

    async def _leave(self, speaker: Speaker, claims: Claims, topics: Sequence[str | None], source: str = PAGE) -> Page:
        now = self._site.time.now()
        await self._take(claims, [claims.left(topic, now, source) for topic in topics])
        return speaker.left(topics[0]) if len(topics) == 1 else speaker.done()

    async def _save(self, speaker: Speaker, claims: Claims, form: Form) -> Page:
        names = self._speak().topics
        shown = [name for name in form.get("shown", []) if name in names]
        wanted = {name for name in form.get("topic", []) if name in shown}
        await self._aftercare.settle()
        preferences = await self._preferences(claims)
        now = self._site.time.now()
        if preferences is None or preferences.held_back:  # who says stop is heard all the same
            if off := [claims.left(name, now, PAGE) for name in shown if name not in wanted]:
                await self._take(claims, off)
            return speaker.held_back() if preferences else speaker.untold(_topics(names))
        await self._take(claims, preferences.chosen(wanted, shown, now, PAGE))
        return speaker.saved([Topic(name, name in wanted) for name in shown])

    async def _back(self, speaker: Speaker, claims: Claims, topic: str) -> Page:
        """Never over a bounce or a complaint, and not where nobody can tell whether there is one."""
        await self._aftercare.settle()
        preferences = await self._preferences(claims)
        if preferences is None:
            raise OutsideError.of("preferences-unknown", "the warehouse did not say in time what is on record")
        if preferences.held_back:
            return speaker.held_back()
        wanted = [topic] if topic and topic in (claims.topic, *self._speak().topics) else []
        await self._take(claims, preferences.chosen(wanted, wanted, self._site.time.now(), PAGE, back=True))
        return speaker.back()

    async def _take(self, claims: Claims, changes: Sequence[Change]) -> None:
        if changes:
            await self._site.desk.take(changes)
            self._aftercare.came(changes)
            self._tell(claims, changes)

    def _tell(self, claims: Claims, changes: Sequence[Change]) -> None:
        """It counts for the run whose message it came by, once; as far as that can be, nobody waits for it."""
        found = read_correlation_id(claims.correlation)
        if found is None or len(self._telling) >= _MOST_TOLD:
            return
        left = any(change.status is not SubscriptionStatus.subscribed for change in changes)
        kind, at = EventType.unsubscribed if left else EventType.resubscribed, changes[0].at
        id = f"{claims.correlation}.{kind}.{at.isoformat()}"
        event = Event(kind, at, id, claims.channel, *found, address=claims.address or "")

        async def tell() -> None:
            with suppress(Exception):  # the opt-out is durable: only its count is lost
                if await self._aftercare.is_news(changes):
                    await self._site.intake.take(OURSELVES, [event])

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def _topics(names: Collection[str]) -> list[Topic]:
    return [Topic(name) for name in names]


async def _form_of(request: Request) -> Form:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise Refused(413, "too-large", f"a form may bring {LARGEST:,} bytes", headers={"Connection": "close"})
    return read_form(request.headers.get("content-type", ""), body)


def _answer(page: Page, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(page.html, status, {**page.headers, **(headers or {})}, "text/html; charset=utf-8")
