"""Credentials from botocore's chain, renewed beside the event loop: asking a role service takes a network call."""

from __future__ import annotations

import asyncio

import botocore.exceptions as aws
from botocore.credentials import Credentials, RefreshableCredentials

from connect.providers.aws_signing import Keys
from connect.redact import Secret


class NoKeys(Exception):
    """There are no credentials to sign with. The text is the name of botocore's error, never its words."""


class Renewing:
    """The keys of a source, asked again when botocore says that they are about to run out."""

    def __init__(self, source: Credentials) -> None:
        self._source = source
        self._keys: Keys | None = None
        self._asking = asyncio.Lock()

    async def keys(self) -> Keys:
        """The keys to sign with now. Raises NoKeys."""
        if self._keys is not None and not self._stale():
            return self._keys
        if self._keys is not None and self._asking.locked() and not self._expiring():
            return self._keys  # somebody renews them, and they are good for a while
        async with self._asking:
            if self._keys is None or self._stale():
                self._keys = await self._renewed()
            return self._keys

    def _stale(self) -> bool:
        return isinstance(self._source, RefreshableCredentials) and self._source.refresh_needed()

    def _expiring(self) -> bool:
        """Within ten minutes of their end, when botocore too insists (its mandatory refresh)."""
        return isinstance(self._source, RefreshableCredentials) and self._source.refresh_needed(10 * 60)

    async def _renewed(self) -> Keys:
        try:
            return await asyncio.to_thread(self._ask)
        except Exception as error:  # noqa: BLE001 - of files, processes and services that botocore asks: any
            name = type(error).__name__
        raise NoKeys(name)

    def _ask(self) -> Keys:
        frozen = self._source.get_frozen_credentials()
        if not (frozen.access_key and frozen.secret_key):
            raise aws.NoCredentialsError
        return Keys(frozen.access_key, Secret(frozen.secret_key), Secret(frozen.token) if frozen.token else None)
