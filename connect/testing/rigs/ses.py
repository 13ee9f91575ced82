"""The rig of `ses`: the recorder that is driven by botocore's model of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account, as_parsed
from connect.testing.ses import SesServer


class SesRig:
    """The recorder that is driven by botocore's model of the service."""

    cannot: Mapping[Situation, str] = {Situation.throttled_until: "SES sends no Retry-After"}

    def __init__(self, server: SesServer, root: Path) -> None:
        self.adapter = catalog.load("ses")
        self._server = server
        self._root = root
        self._url = server.url
        self._nobody = Nobody()

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
        return account(settings, self._root)

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        address = outgoing.message.address
        match situation:
            case Situation.broken_before_write:
                self._url = self._nobody.url
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
            as_parsed(each.to[0], each.raw) if each.raw else Arrived(each.to[0], each.subject, each.text, each.html)
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
def rig(root: Path) -> Iterator[ProviderRig]:
    with SesServer() as server, closing(SesRig(server, root)) as built:
        yield built
