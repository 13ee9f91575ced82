"""The rig of `http`: a local endpoint that checks signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.api import DROP, HANG, Answer, ApiServer, Call
from connect.testing.fakes.http import Endpoint
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

_SECRET = Secret("whsec_b25seSBmb3IgdGVzdHMsIG9ubHkgZm9yIHRlc3Rz")


class HttpRig:
    """An endpoint says no by its status; it has no opinion of who a request is about."""

    cannot: Mapping[Situation, str] = {
        Situation.bad_recipient: "an endpoint is the account's; who a request is about is in its body",
    }

    def __init__(self, server: ApiServer, endpoint: Endpoint, root: Path) -> None:
        self.adapter = catalog.load("http")
        self._endpoint, self._root = endpoint, root
        self._server, self._url = server, server.url
        self._nobody = Nobody()

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "url": f"{self._url}/people",
                "headers": {"Authorization": Secret("Bearer let me in")},
                "signing_secret": _SECRET,
                "allow_private": True,
            }
        )
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        if situation is Situation.bad_credentials:
            self._endpoint.token = "another"
            return
        if situation is Situation.broken_before_write:
            self._url = self._nobody.url
            return
        answer = {
            Situation.throttled: Answer(429, {"error": words}),
            Situation.throttled_until: Answer(429, {"error": words}, {"retry-after": "3"}),
            Situation.quota: Answer(402, {"error": words}),
            Situation.bad_content: Answer(422, {"error": words}),
            Situation.transient: Answer(503, {"error": words}),
            Situation.broken_after_write: DROP,
            Situation.silent_after_write: HANG,
        }[situation]
        self._endpoint.answers.append(lambda call: answer if _is_of(call, outgoing) else None)

    def relent(self) -> None:
        self._endpoint.answers.clear()
        self._endpoint.token = "let me in"
        self._url = self._server.url

    def arrived(self) -> list[Arrived]:
        assert self._endpoint.misfits == []
        return [Arrived("", text=call.body.decode()) for call in self._endpoint.taken]

    def close(self) -> None:
        self._nobody.close()


def _is_of(call: Call, outgoing: Outgoing) -> bool:
    return call.headers.get("webhook-id") == f"msg_{outgoing.key.hex()}"


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    endpoint = Endpoint(_SECRET)
    with ApiServer(endpoint) as server:
        built = HttpRig(server, endpoint, root)
        try:
            yield built
        finally:
            built.close()
