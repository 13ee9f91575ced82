"""How a BigQuery source is written in connect.yml, and who signs in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from connect.redact import Secret
from connect.warehouses.interface import SourceSettings

_SCOPES = ("https://www.googleapis.com/auth/bigquery",)
_HERE = {"localhost", "127.0.0.1", "::1"}
_IN_URL = ("location", "credentials_path", "maximum_bytes_billed")


class BigQuerySettings(SourceSettings):
    """`project` and `dataset`, or `url: bigquery://project/dataset`."""

    url: str | None = Field(None, repr=False)
    project: str | None = None
    """The one that is billed."""
    dataset: str | None = None
    """What tables without a dataset are in: `shop`, or `other-project.shop`."""
    location: str | None = None
    credentials_file: str | None = None
    credentials: Secret | None = None
    maximum_bytes_billed: str | None = None
    """For one query, such as `20GB`."""
    endpoint: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> BigQuerySettings:
        if (self.url is None) == (self.project is None):
            raise ValueError("give either `url`, or `project` and `dataset`")
        if self.url is not None and (self.dataset or self.location):
            raise ValueError("give either `url`, or `project`, `dataset` and `location`")
        if self.credentials and self.credentials_file:
            raise ValueError("give either `credentials` or `credentials_file`")
        unknown = sorted({name for name, _ in self._asked} - set(_IN_URL))
        if unknown:
            raise ValueError(f"a `url` of BigQuery has no `{unknown[0]}`; it may have {', '.join(_IN_URL)}")
        if self.endpoint is not None:
            _check_endpoint(self.endpoint)
        if (limit := self._limit) is not None:
            byte_count(limit)
        return self

    @property
    def project_name(self) -> str:
        return self.project or urlsplit(self.url or "").netloc

    @property
    def default_dataset(self) -> str | None:
        """With its project; None where tables are always written with their dataset."""
        name = self.dataset or urlsplit(self.url or "").path.strip("/")
        return None if not name else name if "." in name else f"{self.project_name}.{name}"

    @property
    def location_name(self) -> str | None:
        return self.location or dict(self._asked).get("location")

    @property
    def limit(self) -> int | None:
        """In bytes."""
        return None if self._limit is None else byte_count(self._limit)

    @property
    def place(self) -> str:
        dataset = f", dataset {self.default_dataset.rpartition('.')[2]}" if self.default_dataset else ""
        return f"project {self.project_name}{dataset}"

    def key_file(self, root: Path) -> Path | None:
        name = self.credentials_file or dict(self._asked).get("credentials_path")
        return root / name if name else None

    def signed(self, root: Path) -> Any:
        """Google's credentials. Raises ValueError or OSError for a bad key, google's errors where there are none."""
        from google.auth.credentials import AnonymousCredentials
        from google.oauth2.service_account import Credentials

        if self.credentials:
            key = json.loads(self.credentials.reveal())
            return Credentials.from_service_account_info(key, scopes=_SCOPES)  # type: ignore[no-untyped-call]
        if file := self.key_file(root):
            return Credentials.from_service_account_file(str(file), scopes=_SCOPES)  # type: ignore[no-untyped-call]
        if self.endpoint and self.endpoint.startswith("http:"):
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return google_default()

    @property
    def _limit(self) -> str | None:
        return self.maximum_bytes_billed or dict(self._asked).get("maximum_bytes_billed")

    @property
    def _asked(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.url or "").query)


def google_default() -> Any:
    """Who is signed in on this machine: `gcloud auth application-default login`, or the machine's own account."""
    import google.auth

    return google.auth.default(scopes=_SCOPES)[0]


def _check_endpoint(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise ValueError("`endpoint` begins with https://, or with http:// for a server on this machine")


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


def byte_count(text: str) -> int:
    """`20GB` in bytes. Raises ValueError."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B|)\s*", text, re.IGNORECASE)
    if not found:
        raise ValueError("`maximum_bytes_billed` must look like 500MB or 20GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])
