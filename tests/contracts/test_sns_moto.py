"""Push and text messages against moto, which somebody else wrote: another reading of the same API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.sns import sns_backends

from connect.channels.message import Device, Outgoing
from connect.providers.interface import Account, Receipt, Status
from connect.providers.sns import Settings, Sns
from connect.redact import Secret
from connect.testing.messages import a_push, an_sms

KEYS = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "only for tests"}


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # moto keeps its state in this process
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    client = boto3.client("sns", "eu-west-1", endpoint_url=url, **KEYS)
    yield client
    client.close()


async def send_one(url: str, outgoing: Outgoing) -> Receipt:
    settings = Settings(
        region="eu-west-1",
        access_key_id=Secret(KEYS["aws_access_key_id"]),
        secret_access_key=Secret(KEYS["aws_secret_access_key"]),
        endpoint_url=url,
    )
    provider = Sns(Account("aws", settings, Path(), concurrency=1, timeout=timedelta(seconds=10)))
    await provider.open()
    (receipt,) = await provider.send([outgoing])
    await provider.close()
    return receipt


def endpoint(client: Any, **attributes: str) -> str:
    """An endpoint, made as the documentation says."""
    platform = client.create_platform_application(Name="acme", Platform="APNS", Attributes={})
    arn = platform["PlatformApplicationArn"]
    made = client.create_platform_endpoint(PlatformApplicationArn=arn, Token="0a" * 32, Attributes=attributes)
    return str(made["EndpointArn"])


async def test_a_push_message_reaches_its_endpoint(url: str, client: Any) -> None:
    arn = endpoint(client)
    receipt = await send_one(url, a_push(1, device=Device(arn), title="Grüße 🎉"))
    assert receipt.status is Status.accepted
    ((message_id, message),) = sns_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].platform_endpoints[arn].messages.items()
    assert receipt.provider_id == message_id
    assert "Grüße 🎉" in message


async def test_an_endpoint_that_was_disabled_is_unregistered(url: str, client: Any) -> None:
    receipt = await send_one(url, a_push(1, device=Device(endpoint(client, Enabled="false"))))
    assert (receipt.status, receipt.reason) == (Status.rejected_recipient, "unregistered")


async def test_an_endpoint_that_was_deleted_is_unregistered(url: str, client: Any) -> None:
    arn = endpoint(client)
    client.delete_endpoint(EndpointArn=arn)
    receipt = await send_one(url, a_push(1, device=Device(arn)))
    assert (receipt.status, receipt.reason) == (Status.rejected_recipient, "unregistered")


async def test_a_text_message_reaches_its_number(url: str) -> None:
    receipt = await send_one(url, an_sms(1, body="Größe 42 & mehr = 50 %"))
    assert receipt.status is Status.accepted
    assert sns_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].sms_messages[receipt.provider_id] == (
        "+4915112000001",
        "Größe 42 & mehr = 50 %",
    )


async def test_a_number_that_is_none_is_refused(url: str) -> None:
    receipt = await send_one(url, an_sms(1, to="person-1"))
    assert (receipt.status, receipt.reason) == (Status.rejected_recipient, "invalid_number")
