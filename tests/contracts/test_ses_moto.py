"""Raw sends against moto, which somebody else wrote: another reading of the same API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_string, policy
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from connect.channels.message import Mailbox
from connect.providers.interface import Account, Receipt, Status
from connect.providers.ses import Ses, Settings
from connect.redact import Secret
from connect.testing import an_email
from connect.testing.messages import an_attachment

KEYS = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "only for tests"}


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # moto keeps its state in this process
    yield f"http://{host}:{port}"
    server.stop()


async def send_one(url: str, outgoing: object) -> Receipt:
    settings = Settings(
        region="eu-west-1",
        access_key_id=Secret(KEYS["aws_access_key_id"]),
        secret_access_key=Secret(KEYS["aws_secret_access_key"]),
        endpoint_url=url,
    )
    provider = Ses(Account("mail", settings, Path(), concurrency=1, timeout=timedelta(seconds=10)))
    await provider.open()
    (receipt,) = await provider.send([outgoing])  # type: ignore[list-item]
    await provider.check()
    await provider.close()
    return receipt


def kept(url: str) -> list[dict[str, Any]]:
    """The raw messages that moto took."""
    data = json.load(urlopen(f"{url}/moto-api/data.json"))
    messages: list[dict[str, Any]] = data.get("ses", {}).get("RawMessage", [])
    return messages


async def test_a_raw_message_arrives_with_everybody_it_is_for(url: str) -> None:
    client = boto3.client("sesv2", "eu-west-1", endpoint_url=url, **KEYS)
    client.create_email_identity(EmailIdentity="hello@acme.example")
    client.close()
    bcc = (Mailbox("bcc@mail.example"),)
    receipt = await send_one(url, an_email(1, subject="Grüße 🎉", bcc=bcc, attachments=(an_attachment(),)))
    assert receipt.status is Status.accepted
    (message,) = kept(url)
    assert receipt.provider_id == message["id"]
    assert {parseaddr(each)[1] for each in message["destinations"]} == {"person-1@mail.example", "bcc@mail.example"}
    parsed = message_from_string(message["raw_data"], policy=policy.default)
    assert parsed["Subject"] == "Grüße 🎉"
    assert "bcc@mail.example" not in message["raw_data"]
    assert [part.get_filename() for part in parsed.iter_attachments()] == ["Größe.pdf"]


async def test_a_sender_that_nobody_verified_is_refused(url: str) -> None:
    receipt = await send_one(url, an_email(1, sender=Mailbox("stranger@elsewhere.example")))
    assert (receipt.status, receipt.reason) == (Status.config, "sender_not_verified")
    assert receipt.detail == "MessageRejected: Email address not verified ***"
    assert kept(url) == []
