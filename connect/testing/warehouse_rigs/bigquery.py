"""BigQuery's own client against bqemulator, with what `tests/services/bqemulator_server.py` adds to it.

Where the emulator is more lenient than BigQuery: it takes any type where a text is wanted, and columns whose names
hold quotes. What it lacks, so that it is not tried: quotas and billing, roles (but for who may write), partitions that
are skipped, large results whose rows come in another order, and BIGNUMERIC beyond five decimals.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import sqlglot

from connect.testing.services import shared_service
from connect.testing.warehouses import StandardRig
from connect.warehouses import catalog
from connect.warehouses.interface import Source, Warehouse

PROJECT = "contract"
_DATASETS = count(1)


@dataclass
class BigQueryRig(StandardRig):
    """A dataset of its own on the emulator that this process shares."""

    warehouse: Warehouse
    dataset: str
    folder: Path

    among = "{} in unnest(:values)"
    endless = (
        "select count(*) as n from unnest(generate_array(1, 1000000)) as a"
        " cross join unnest(generate_array(1, 1000000)) as b"
        " cross join unnest(generate_array(1, 1000000)) as c where a + b + c = 7"
    )
    writes: Sequence[str] = (
        "delete from kept where true",
        "insert into kept values (2)",
        "create table other (id int64)",
        "drop table kept",
        "truncate table kept",
        "begin delete from kept where true; end",
        "execute immediate 'delete from kept where true'",
    )
    effects: Sequence[str] = ()

    @property
    def refused_keys(self) -> Mapping[str, str]:
        return _KEYS

    @property
    def types(self) -> Mapping[str, object]:
        return _TYPES

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self._job(written(statement))

    def numbers(self, count: int) -> str:
        return f"(select n from unnest(generate_array(1, {count})) as n)"

    def cut(self) -> bool:
        _asked("control/cut", {})
        return True

    def busy(self) -> int:
        return int(_asked("control/state")["busy"])

    def reader(self) -> Warehouse:
        return _as(account("reader", False), self.dataset, self.folder)

    def settings(self, key: str) -> dict[str, str]:
        """Where it is, for a project's `sources`."""
        return _settings(key, self.dataset)

    def _job(self, sql: str) -> None:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{self.dataset}")
        _client().query(sql, config).result()


_KEYS = {
    "cast(1.5 as float64)": "int64",
    "cast(1.5 as numeric)": "int64",
    "1 = 1": "string",
    "date '2026-01-02'": "string",
    "timestamp '2026-01-02 03:04:05'": "string",
}

_TYPES: Mapping[str, object] = {
    "cast(12.50 as numeric)": Decimal("12.5"),
    "cast(5 as numeric)": 5,
    "cast('0.12345' as bignumeric)": Decimal("0.12345"),
    "sum(cast(5 as int64))": 5,
    "cast(7 as int64)": 7,
    "cast(0.1 as float64)": 0.1,
    "1 = 1": True,
    "'text'": "text",
    "date '2026-01-02'": date(2026, 1, 2),
    "datetime '2026-01-02 03:04:05.678'": datetime(2026, 1, 2, 3, 4, 5, 678000),  # noqa: DTZ001 - it has none
    "timestamp '2026-01-02 03:04:05+02:00'": datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC),
    "time '03:04:05.5'": time(3, 4, 5, 500000),
    """parse_json('{"a": [1, 2.5, null], "b": "é"}')""": {"a": [1, 2.5, None], "b": "é"},
    "['a', 'it\\'s', 'x \"y\" {,} \\\\']": ["a", "it's", 'x "y" {,} \\'],
    "[1, 2]": [1, 2],
    "[date '2026-01-02']": [date(2026, 1, 2)],
    "struct(1 as a, date '2026-01-02' as b, [1.5] as c)": {"a": 1, "b": date(2026, 1, 2), "c": [1.5]},
    "[struct('x' as name, true as new)]": [{"name": "x", "new": True}],
    "from_hex('01ff')": b"\x01\xff",
}


def written(statement: str) -> str:
    """A statement of the suite's in GoogleSQL, whose texts and types look different."""
    return sqlglot.transpile(statement.replace("`", '"'), read="postgres", write="bigquery")[0]


def _asked(path: str, body: Mapping[str, object] | None = None) -> Any:
    url = f"http://127.0.0.1:{shared_service('bqemulator').port}/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@cache
def account(name: str, writes: bool) -> str:
    """The key of a service account, as Google gives them; made and registered once."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    email = f"{name}@{PROJECT}.iam.gserviceaccount.com"
    _asked("control/accounts", {"email": email, "key": public, "writes": writes})
    told = {"type": "service_account", "project_id": PROJECT, "private_key_id": name, "private_key": private}
    # Of another cloud than Google's own the client signs its tokens itself, and asks nobody on the internet for them.
    told |= {"client_email": email, "token_uri": "http://localhost", "universe_domain": "localhost"}
    return json.dumps(told)


@cache
def _client() -> Any:
    from google.cloud import bigquery
    from google.oauth2.service_account import Credentials

    scopes = ["https://www.googleapis.com/auth/bigquery"]
    credentials = Credentials.from_service_account_info(json.loads(account("owner", True)), scopes=scopes)  # type: ignore[no-untyped-call]
    endpoint = f"http://127.0.0.1:{shared_service('bqemulator').port}"
    return bigquery.Client(project=PROJECT, credentials=credentials, client_options={"api_endpoint": endpoint})


@contextmanager
def bigquery(folder: Path) -> Iterator[BigQueryRig]:
    shared_service("bqemulator")
    dataset = f"d{next(_DATASETS)}"
    _client().create_dataset(dataset)
    yield BigQueryRig(_as(account("connect", True), dataset, folder), dataset, folder)


def _as(key: str, dataset: str, folder: Path) -> Warehouse:
    """The dataset as whoever has this key sees it."""
    adapter = catalog.load("bigquery")
    settings = adapter.Settings.model_validate(_settings(key, dataset))
    warehouse = adapter(Source("contract", settings, folder))
    warehouse.patience = timedelta(seconds=1)  # type: ignore[attr-defined]
    return warehouse


def _settings(key: str, dataset: str) -> dict[str, str]:
    endpoint = f"http://127.0.0.1:{shared_service('bqemulator').port}"
    return {"project": PROJECT, "dataset": dataset, "endpoint": endpoint, "credentials": key}
