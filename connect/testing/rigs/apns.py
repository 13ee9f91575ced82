"""The rig of `apns`: a server that speaks HTTP/2 over TLS and checks what Apple documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.fakes.apns import Answer, ApnsServer, Trouble
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

TEAM, KEY, TOPIC = "ACME000001", "KEY0000001", "example.acme.app"


class ApnsRig:
    """A server that speaks HTTP/2 over TLS and checks what Apple documents."""

    cannot: Mapping[Situation, str] = {
        Situation.throttled_until: "APNs does not say how long to wait",
        Situation.quota: "APNs has no quotas",
    }

    def __init__(self, server: ApnsServer, key: str, root: Path) -> None:
        self.adapter = catalog.load("apns")
        self._server = server
        self._root = root
        self._keys = key, a_key()[0]
        self._nobody = Nobody()
        self.relent()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "team_id": TEAM,
                "key_id": KEY,
                "private_key": Secret(self._key),
                "topic": TOPIC,
                "endpoint_url": self._url,
                "ca_file": str(self._server.ca_file),
            }
        )
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        """APNs never says more than a word of its own."""
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url.replace("http:", "https:")
            case Situation.bad_credentials:
                self._key = self._keys[1]
            case _:
                self._server.answer(_ANSWERS[situation], token=outgoing.message.address)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """What is said of everything from now on."""
        self._server.answer(Answer(status, "", headers, body))

    def relent(self) -> None:
        self._url, self._key = self._server.url, self._keys[0]
        self._server.forget_answers()

    def arrived(self) -> list[Arrived]:
        assert self._server.misfits == []
        return [Arrived(push.token, None, push.json["aps"]["alert"]["body"]) for push in self._server.delivered]


_ANSWERS: dict[Situation, Answer | Trouble] = {
    Situation.throttled: Answer(429, "TooManyProviderTokenUpdates"),
    Situation.bad_recipient: Answer(410, "Unregistered"),
    Situation.bad_content: Answer(400, "BadCollapseId"),
    Situation.transient: Answer(503, "ServiceUnavailable"),
    Situation.broken_after_write: Trouble.drop,
    Situation.silent_after_write: Trouble.hang,
}


def a_key() -> tuple[str, str]:
    """A P-256 key: (private, public), as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    private, public = a_key()
    with (
        ApnsServer(public, team_id=TEAM, key_id=KEY, topic=TOPIC) as server,
        closing(ApnsRig(server, private, root)) as built,
    ):
        yield built
