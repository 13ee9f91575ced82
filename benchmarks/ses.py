"""Amazon SES: Connect's adapter, in bulk and one by one, against boto3's `send_email`; SES is the sink on another core.

The messages are the same and were rendered before; what is measured is all that it takes to send them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import cores, mime
from benchmarks.rows import Row, compared
from benchmarks.sink import Sink
from benchmarks.sizes import Size
from benchmarks.stopwatch import rates
from connect.channels.message import Email, Outgoing
from connect.providers.interface import Account, Status
from connect.providers.ses import Ses, Settings
from connect.vocabulary import Channel

_MESSAGES = 200
_TIMES = 5
"""That the adapter sends them in one go: the start of an event loop is none of its costs."""
_FLIGHT = 8
_KEYS = {"access_key_id": "bench", "secret_access_key": "only for this benchmark"}


def rows(size: Size) -> Iterator[Row]:
    emails = mime.emails(mime.rendered("english", _MESSAGES))
    with Sink("http") as sink, cores.on(cores.CLIENT), asyncio.Runner(loop_factory=_loop) as runner:
        url = f"http://127.0.0.1:{sink.port}"
        bulk, single = (runner.run(_opened(url, bulk)) for bulk in (True, False))
        client = _boto3(url)
        found = rates(
            {
                "boto3": lambda: _send_with_boto3(client, emails),
                "bulk": lambda: runner.run(_send(bulk, emails * _TIMES)),
                "single": lambda: runner.run(_send(single, emails * _TIMES)),
            },
            size,
        )
        for adapter in (bulk, single):
            runner.run(adapter.close())
    named = {f"ses_{name}": found[name] for name in ("bulk", "single")}
    yield from compared("messages/s of CPU", ("ses_boto3", found["boto3"]), named)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _opened(url: str, bulk: bool) -> Ses:
    settings = Settings.model_validate({"region": "eu-west-1", "endpoint_url": url, "bulk": bulk} | _KEYS)
    adapter = Ses(Account("ses", settings, Path(), _FLIGHT, timedelta(seconds=30)))
    await adapter.open()
    return adapter


async def _send(adapter: Ses, emails: list[Email]) -> int:
    """Everything, in the largest calls that the adapter takes, as many at a time as a run would have."""
    outgoing = [_outgoing(email, index) for index, email in enumerate(emails)]
    most = adapter.capabilities.max_batch
    waiting = [outgoing[at : at + most] for at in range(0, len(outgoing), most)]

    async def lane() -> None:
        while waiting:
            receipts = await adapter.send(waiting.pop())
            assert all(receipt.status is Status.accepted for receipt in receipts)

    await asyncio.gather(*(lane() for _ in range(_FLIGHT)))
    return len(emails)


def _outgoing(email: Email, index: int) -> Outgoing:
    return Outgoing(index.to_bytes(16), f"{index:032x}", Channel.email, email)


def _boto3(url: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sesv2",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id=_KEYS["access_key_id"],
        aws_secret_access_key=_KEYS["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def _send_with_boto3(client: Any, emails: list[Email]) -> int:
    """As AWS's own examples do it."""
    for email in emails:
        client.send_email(
            FromEmailAddress=email.sender.address,
            Destination={"ToAddresses": [email.to[0].address]},
            Content={
                "Simple": {
                    "Subject": {"Data": email.subject},
                    "Body": {"Text": {"Data": email.text}, "Html": {"Data": email.html}},
                    "Headers": [{"Name": name, "Value": value} for name, value in email.headers],
                }
            },
        )
    return len(emails)
