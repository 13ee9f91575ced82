"""A provider's HTTP API: opened, asked and closed. What is the same for every adapter that speaks JSON or forms."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from connect.channels.message import Outgoing
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import http_replies
from connect.providers.http import Client, NotWritten, Options, Reply, Unanswered
from connect.providers.http_replies import Meaning
from connect.providers.interface import Account, Receipt, Status, hide
from connect.redact import Secret

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Api:
    """One account's way to its provider. Never raises for what a provider says or does."""

    def __init__(self, account: Account, *, http2: bool = False, ca_file: Path | None = None) -> None:
        """`ca_file`: certificates to trust besides the usual ones."""
        self._options = Options(account.timeout, account.concurrency, ca_file=ca_file, http2=http2)
        self._client: Client | None = None
        self._closed = False

    async def ask(
        self, url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", deadline: float | None = None
    ) -> Reply | Receipt:
        """The reply to one call; or the receipt of everything in it, where there is none."""
        try:
            return await self._opened().request(method, url, body, headers, deadline=deadline)
        except Unanswered as failure:
            return http_replies.unanswered(failure)

    def _opened(self) -> Client:
        """Raises NotWritten where it is closed: a send that goes on meanwhile must not open another."""
        if self._closed:
            raise NotWritten("client_closed")
        if self._client is None:
            self._client = Client(self._options)
        return self._client

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def json_of(reply: Reply) -> Any:
    """The body as JSON; None where it is not."""
    try:
        return read_json(reply.body)
    except ValueError:
        return None


_decode = json.JSONDecoder().decode
_FLAT, _ROOM = 300, 100


def read_json(data: bytes) -> Any:
    """JSON in UTF-8. Raises ValueError for anything else, and for what is nested without end.

    Halves of characters and NULs, which JSON can spell and no ledger can keep, are replaced in its texts (not in its
    names). It is read some way down the stack, so that whoever looks at it, or writes it, has room for as much.
    """
    text = data.decode()
    try:
        # Nearly always it has not so many brackets, let alone one in the other.
        flat = data.count(b"[") + data.count(b"{") <= _FLAT
        tree = _decode(text) if flat else _read_below(text, _ROOM)
        return _mended(tree) if "\\u" in text and _UNKEPT_ESCAPE.search(text) else tree
    except RecursionError:
        pass
    raise ValueError("JSON that is nested too deeply")


def _read_below(text: str, frames: int) -> Any:
    return _read_below(text, frames - 1) if frames else _decode(text)


_UNKEPT_ESCAPE = re.compile(r"\\u(?:d[89a-f]|0000)", re.IGNORECASE)
_UNKEPT = re.compile("[\x00\ud800-\udfff]")


def _mended(tree: Any) -> Any:
    if isinstance(tree, str):
        return _UNKEPT.sub("\ufffd", tree)
    if isinstance(tree, dict):
        return {name: _mended(value) for name, value in tree.items()}
    return [_mended(value) for value in tree] if isinstance(tree, list) else tree


def text_of(value: object) -> str:
    """A text or a number of a reply as text; blank for anything else."""
    return value if isinstance(value, str) else str(value) if type(value) in (int, float) else ""


def json_bytes(value: object) -> bytes:
    """Compact, in UTF-8; characters that UTF-8 does not have (lone surrogates) are replaced."""
    try:
        return orjson.dumps(value)  # a dozen times as fast
    except orjson.JSONEncodeError:  # lone surrogates, and integers of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def refused(reply: Reply, meaning: Meaning, words: str, outgoing: Outgoing) -> Receipt:
    """The receipt of a message that was answered with an error: what the reply means, with its own words hidden.

    A throttle (or quota) carries the wait that the reply asks for.
    """
    status, reason = meaning
    wait = None
    if status in (Status.throttled, Status.quota, Status.transient):
        wait = http_replies.retry_after(reply.headers, datetime.now(UTC))
    return Receipt(status, reason, retry_after=wait, detail=hide(words, outgoing) if words else "")


def everyone(receipt: Receipt, batch: Sequence[Outgoing]) -> list[Receipt]:
    """The same for every message of a call."""
    return [receipt] * len(batch)


def basic(username: str, password: Secret) -> str:
    """The value of an Authorization header."""
    credentials = f"{username}:{password.reveal()}".encode(errors="replace")
    return "Basic " + base64.b64encode(credentials).decode()


def trouble(code: str, message: str, hint: str) -> RunTrouble:
    """What a person must mend before anything is sent."""
    return RunTrouble(Disposition.pause, Problem(code, message, hint))
