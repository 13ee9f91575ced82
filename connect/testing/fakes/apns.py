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
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from connect.testing.fakes.apns_rules import Answer, ProviderTokens, Push, misfits

__all__ = ["OK", "Answer", "ApnsServer", "Push", "Trouble"]

logging.getLogger("hpack").setLevel(logging.INFO)  # which tells all that this end was sent, wherever one listens


class Trouble(StrEnum):
    """What else than an answer may come of a request that was read."""

    drop = "drop"  # the connection is cut
    hang = "hang"  # nothing comes
    reset = "reset"  # the stream is reset: who knows what became of it
    refused = "refused"  # the stream is refused: it was not processed
    leave = "leave"  # GOAWAY: neither this stream nor later ones are processed
    leave_calm = "leave_calm"  # the same, because of too much
    leave_late = "leave_late"  # GOAWAY after this stream; but the connection is closed before it is answered


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
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._server.connections += 1
        self._http.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        self._http.initiate_connection()
        self._http.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = _STREAMS
        self._http.local_settings.acknowledge()  # what is over the limit is refused below, not the end of everything
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)

    def cut(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._http.receive_data(data) if not self._left else ():
                self._happened(event)
        except ProtocolError as error:
            self._server.misfits.append(f"HTTP/2: {type(error).__name__}")
        self._flush()

    def _happened(self, event: object) -> None:
        """Nothing does after a GOAWAY: what came with it is not looked at."""
        if self._left:
            return
        match event:
            case RequestReceived(stream_id=int(stream)) if self._heads and not self._trusted:
                self._http.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            case RequestReceived(stream_id=int(stream), headers=headers):
                self._heads[stream] = {str(name): str(value) for name, value in headers or []}
                self._bodies[stream] = bytearray()
            case DataReceived(stream_id=int(stream), data=data, flow_controlled_length=length) if stream in self._heads:
                self._bodies[stream] += data or b""
                self._http.acknowledge_received_data(length or 0, stream)
            case StreamEnded(stream_id=int(stream)) if stream in self._heads:
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
        body = json.dumps(_said(answer)).encode() if answer.reason else answer.body
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
                self._transport.close()

    def _leave(self, why: ErrorCodes, last: int) -> None:
        """The other side closes: closing here would take answers back that are on their way (TCP resets)."""
        self._left = True
        self._http.close_connection(why, last_stream_id=max(last, 0))
        self._flush()

    def _flush(self) -> None:
        if (data := self._http.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)


def _said(answer: Answer) -> dict[str, object]:
    """A 410 says since when the token is dead."""
    return {"reason": answer.reason} | ({"timestamp": 1_700_000_000_000} if answer.status == 410 else {})
