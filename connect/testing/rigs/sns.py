"""The rig of `sns`: a fake that is driven by botocore's model of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from connect.channels.message import Device, Outgoing
from connect.providers import catalog
from connect.providers.interface import Account
from connect.redact import Secret
from connect.testing.api import ApiServer
from connect.testing.aws import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from connect.testing.fakes.sns import DROP, HANG, Sns, error
from connect.testing.messages import MAKE, a_push
from connect.testing.providers import Arrived, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account
from connect.vocabulary import Channel, Platform


def an_endpoint(number: int = 0, service: str = "", **fields: object) -> Outgoing:
    """A push message to the endpoint of person `number`; every other one is an Android."""
    service = service or ("APNS", "GCM")[number % 2]
    platform = Platform.android if service == "GCM" else Platform.ios
    arn = f"arn:aws:sns:{REGION}:123456789012:endpoint/{service}/acme/5e3e9847-3183-3f18-a7e8-{number:012d}"
    return a_push(number, device=Device(arn, platform, "sns_arn"), **fields)


class SnsRig:
    """The fake behind a local server."""

    cannot: Mapping[Situation, str] = {
        Situation.throttled_until: "SNS sends no Retry-After",
        Situation.quota: "SNS accepts text messages beyond the spend limit, and tells only CloudWatch",
    }
    make: Mapping[Channel, Callable[[int], Outgoing]] = {**MAKE, Channel.push: an_endpoint}

    def __init__(self, fake: Sns, server: ApiServer, root: Path) -> None:
        self.adapter = catalog.load("sns")
        self._fake = fake
        self._server = server
        self._root = root
        self._url = server.url
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        settings = self.adapter.Settings.model_validate(
            {
                "region": REGION,
                "access_key_id": Secret(ACCESS_KEY_ID),
                "secret_access_key": Secret(SECRET_ACCESS_KEY),
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
                self._fake.answers[address] = DROP
            case Situation.silent_after_write:
                self._fake.answers[address] = HANG
            case _:
                code, said, http_status = _ERRORS[situation]
                self._fake.answers[address] = error(code, f"{said} {words}", http_status)

    def relent(self) -> None:
        self._url = self._server.url
        self._fake.answers.clear()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [_arrived(each) for each in self._fake.published]


def _arrived(published: dict[str, Any]) -> Arrived:
    if "PhoneNumber" in published:
        return Arrived(published["PhoneNumber"], None, published["Message"])
    (payload,) = (each for name, each in published["Message"].items() if name != "default")
    shown = payload["aps"]["alert"] if "aps" in payload else payload["fcmV1Message"]["message"]["notification"]
    return Arrived(published["TargetArn"], shown["title"], shown["body"])


_ERRORS: dict[Situation, tuple[str, str, int]] = {
    Situation.throttled: ("Throttled", "Rate exceeded.", 400),
    Situation.bad_credentials: ("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
    Situation.bad_recipient: ("EndpointDisabled", "Endpoint is disabled.", 400),
    Situation.bad_content: ("InvalidParameter", "Invalid parameter: Message Reason: not valid", 400),
    Situation.transient: ("InternalError", "Try again.", 500),
}


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = Sns()
    with ApiServer(fake.answer) as server, closing(SnsRig(fake, server, root)) as built:
        yield built
