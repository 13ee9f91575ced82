"""A local Amazon SES that takes requests apart with botocore's own model of the service.

    with SesServer() as server:
        server.refuse("TooManyRequestsException", "Maximum sending rate exceeded.", http_status=429)
        server.answer("person-3@mail.example", "MESSAGE_REJECTED", "…")    # one entry of a bulk call
        server.break_off()                                                 # take the request, then hang up

Every request is checked against the operation's input shape (`connect.testing.aws`). What does not fit is answered as
SES would, with a 400.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from botocore.model import OperationModel

from connect.testing import aws


@dataclass(frozen=True)
class Request:
    """One call that arrived: the operation and its input, blobs decoded."""

    operation: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Delivered:
    """One message that was taken."""

    to: tuple[str, ...]
    raw: bytes | None
    """The MIME message of a single call."""
    subject: str | None
    text: str | None
    html: str | None
    headers: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]


@dataclass
class _Refusal:
    code: str
    words: str
    http_status: int
    address: str | None
    times: int | None


@dataclass
class _State:
    requests: list[Request] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    refusals: list[_Refusal] = field(default_factory=list)
    silence: str | None = None
    account: dict[str, Any] | None = None
    leaving: threading.Event = field(default_factory=threading.Event)


class SesServer:
    """An HTTP server in threads of its own; leave the context to stop it."""

    def __init__(self) -> None:
        self._state = _State()
        self._server = _Server(("127.0.0.1", 0), _handler(self._state))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        return list(self._state.requests)

    @property
    def delivered(self) -> list[Delivered]:
        return list(self._state.delivered)

    @property
    def misfits(self) -> list[str]:
        """What in any request did not fit the model: member and rule, never a value."""
        return list(self._state.misfits)

    def answer(self, address: str, status: str, words: str = "") -> None:
        """Answer this address's entry of a bulk call with a BulkEmailStatus."""
        self._state.entries[address] = (status, words)

    def refuse(
        self, code: str, words: str, http_status: int = 400, address: str | None = None, times: int | None = None
    ) -> None:
        """Answer whole calls with an error: every call, whatever it asks, or those with this address."""
        self._state.refusals.append(_Refusal(code, words, http_status, address, times))

    def break_off(self) -> None:
        """From now on read each request, and reset the connection."""
        self._state.silence = "reset"

    def stay_silent(self) -> None:
        """From now on read each request, and say nothing."""
        self._state.silence = "hang"

    def account(self, **fields: Any) -> None:
        """What GetAccount answers; without it, the credentials may not ask."""
        self._state.account = fields

    def forget_answers(self) -> None:
        self._state.entries.clear()
        self._state.refusals.clear()
        self._state.silence = None


_operations: dict[tuple[str, str], OperationModel] = {
    (operation.http["method"], operation.http["requestUri"]): operation
    for operation in (aws.operation(name, of="sesv2") for name in ("SendEmail", "SendBulkEmail", "GetAccount"))
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about."""


def _handler(state: _State) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._respond("POST")

        def do_GET(self) -> None:
            self._respond("GET")

        def _respond(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if state.silence:
                self._say_nothing()
                return
            http_status, code, body = _answer(state, method, self.path, content)
            data = json.dumps(body).encode()
            self.send_response(http_status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.end_headers()
            self.wfile.write(data)

        def _say_nothing(self) -> None:
            self.close_connection = True
            if state.silence == "hang":
                state.leaving.wait()
            # Without lingering, closing sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


Answer = tuple[int, str, dict[str, Any]]
"""HTTP status, error code or "", body."""


def _answer(state: _State, method: str, path: str, content: bytes) -> Answer:
    operation = _operations.get((method, path))
    if operation is None:
        return 404, "UnknownOperationException", {}
    if operation.name == "GetAccount":
        if refusal := next((each for each in reversed(state.refusals) if not each.address), None):
            return refusal.http_status, refusal.code, {"message": refusal.words}
        denied = (403, "AccessDeniedException", {"message": "not authorized to perform: ses:GetAccount"})
        return denied if state.account is None else (200, "", state.account)
    body = aws.decoded(operation.input_shape, json.loads(content))
    state.requests.append(Request(operation.name, body))
    if misfits := list(aws.misfits(operation.input_shape, body)):
        state.misfits += misfits
        return 400, "BadRequestException", {"message": f"{len(misfits)} validation errors: {misfits[0]}"}
    if refusal := _refusal(state, body):
        return refusal.http_status, refusal.code, {"message": refusal.words}
    return 200, "", _send_one(state, body) if operation.name == "SendEmail" else _send_many(state, body)


# Rules that AWS documents and the model does not carry (API reference of SendBulkEmail and MessageTag, 2026-11).
_MOST_ENTRIES = 50
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


def _refusal(state: _State, body: dict[str, Any]) -> _Refusal | None:
    if len(body.get("BulkEmailEntries", [])) > _MOST_ENTRIES:
        return _Refusal("BadRequestException", "too many entries", 400, None, None)
    if not all(_TAG.fullmatch(tag[part]) for tag in _all_tags(body) for part in ("Name", "Value")):
        return _Refusal("BadRequestException", "a message tag holds a character that is not allowed", 400, None, None)
    addresses = list(_addresses(body))
    for refusal in reversed(state.refusals):
        if refusal.times != 0 and (refusal.address is None or refusal.address in addresses):
            refusal.times = None if refusal.times is None else refusal.times - 1
            return refusal
    return None


def _all_tags(body: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield from body.get("EmailTags", [])
    for entry in body.get("BulkEmailEntries", []):
        yield from entry.get("ReplacementTags", [])


def _addresses(body: dict[str, Any]) -> Iterator[str]:
    for entry in body.get("BulkEmailEntries", [body]):
        yield from _to(entry)


def _to(entry: dict[str, Any]) -> Iterator[str]:
    from email.utils import parseaddr

    for addresses in entry.get("Destination", {}).values():
        yield from (parseaddr(address)[1] for address in addresses)


def _send_one(state: _State, body: dict[str, Any]) -> dict[str, Any]:
    content, tags = body["Content"], _pairs(body.get("EmailTags", []))
    if "Raw" in content:
        delivered = Delivered(tuple(_to(body)), content["Raw"]["Data"], None, None, None, (), tags)
    else:
        simple = content["Simple"]
        parts = {name.lower(): _text(part) for name, part in simple["Body"].items()}
        headers = _pairs(simple.get("Headers", []))
        delivered = Delivered(
            tuple(_to(body)), None, _text(simple["Subject"]), parts.get("text"), parts.get("html"), headers, tags
        )
    state.delivered.append(delivered)
    return {"MessageId": f"single-{len(state.delivered)}"}


def _text(part: dict[str, str]) -> str:
    """What is left of a text in its charset, which is ASCII unless said otherwise."""
    charset = part.get("Charset", "ascii")
    return part["Data"].encode(charset, errors="replace").decode(charset)


def _send_many(state: _State, body: dict[str, Any]) -> dict[str, Any]:
    template = body["DefaultContent"]["Template"]["TemplateContent"]
    return {"BulkEmailEntryResults": [_entry(state, template, entry) for entry in body["BulkEmailEntries"]]}


def _entry(state: _State, template: dict[str, str], entry: dict[str, Any]) -> dict[str, str]:
    to = tuple(_to(entry))
    status, words = state.entries.get(to[0], ("SUCCESS", ""))
    if status != "SUCCESS":
        return {"Status": status, "Error": words}
    values = json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
    parts = {name.lower(): _rendered(part, values) for name, part in template.items()}
    headers, tags = _pairs(entry.get("ReplacementHeaders", [])), _pairs(entry.get("ReplacementTags", []))
    state.delivered.append(Delivered(to, None, parts["subject"], parts.get("text"), parts.get("html"), headers, tags))
    return {"Status": "SUCCESS", "MessageId": f"bulk-{len(state.delivered)}"}


def _rendered(template: str, values: dict[str, str]) -> str:
    """Simple substitution, without escaping, once: values are not templates."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], template)


def _pairs(items: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((item["Name"], item["Value"]) for item in items)
