"""The rig of `twilio`: a fake of its Messages resource, and status callbacks signed as Twilio signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from connect.channels.message import Outgoing
from connect.providers import catalog
from connect.providers.events import Bounce, EventType, Webhook
from connect.providers.interface import Account, ProviderSettings
from connect.providers.replays import Remembered
from connect.redact import Secret
from connect.testing.api import DROP, HANG, ApiServer
from connect.testing.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio, refusal, sid_of
from connect.testing.messages import an_sms
from connect.testing.providers import Arrived, Happened, ProviderRig, Situation
from connect.testing.rigs.accounts import Nobody, account

CALLBACK = "https://hooks.acme.example/webhooks/texts"


class TwilioRig:
    """A fake of the Messages resource."""

    cannot: Mapping[Situation, str] = {}
    reports = frozenset({EventType.delivered, EventType.bounced})
    bounces = frozenset(Bounce)
    ages = False
    one_at_a_time = True

    def __init__(self, server: ApiServer, fake: FakeTwilio, root: Path) -> None:
        self.adapter = catalog.load("twilio")
        self._fake, self._root = fake, root
        self._server_url = self._url = server.url
        self._token = TOKEN
        self._nobody = Nobody()

    def close(self) -> None:
        self._nobody.close()

    def account(self) -> Account:
        return account(self._settings(auth_token=Secret(self._token), status_callback=CALLBACK), self._root)

    def unconfigured(self) -> ProviderSettings:
        return self._settings(api_key="SK1", api_secret=Secret(TOKEN))

    def _settings(self, **fields: object) -> ProviderSettings:
        return self.adapter.Settings.model_validate({"account_sid": ACCOUNT, "endpoint_url": self._url, **fields})

    def arrange(self, situation: Situation, outgoing: Outgoing, words: str) -> None:
        match situation:
            case Situation.bad_credentials:
                self._token = "wrong"
            case Situation.broken_before_write:
                self._url = self._nobody.url
            case Situation.broken_after_write:
                self._fake.arranged[outgoing.message.address] = DROP
            case Situation.silent_after_write:
                self._fake.arranged[outgoing.message.address] = HANG
            case _:
                status, code, said = _REFUSALS[situation]
                headers = {"retry-after": "7"} if situation is Situation.throttled_until else {}
                self._fake.arranged[outgoing.message.address] = refusal(status, code, f"{said} {words}", headers)

    def relent(self) -> None:
        self._url, self._token = self._server_url, TOKEN
        self._fake.arranged.clear()

    def arrived(self) -> list[Arrived]:
        assert self._fake.misfits == []
        return [Arrived(fields["To"], None, fields["Body"]) for fields in self._fake.delivered]

    def webhook(self, happened: Sequence[Happened], at: datetime) -> Webhook:
        (each,) = happened
        to = each.outgoing.message.address
        status = "delivered" if each.type is EventType.delivered else "undelivered"
        code = {"ErrorCode": _BOUNCES[each.bounce]} if each.bounce else {}
        sid = sid_of(to, 0)
        fields = {"MessageSid": sid, "MessageStatus": status, "To": to, "AccountSid": ACCOUNT, **code}
        url = f"{CALLBACK}?connect_id={each.outgoing.correlation_id}"
        return _signed(fields, url, TOKEN, at)

    def saying(self, content: bytes, at: datetime) -> Webhook:
        pairs = sorted(set(parse_qsl(content.decode(errors="replace"), keep_blank_values=True)))
        url = f"{CALLBACK}?connect_id={an_sms().correlation_id}"
        return _posted(content, url + "".join(name + value for name, value in pairs), url, TOKEN, at)

    def forged(self, webhook: Webhook) -> Webhook:
        return replace(webhook, headers={**webhook.headers, "x-twilio-signature": _signature("guessed", "")})


def _signed(fields: Mapping[str, str], url: str, token: str, at: datetime) -> Webhook:
    """What www.twilio.com/docs/usage/webhooks/webhooks-security describes."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return _posted(urlencode(fields).encode(), text, url, token, at)


def _posted(body: bytes, text: str, url: str, token: str, at: datetime) -> Webhook:
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-twilio-signature": _signature(token, text),
    }
    return Webhook(headers, body, url, at, Remembered())


def _signature(token: str, text: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


_BOUNCES = {Bounce.hard: "30005", Bounce.soft: "30003"}

_REFUSALS: dict[Situation, tuple[int, int, str]] = {
    Situation.throttled: (429, 20429, "Too Many Requests."),
    Situation.throttled_until: (429, 20429, "Too Many Requests."),
    Situation.quota: (429, 63038, "Account exceeded the daily messages limit."),
    Situation.bad_recipient: (400, 21211, "The 'To' number is not a valid phone number."),
    Situation.bad_content: (400, 21617, "The concatenated message body exceeds the 1600 character limit."),
    Situation.transient: (503, 20503, "Service unavailable."),
}


@contextmanager
def rig(root: Path) -> Iterator[ProviderRig]:
    fake = FakeTwilio()
    with ApiServer(fake.answer) as server, closing(TwilioRig(server, fake, root)) as built:
        yield built
