"""The other ends of Connect's own providers, by name: what `tests/contracts` runs `ProviderContract` against."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from email.utils import parseaddr
from pathlib import Path
from typing import TYPE_CHECKING

from connect.channels.message import Email, Outgoing
from connect.errors import Disposition, Problem, RunTrouble
from connect.providers import catalog, memory
from connect.providers.interface import Account, ProviderSettings, Receipt
from connect.redact import Secret
from connect.testing.providers import EXPECTED, Arrived, ProviderRig, Situation

if TYPE_CHECKING:
    from connect.testing.ses import SesServer
    from connect.testing.smtp import SmtpServer

_TIMEOUT = timedelta(seconds=0.5)
"""Long enough for a local server on a busy machine, short enough for the tests that wait for it."""


@contextmanager
def rig(name: str, root: Path) -> Iterator[ProviderRig]:
    """The rig of a provider of this name, with its server running. KeyError when nobody has written one."""
    with RIGS[name](root) as running:
        yield running


def _account(settings: ProviderSettings, root: Path) -> Account:
    return Account("contract", settings, root, concurrency=4, timeout=_TIMEOUT)


class MemoryRig:
    """Answers as its script says."""

    cannot: Mapping[Situation, str] = {}

    def __init__(self, name: str, root: Path) -> None:
        self.adapter = catalog.load(name)
        self._root = root
        self._situations: dict[bytes, Situation] = {}

    def account(self) -> Account:
        return _account(self.adapter.Settings(), self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        self._situations[outgoing.key] = situation
        memory.script("contract", self._answer)
        if situation is Situation.bad_credentials:
            problem = Problem("memory-refused", "the script refuses to open", "take the script away")
            memory.refuse_open("contract", RunTrouble(Disposition.pause, problem))

    def relent(self) -> None:
        self._situations.clear()
        memory.script("contract", None)
        memory.refuse_open("contract", None)

    def arrived(self) -> list[Arrived]:
        return [_as_given(outgoing) for outgoing in memory.sent("contract")]

    def _answer(self, outgoing: Outgoing, attempt: int) -> Receipt | None:
        situation = self._situations.get(outgoing.key)
        if situation is None:
            return None
        wait = timedelta(seconds=3) if situation is Situation.throttled_until else None
        return Receipt(EXPECTED[situation], situation.value, retry_after=wait)


def _as_given(outgoing: Outgoing) -> Arrived:
    message = outgoing.message
    if isinstance(message, Email):
        return Arrived(message.to[0].address, message.subject, message.text, message.html)
    return Arrived(message.to, None, message.body)


@contextmanager
def _memory(name: str, root: Path) -> Iterator[ProviderRig]:
    memory.reset()
    yield MemoryRig(name, root)
    memory.reset()


class OutboxRig:
    """Reads the files back."""

    cannot: Mapping[Situation, str] = {
        situation: "files have no account, no network and no opinion of what is written"
        for situation in Situation
        if situation is not Situation.bad_recipient
    }

    def __init__(self, root: Path) -> None:
        self.adapter = catalog.load("outbox")
        self._root = root
        self._rejects: list[str] = []

    def account(self) -> Account:
        return _account(self.adapter.Settings.model_validate({"rejects": self._rejects}), self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        assert situation is Situation.bad_recipient
        assert isinstance(outgoing.message, Email)
        self._rejects.append(outgoing.message.to[0].address)

    def relent(self) -> None:
        self._rejects.clear()

    def arrived(self) -> list[Arrived]:
        from connect.providers import outbox

        found = outbox.messages(self._root / "outbox")
        return [Arrived(parseaddr(each.to)[1] or each.to, each.subject, each.text, each.html) for each in found]


@contextmanager
def _outbox(root: Path) -> Iterator[ProviderRig]:
    yield OutboxRig(root)


class SmtpRig:
    """A real server with STARTTLS and AUTH."""

    cannot: Mapping[Situation, str] = {Situation.throttled_until: "SMTP replies name no time to wait"}

    def __init__(self, server: SmtpServer, root: Path) -> None:
        self.adapter = catalog.load("smtp")
        self._server = server
        self._root = root
        self._password = server.password

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "host": self._server.host,
                "port": self._server.port,
                "username": self._server.username,
                "password": Secret(self._password),
                "ca_file": str(self._server.ca_file),
                "local_hostname": "sender.example",
            }
        )
        return _account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        from connect.testing.smtp import DROP, HANG, At

        if situation is Situation.bad_credentials:
            self._password = "wrong"
            return
        at, what = {
            Situation.throttled: (At.rcpt, f"421 4.7.0 {words}"),
            Situation.quota: (At.end, f"454 Throttling failure: Daily message quota exceeded. {words}"),
            Situation.bad_recipient: (At.rcpt, f"550 5.1.1 {words}"),
            Situation.bad_content: (At.end, f"554 5.6.0 {words}"),
            Situation.transient: (At.end, f"451 4.3.0 {words}"),
            Situation.broken_before_write: (At.data, DROP),
            Situation.broken_after_write: (At.end, DROP),
            Situation.silent_after_write: (At.end, HANG),
        }[situation]
        assert isinstance(outgoing.message, Email)
        self._server.answer(at, what, address=outgoing.message.to[0].address)

    def relent(self) -> None:
        self._password = self._server.password
        self._server.forget_answers()

    def arrived(self) -> list[Arrived]:
        return [_read(message.recipients[0], message.content) for message in self._server.messages]


def _read(address: str, content: bytes) -> Arrived:
    """A message as the standard library reads it."""
    parsed = message_from_bytes(content, policy=policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return Arrived(
        address,
        str(parsed["Subject"]),
        text.get_content() if text else None,
        html.get_content() if html else None,
    )


@contextmanager
def _smtp(root: Path) -> Iterator[ProviderRig]:
    from connect.testing.smtp import SmtpServer

    with SmtpServer() as server:
        yield SmtpRig(server, root)


class SesRig:
    """The recorder that is driven by botocore's model of the service."""

    cannot: Mapping[Situation, str] = {Situation.throttled_until: "SES sends no Retry-After"}

    def __init__(self, server: SesServer, root: Path) -> None:
        self.adapter = catalog.load("ses")
        self._server = server
        self._root = root
        self._url = server.url
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))  # and never listens

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "region": "eu-west-1",
                "access_key_id": Secret("AKIAIOSFODNN7EXAMPLE"),
                "secret_access_key": Secret("only for tests"),
                "endpoint_url": self._url,
            }
        )
        return _account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        assert isinstance(outgoing.message, Email)
        address = outgoing.message.to[0].address
        match situation:
            case Situation.broken_before_write:
                self._url = f"http://127.0.0.1:{self._nobody.getsockname()[1]}"
            case Situation.broken_after_write:
                self._server.break_off()
            case Situation.silent_after_write:
                self._server.stay_silent()
            case Situation.bad_recipient:
                self._server.refuse("BadRequestException", f"Illegal address {words}", address=address)
            case _:
                code, said, http_status = _SES_ERRORS[situation]
                self._server.refuse(code, f"{said} {words}", http_status, address)

    def relent(self) -> None:
        self._url = self._server.url
        self._server.forget_answers()

    def arrived(self) -> list[Arrived]:
        assert self._server.misfits == []
        return [
            _read(each.to[0], each.raw) if each.raw else Arrived(each.to[0], each.subject, each.text, each.html)
            for each in self._server.delivered
        ]


_SES_ERRORS: dict[Situation, tuple[str, str, int]] = {
    Situation.throttled: ("TooManyRequestsException", "Maximum sending rate exceeded.", 429),
    Situation.quota: ("ThrottlingException", "Daily message quota exceeded.", 400),
    Situation.bad_credentials: ("UnrecognizedClientException", "The security token is invalid.", 403),
    Situation.bad_content: ("MessageRejected", "The message contains a virus.", 400),
    Situation.transient: ("ServiceUnavailable", "Try again.", 503),
}


@contextmanager
def _ses(root: Path) -> Iterator[ProviderRig]:
    from connect.testing.ses import SesServer

    with SesServer() as server, closing(SesRig(server, root)) as built:
        yield built


RIGS: dict[str, Callable[[Path], AbstractContextManager[ProviderRig]]] = {
    "memory": lambda root: _memory("memory", root),
    "memory_idempotent": lambda root: _memory("memory_idempotent", root),
    "outbox": _outbox,
    "ses": _ses,
    "smtp": _smtp,
}
