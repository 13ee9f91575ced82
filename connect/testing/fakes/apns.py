"""Apple's push service as it stands at the other end of the `apns` adapter: HTTP/2 over TLS, and nothing else.

    with ApnsServer(public_key) as server:
        …send to server.url, trusting server.ca_file…

Requests are checked as documented at developer.apple.com, "Sending notification requests to APNs"; provider tokens too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

import jwt
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

logging.getLogger("hpack").setLevel(logging.INFO)  # which tells all that this end was sent, wherever one listens


@dataclass(frozen=True)
class Push:
    """One request that arrived."""

    token: str
    """The device's."""
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Trouble(StrEnum):
    """What else than an answer may come of a request that was read."""

    drop = "drop"  # the connection is cut
    hang = "hang"  # nothing comes
    reset = "reset"  # the stream is reset: who knows what became of it
    refused = "refused"  # the stream is refused: it was not processed
    leave = "leave"  # GOAWAY: neither this stream nor later ones are processed; the connection closes
    leave_calm = "leave_calm"  # the same, because of too much
    leave_late = "leave_late"  # GOAWAY after this stream; but the connection closes before it is answered


OK = Answer()


class ApnsServer:
    """Runs in a thread of its own; leave the context to stop it."""

    def __init__(self, public_key: str, *, team_id: str, key_id: str, topic: str) -> None:
        """Provider tokens must be signed with the key whose public half (PEM) this is."""
        self._tokens = ProviderTokens(public_key, team_id, key_id)
        self.topic = topic
        self.pushes: list[Push] = []
        """Everything that arrived, also what was not answered."""
        self.delivered: list[Push] = []
        self.misfits: list[str] = []
        """What did not fit the documentation: field and rule, never a value."""
        self.connections = 0
        """How many were made."""
        self.provider_tokens: list[str] = []
        """Each that came, once."""
        self._plans: dict[str | None, list[Answer | Trouble]] = {}
        self._held: list[Callable[[], None]] = []
        self._hold = 0
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._folder = tempfile.TemporaryDirectory()
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._port}"

    @property
    def ca_file(self) -> Path:
        return Path(self._folder.name) / "ca.pem"

    def answer(self, *plan: Answer | Trouble, token: str | None = None) -> None:
        """What comes of requests for this device (or any) from now on: one after the other, the last for good."""
        self._plans[token] = list(plan)

    def hold(self, count: int) -> None:
        """Answer nobody until so many requests are waiting for their answers, and then all of them."""
        self._hold = count

    def clock(self, now: Callable[[], float]) -> None:
        """What the server takes for the time."""
        self._tokens.now = now

    def forget_answers(self) -> None:
        self._plans.clear()

    def judge(self, push: Push, path: str, method: str) -> Answer | Trouble:
        """What comes of a request."""
        self.pushes.append(push)
        self.misfits += misfits(push, path, method)
        known = len(self._tokens.accepted)
        if (refusal := self._tokens.refusal(push.headers.get("authorization", ""))) is not None:
            return refusal
        self.provider_tokens += self._tokens.accepted[known:]
        planned = self._planned(push.token) or self._planned(None) or self._own(push)
        if planned == OK:
            self.delivered.append(push)
        return planned

    def in_turn(self, answer: Callable[[], None]) -> None:
        """Answer now, or with those that are held."""
        self._held.append(answer)
        if len(self._held) >= self._hold:
            held, self._held = self._held, []
            for each in held:
                each()

    def _planned(self, token: str | None) -> Answer | Trouble | None:
        plan = self._plans.get(token, [])
        return plan.pop(0) if len(plan) > 1 else next(iter(plan), None)

    def _own(self, push: Push) -> Answer:
        """As the service judges by itself."""
        if push.headers.get("apns-topic") != self.topic:
            return Answer(400, "TopicDisallowed")
        if not re.fullmatch(r"[0-9a-f]{64,200}", push.token) or not int(push.token, 16):
            return Answer(400, "BadDeviceToken")
        return Answer(413, "PayloadTooLarge") if len(push.body) > 4096 else OK

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        connections: set[_Connection] = set()
        server = await loop.create_server(
            lambda: _Connection(self, connections), "127.0.0.1", 0, ssl=_tls(self.ca_file), backlog=1000
        )
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        for connection in tuple(connections):
            connection.cut()
        await asyncio.sleep(0)


def _tls(ca_file: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context


_STREAMS = 1000


class _Connection(asyncio.Protocol):
    """One connection. As APNs does, it takes a single stream until a provider token was accepted on it."""

    def __init__(self, server: ApnsServer, connections: set[_Connection]) -> None:
        self._server = server
        self._connections = connections
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._heads: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._trusted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._server.connections += 1
        self._http.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1
        self._http.initiate_connection()
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)

    def cut(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(data):
                self._happened(event)
        except ProtocolError as error:
            self._server.misfits.append(f"HTTP/2: {type(error).__name__}")
        self._flush()

    def _happened(self, event: object) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=headers):
                self._heads[stream] = {str(name): str(value) for name, value in headers or []}
                self._bodies[stream] = bytearray()
            case DataReceived(stream_id=int(stream), data=data, flow_controlled_length=length):
                self._bodies[stream] += data or b""
                self._http.acknowledge_received_data(length or 0, stream)
            case StreamEnded(stream_id=int(stream)):
                self._read(stream, self._heads.pop(stream), bytes(self._bodies.pop(stream)))
            case ConnectionTerminated():
                self._transport.close()
            case _:
                pass

    def _read(self, stream: int, head: dict[str, str], body: bytes) -> None:
        path, method = head.get(":path", ""), head.get(":method", "")
        push = Push(path.rpartition("/")[2], {key: value for key, value in head.items() if key[0] != ":"}, body)
        outcome = self._server.judge(push, path, method)
        if not self._trusted and not (isinstance(outcome, Answer) and outcome.status == 403):
            self._trusted = True
            self._http.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS})
        if isinstance(outcome, Answer):
            answer = outcome
            self._server.in_turn(lambda: self._answer(stream, push, answer))
        else:
            self._trouble(stream, outcome)

    def _answer(self, stream: int, push: Push, answer: Answer) -> None:
        body = json.dumps(_said(answer)).encode() if answer.reason else b""
        headers = {":status": str(answer.status), "apns-id": push.headers.get("apns-id", ""), **answer.headers}
        self._http.send_headers(stream, list(headers.items()), end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self._flush()

    def _trouble(self, stream: int, trouble: Trouble) -> None:
        match trouble:
            case Trouble.drop:
                self._transport.abort()
            case Trouble.reset:
                self._http.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            case Trouble.refused:
                self._http.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            case Trouble.leave:
                self._leave(ErrorCodes.NO_ERROR, stream - 2)
            case Trouble.leave_calm:
                self._leave(ErrorCodes.ENHANCE_YOUR_CALM, stream - 2)
            case Trouble.leave_late:
                self._leave(ErrorCodes.NO_ERROR, stream)

    def _leave(self, why: ErrorCodes, last: int) -> None:
        self._http.close_connection(why, last_stream_id=max(last, 0))
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if (data := self._http.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)


def _said(answer: Answer) -> dict[str, object]:
    """A 410 says since when the token is dead."""
    return {"reason": answer.reason} | ({"timestamp": 1_700_000_000_000} if answer.status == 410 else {})


class ProviderTokens:
    """Which provider tokens are good: signed with the key, at most an hour old, and renewed rarely."""

    def __init__(self, public_key: str, team_id: str, key_id: str) -> None:
        self._key, self._team_id, self._key_id = public_key, team_id, key_id
        self.now: Callable[[], float] = time.time
        self.accepted: list[str] = []
        """In the order in which they came."""
        self._issued: dict[str, float] = {}

    def refusal(self, authorization: str) -> Answer | None:
        scheme, _, token = authorization.partition(" ")
        if scheme != "bearer" or not token:
            return Answer(403, "MissingProviderToken")
        if token not in self._issued:
            try:
                self._issued[token] = self._read(token)
            except jwt.InvalidTokenError:
                return Answer(403, "InvalidProviderToken")
        return self._of_age(token)

    def _read(self, token: str) -> float:
        if jwt.get_unverified_header(token) != {"alg": "ES256", "kid": self._key_id}:
            raise jwt.InvalidTokenError
        options: Any = {"require": ["iss", "iat"], "verify_iat": False}
        claims = jwt.decode(token, self._key, algorithms=["ES256"], issuer=self._team_id, options=options)
        return float(claims["iat"])

    def _of_age(self, token: str) -> Answer | None:
        issued = self._issued[token]
        if self.now() - issued > 3600 or issued > self.now() + 60:
            return Answer(403, "ExpiredProviderToken")
        if token not in self.accepted:
            if any(abs(issued - self._issued[other]) < 1200 for other in self.accepted):
                return Answer(429, "TooManyProviderTokenUpdates")
            self.accepted.append(token)
        return None


_TYPES = {
    *("alert", "background", "complication", "controls", "fileprovider", "liveactivity", "location", "mdm"),
    *("pushtotalk", "voip", "widgets"),
}
_FIELDS: dict[str, Callable[[str], object]] = {
    "authorization": lambda value: value.startswith("bearer "),
    "apns-topic": bool,
    "apns-push-type": _TYPES.__contains__,
    "apns-priority": {"1", "5", "10"}.__contains__,
    "apns-id": lambda value: str(UUID(value)) == value,
    "apns-collapse-id": lambda value: 0 < len(value.encode()) <= 64,
    "apns-expiration": str.isdecimal,
    "content-length": str.isdecimal,
    "user-agent": bool,
    "accept": bool,
}
"""Every header that a request may have, and what makes it a good one."""
_REQUIRED = {"authorization", "apns-topic", "apns-push-type"}

_APS: dict[str, tuple[type, ...]] = {
    "alert": (str, dict),
    "badge": (int,),
    "sound": (str, dict),
    "thread-id": (str,),
    "category": (str,),
    "content-available": (int,),
    "mutable-content": (int,),
    "target-content-id": (str,),
    "interruption-level": (str,),
    "relevance-score": (int, float),
    "filter-criteria": (str,),
    "stale-date": (int,),
    "content-state": (dict,),
    "timestamp": (int,),
    "event": (str,),
    "dismissal-date": (int,),
    "attributes-type": (str,),
    "attributes": (dict,),
}
"""documented at developer.apple.com, Generating a remote notification"""


def misfits(push: Push, path: str, method: str) -> Iterator[str]:
    """What does not fit the documentation."""
    if method != "POST" or not re.fullmatch(r"/3/device/[0-9a-fA-F]+", path):
        yield "the path is not POST /3/device/<token>"
    yield from (f"{name} is missing" for name in _REQUIRED - push.headers.keys())
    yield from (f"{name} is unknown" for name in push.headers.keys() - _FIELDS.keys())
    for name in push.headers.keys() & _FIELDS.keys():
        if not _FIELDS[name](push.headers[name]):
            yield f"{name} is bad"
    if push.headers.get("apns-push-type") == "background" and push.headers.get("apns-priority") != "5":
        yield "apns-priority of background is not 5"
    yield from _payload_misfits(push.json)


def _payload_misfits(payload: Any) -> Iterator[str]:
    aps = payload.get("aps") if isinstance(payload, dict) else None
    if not isinstance(aps, dict):
        yield "the payload has no aps"
        return
    yield from (f"aps.{name} is unknown" for name in aps.keys() - _APS.keys())
    yield from (f"aps.{name} is bad" for name in aps.keys() & _APS.keys() if not isinstance(aps[name], _APS[name]))
