"""The rig of `fcm`: a local server that checks every request against FCM's discovery document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer
from connect.testing.fakes.fcm import FcmFake, refusal
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account


class FcmRig:
    """A local server that checks every request against FCM's discovery document."""

    cannot: Mapping[Situation, str] = {Situation.quota: "FCM's quotas are of a minute: a throttle"}

    def __init__(self, fake: FcmFake, server: ApiServer, root: Path) -> None:
        self.adapter = catalog.load("fcm")
        self._fake, self._server, self._root = fake, server, root
        self._nobody = Nobody()
        self.relent()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        settings = {
            "service_account": Secret(self._fake.service_account(self._server.url)),
            "endpoint_url": self._url,
        }
        return account(self.adapter.Settings.model_validate(settings), self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        if situation is Situation.broken_before_write:
            self._url = self._nobody.url
        elif situation is Situation.bad_credentials:
            said = {"error": "invalid_grant", "error_description": f"Invalid JWT Signature. {words}"}
            self._fake.token_answer = Answer(400, said)
        else:
            self._fake.reply(_answer(situation, words), address=outgoing.message.address)

    def relent(self) -> None:
        self._url = self._server.url
        self._fake.forget_answers()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [
            Arrived(message.get("token") or message["fid"], None, message["notification"]["body"])
            for message in self._fake.delivered
        ]


def _answer(situation: Situation, words: str) -> Answer:
    match situation:
        case Situation.throttled:
            return refusal(429, "QUOTA_EXCEEDED", words)
        case Situation.throttled_until:
            return refusal(429, "QUOTA_EXCEEDED", words, headers={"retry-after": "17"})
        case Situation.bad_recipient:
            return refusal(404, "UNREGISTERED", words)
        case Situation.bad_content:
            return refusal(400, "INVALID_ARGUMENT", words, field="message.android.ttl")
        case Situation.transient:
            return refusal(503, "UNAVAILABLE", words)
    return {Situation.broken_after_write: DROP, Situation.silent_after_write: HANG}[situation]


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FcmFake()
    with ApiServer(fake.answer) as server, closing(FcmRig(fake, server, root)) as built:
        yield built
