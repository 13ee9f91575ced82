"""A fake Mailgun for `ApiServer`: it takes forms apart, strictly, by the documented fields of Messages.

    fake = FakeMailgun()
    with ApiServer(fake) as server:
        fake.refuse(said(429, "limit exceeded, try again after 120 seconds"), address="person-1@mail.example")
        fake.refuse(DROP)

`misfits` are what no Mailgun would take: field and rule, never a value. What it takes is in `delivered`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import getaddresses

from connect.testing.api import Answer, Call

KEY = "key-only-for-tests"
"""The key that it lets in."""
DOMAIN = "mg.acme.example"

_MOST_OPTIONS = 16 << 10  # bytes of all o:, h:, v: and t: together
_LARGEST = 25_000_000
_SWITCHES = {"o:require-tls", "o:tracking-opens", "o:tracking-clicks", "o:testmode"}
_ONCE = {"from", "subject", "text", "html", "o:sending-ip-pool"} | _SWITCHES
_KNOWN = _ONCE | {"to", "cc", "bcc", "attachment", "o:tag"}


def said(status: int, message: str, **headers: str) -> Answer:
    """An answer with Mailgun's words; underscores in the names of headers are dashes."""
    return Answer(status, {"message": message}, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Part:
    """One field of a form."""

    name: str
    value: bytes = field(repr=False)
    filename: str | None = field(default=None, repr=False)
    content_type: str | None = None

    @property
    def text(self) -> str:
        return self.value.decode()


@dataclass(frozen=True)
class Delivered:
    """One message that was taken."""

    parts: tuple[Part, ...]

    def all(self, name: str) -> list[str]:
        return [part.text for part in self.parts if part.name == name]

    def one(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def address(self) -> str:
        return getaddresses(self.all("to"))[0][1]


class FakeMailgun:
    """One account, with one domain and one key."""

    def __init__(self) -> None:
        self.delivered: list[Delivered] = []
        self.misfits: list[str] = []
        self.state = "active"
        """Of the domain."""
        self.sending_key = False
        """The key may only send."""
        self._refusals: list[tuple[str | None, Answer]] = []

    def refuse(self, answer: Answer, address: str | None = None) -> None:
        """Answer every message like this, or those to this address."""
        self._refusals.append((address, answer))

    def relent(self) -> None:
        self._refusals.clear()

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
            return Answer(401, b"Forbidden", {"content-type": "text/plain"})
        match (call.method, *call.path.strip("/").split("/")):
            case ("GET", "v4", "domains", name):
                return self._domain(name)
            case ("POST", "v3", name, "messages"):
                return self._send(call) if name == DOMAIN else said(404, f"Domain not found: {name}")
        return said(404, "not found")

    def _domain(self, name: str) -> Answer:
        if self.sending_key:
            return Answer(401, b"Forbidden", {"content-type": "text/plain"})
        if name != DOMAIN:
            return said(404, "Domain not found")
        return Answer(200, {"domain": {"name": name, "state": self.state}})

    def _send(self, call: Call) -> Answer:
        try:
            message = Delivered(tuple(parts(call)))
        except ValueError as problem:
            self.misfits.append(str(problem))
            return said(400, "the form is not readable")
        if not message.parts:
            return said(400, "from parameter is missing")
        wrong = list(misfits(message.parts)) + (["the form: too large"] if len(call.body) > _LARGEST else [])
        if wrong:
            self.misfits += wrong
            return said(400, wrong[0])
        for address, answer in self._refusals:
            if address in (None, message.address):
                return answer
        if message.one("o:testmode") != "yes":
            self.delivered.append(message)
        return Answer(200, {"id": message.one("h:Message-Id"), "message": "Queued. Thank you."})


_TYPE = re.compile(r"multipart/form-data; boundary=([A-Za-z0-9'()+_,./:=?-]{1,70})")
_DISPOSITION = re.compile(r'form-data; name="([^"\r\n]+)"(?:; filename="([^"\r\n]*)")?')


def parts(call: Call) -> Iterator[Part]:
    """The fields of a form (RFC 7578, RFC 2046 5.1). Raises ValueError where a strict reader could not tell."""
    match = _TYPE.fullmatch(call.headers.get("content-type", ""))
    if match is None:
        raise ValueError("the form: no boundary")
    line = b"--" + match[1].encode()
    first, *pieces = (b"\r\n" + call.body).split(b"\r\n" + line)
    if first or not pieces or pieces.pop() != b"--\r\n" or line in b"".join(pieces):
        raise ValueError("the form: the boundary is not where it should be")
    yield from map(_part, pieces)


def _part(piece: bytes) -> Part:
    head, blank, value = piece.partition(b"\r\n\r\n")
    if not blank or not head.startswith(b"\r\n"):
        raise ValueError("the form: a part without a head")
    lines = head[2:].decode().split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    match = _DISPOSITION.fullmatch(headers.pop("content-disposition", ""))
    kind = headers.pop("content-type", None)
    if match is None or headers:
        raise ValueError("the form: a part with a head of another kind")
    filename = match[2] if match[2] is None else match[2].replace("%22", '"')
    return Part(match[1].replace("%22", '"'), value, filename, kind)


def misfits(given: Sequence[Part]) -> Iterator[str]:
    """What is not documented, or not allowed."""
    names = [part.name for part in given]
    yield from (f"{name}: missing" for name in ("from", "to", "subject") if name not in names)
    yield from (f"{name}: more than once" for name in _ONCE if names.count(name) > 1)
    if not any(part.name in ("text", "html") and part.value for part in given):
        yield "text: need at least one of text and html"
    for part in given:
        yield from _part_misfits(part)
    if names.count("o:tag") > 10:
        yield "o:tag: more than ten"
    if sum(len(part.name) + len(part.value) for part in given if part.name[1:2] == ":") > _MOST_OPTIONS:
        yield "h: more than 16 KB of options"


def _part_misfits(part: Part) -> Iterator[str]:
    if part.name not in _KNOWN and not re.fullmatch(r"[hv]:[!-9;-~]+", part.name):
        yield f"{part.name}: unknown"
    if (part.filename is None) != (part.name != "attachment") or (part.filename is None) != (part.content_type is None):
        yield f"{part.name}: a file where none belongs, or none where one does"
    if part.name in _SWITCHES and part.value not in (b"yes", b"no"):
        yield f"{part.name}: not yes or no"
    if part.name == "o:tag" and not (part.value.isascii() and 0 < len(part.value) <= 128):
        yield "o:tag: not 128 ASCII characters"
    if part.name.startswith(("h:", "v:")) and not (part.value.isascii() and part.text.isprintable()):
        yield f"{part.name}: not one line of ASCII"
    if part.name in ("from", "to", "cc", "bcc"):
        found = getaddresses([part.text])
        if not found or not all(re.fullmatch(r"[^@\s]+@[^@\s]+", address) for _, address in found):
            yield f"{part.name}: parameter is not a valid address"
