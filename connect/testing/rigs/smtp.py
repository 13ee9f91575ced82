"""The rig of `smtp`: a real server with STARTTLS and AUTH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import account, as_parsed
from connect.testing.smtp import DROP, HANG, At, SmtpServer


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
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
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
        self._server.answer(at, what, address=outgoing.message.address)

    def relent(self) -> None:
        self._password = self._server.password
        self._server.forget_answers()

    def arrived(self) -> list[Arrived]:
        return [as_parsed(message.recipients[0], message.content) for message in self._server.messages]


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    with SmtpServer() as server:
        yield SmtpRig(server, root)
