"""What the adapters of AWS's services share: settings, credentials, and signed calls through the one HTTP client.

Region, endpoint and credentials are found by boto3, which also makes the calls that are made rarely. Those that send
are signed here: botocore spends 2 ms on each, and repeats it on time-outs and 500s, which sends twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast
from urllib.parse import urlsplit

import boto3
import botocore.exceptions as aws
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.session import Session, get_session
from pydantic import BeforeValidator, model_validator

from connect.errors import RunTrouble
from connect.providers.api import trouble
from connect.providers.aws_credentials import NoKeys, Renewing
from connect.providers.aws_signing import Place, Signer
from connect.providers.http import Client, Options, Reply
from connect.providers.interface import Account, ProviderSettings
from connect.redact import Secret

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = ["AwsSettings", "Door", "NoKeys", "ReportingSettings", "Service", "Way", "opened"]


class AwsSettings(ProviderSettings):
    """How an account of AWS is reached; the same for each of its services."""

    region: str | None = None
    """E.g. `eu-west-1`; boto3's own (AWS_REGION, the profile) if not given."""
    access_key_id: Secret | None = None
    """With `secret_access_key`; boto3's own chain if neither is given."""
    secret_access_key: Secret | None = None
    """See `access_key_id`."""
    session_token: Secret | None = None
    """Beside temporary keys."""
    endpoint_url: str | None = None
    """Instead of AWS's: for tests and VPC endpoints."""

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("`access_key_id` and `secret_access_key` come together, or neither for boto3's own chain")
        return self


def _several(value: Any) -> Any:
    return (str(value),) if isinstance(value, str) else value


class ReportingSettings(AwsSettings):
    """Of a service that reports through SNS."""

    webhook_topic_arn: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    """The SNS topics, one or several, whose notifications are believed."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of AWS, as an adapter asks it."""

    name: str
    """As people know it."""
    client: str
    """Of its API in boto3."""
    fields: Mapping[str, str]
    """Header fields of each call, names in lower case: its content type, and what its protocol wants."""
    credentials: tuple[str, str]
    """Code and hint of the trouble, when there are none or they are wrong."""
    unreachable: tuple[str, str]
    """The same, when nobody answers."""

    def trouble(self, problem: tuple[str, str], words: str) -> RunTrouble:
        """What a person must mend: a problem's code and hint, and what was said of it."""
        code, hint = problem
        return trouble(code, f"{self.name}: {words}", hint)


@dataclass(frozen=True, slots=True)
class Way:
    """Where an operation is asked for."""

    path: str
    url: str


@dataclass(frozen=True, slots=True)
class Door:
    """An open account."""

    client: Client
    signer: Signer
    credentials: Renewing
    service: Service
    boto: BaseClient

    def way(self, path: str) -> Way:
        """To a path of the API, wherever the endpoint is."""
        url = urlsplit(self.boto.meta.endpoint_url)
        path = url.path.rstrip("/") + path
        return Way(path, f"{url.scheme}://{url.netloc}{path}")

    async def post(self, way: Way, body: bytes, deadline: float | None = None) -> Reply:
        """One signed call. Raises NoKeys where it can not be signed, Unanswered where there is no reply."""
        headers = self.signer.headers(way.path, body, await self.credentials.keys(), datetime.now(UTC))
        return await self.client.post(way.url, body, headers, deadline=deadline)

    async def ask(self, operation: str) -> Any:
        """One call of what is asked rarely, through boto3. Raises RunTrouble, or ClientError where AWS says no."""
        try:
            return await asyncio.to_thread(getattr(self.boto, operation))
        except aws.ClientError:
            raise
        except Exception as error:  # noqa: BLE001 - botocore's parsers raise anything over an answer that is not AWS's
            name = type(error).__name__
        raise self.service.trouble(self.service.unreachable, name)

    async def close(self) -> None:
        self.boto.close()
        await self.client.close()


async def opened(account: Account, settings: AwsSettings, service: Service) -> Door:
    """Everything that is needed to send. Raises RunTrouble when there is no region or no credentials."""
    _keep_quiet()
    try:
        door = await asyncio.to_thread(_door, account, settings, service)
    except (aws.BotoCoreError, ValueError, OSError) as error:
        raise service.trouble(service.credentials, str(error)) from None
    try:
        await door.credentials.keys()
    except NoKeys as error:
        await door.close()
        raise service.trouble(service.credentials, str(error)) from None
    return door


def _door(account: Account, settings: AwsSettings, service: Service) -> Door:
    source = boto3.Session(
        aws_access_key_id=_revealed(settings.access_key_id),
        aws_secret_access_key=_revealed(settings.secret_access_key),
        aws_session_token=_revealed(settings.session_token),
        region_name=settings.region,
        botocore_session=_botocore(),
    )
    credentials = source.get_credentials()
    if credentials is None:
        raise aws.NoCredentialsError
    seconds = account.timeout.total_seconds()
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=min(seconds, 10),
        read_timeout=seconds,
        user_agent_extra="connect-campaigns",
    )
    make = cast(Any, source.client)  # its type knows names of services only as literals
    boto: BaseClient = make(service.client, endpoint_url=settings.endpoint_url, config=config)
    place = Place.of(boto.meta.endpoint_url, boto.meta.region_name, boto.meta.service_model.signing_name)
    bundle = source._session.get_config_variable("ca_bundle")  # AWS_CA_BUNDLE, or the profile's
    return Door(
        Client(Options(account.timeout, account.concurrency, ca_file=Path(bundle) if bundle else None)),
        Signer(place, service.fields),
        Renewing(credentials),
        service,
        boto,
    )


def _botocore() -> Session:
    session = get_session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(data_path: str | None) -> Loader:
    """The same for all accounts: each new one would parse the places of all of AWS again, 60 ms of CPU."""
    return create_loader(data_path)


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def _keep_quiet() -> None:
    """Botocore logs whole requests, addresses included, at DEBUG: a root logger at DEBUG must not pull them out."""
    for name in ("botocore", "boto3", "urllib3"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)
