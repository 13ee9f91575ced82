"""BigQuery beyond the contract: settings, who signs in, what its errors become, and how much goes into one request."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError
from pydantic import ValidationError

from connect.errors import OutsideError, UserError
from connect.testing.postgres import NoServer
from connect.testing.warehouse_rigs import warehouse_rig
from connect.testing.warehouses import WarehouseRig
from connect.warehouses import bigquery_errors as errors
from connect.warehouses import bigquery_settings, bigquery_writing
from connect.warehouses.bigquery import BigQuery
from connect.warehouses.bigquery_connection import billed, parameters
from connect.warehouses.bigquery_dialect import BigQueryDialect
from connect.warehouses.bigquery_settings import BigQuerySettings, byte_count
from connect.warehouses.interface import Access, Kind, Query, Source, SqlError, Table, WarehouseLost

T = timedelta(seconds=60)
NONE = Query("select 1", {})


def _warehouse(folder: Path, **settings: str) -> BigQuery:
    return BigQuery(Source("shop", BigQuerySettings(**settings), folder))  # type: ignore[arg-type]


# Settings


def test_a_url_says_what_the_fields_say() -> None:
    url = BigQuerySettings(url="bigquery://acme/shop?location=EU&maximum_bytes_billed=20GB&credentials_path=key.json")
    fields = BigQuerySettings(
        project="acme", dataset="shop", location="EU", maximum_bytes_billed="20GB", credentials_file="key.json"
    )
    for settings in (url, fields):
        assert (settings.project_name, settings.default_dataset) == ("acme", "acme.shop")
        assert (settings.location_name, settings.limit) == ("EU", 20 * 10**9)
        assert settings.key_file(Path("/x")) == Path("/x/key.json")
    assert BigQuerySettings(project="acme", dataset="other.shop").default_dataset == "other.shop"
    assert BigQuerySettings(project="acme").default_dataset is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"url": "bigquery://acme/shop", "project": "acme"},
        {"url": "bigquery://acme/shop", "dataset": "shop"},
        {"url": "bigquery://acme/shop?dry_run=true"},
        {"project": "acme", "maximum_bytes_billed": "much"},
        {"url": "bigquery://acme/shop?maximum_bytes_billed=-1"},
        {"project": "acme", "credentials": "{}", "credentials_file": "key.json"},
        {"project": "acme", "endpoint": "http://bigquery.example.com"},
        {"project": "acme", "endpoint": "ftp://localhost"},
    ],
)
def test_settings_that_do_not_fit(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        BigQuerySettings(**given)  # type: ignore[arg-type]


def test_sizes_in_words() -> None:
    assert [byte_count(text) for text in ("1024", "1 kb", "1.5GB", "2GiB")] == [1024, 1000, 1_500_000_000, 2 << 30]


def test_the_least_that_is_billed_is_ten_mebibytes() -> None:
    assert [billed(size) for size in (0, 1, 10 << 20, (10 << 20) + 1)] == [0, 10 << 20, 10 << 20, 11 << 20]


# Who signs in


def test_a_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("not a key of ann@x.example")
    for settings in ({"credentials_file": "key.json"}, {"credentials": "{}"}, {"credentials_file": "nowhere.json"}):
        with pytest.raises(UserError) as raised:
            _warehouse(tmp_path, project="acme", **settings).columns(NONE, T)
        assert raised.value.problems[0].code == "bad-credentials"
        assert "ann@x" not in repr(raised.value.__context__)


def test_nobody_is_signed_in_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Any:
        raise DefaultCredentialsError("no credentials")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(bigquery_settings, "google_default", nobody)
    with pytest.raises(OutsideError) as raised:
        _warehouse(tmp_path, project="acme").columns(NONE, T)
    (problem,) = raised.value.problems
    assert problem.code == "warehouse-unreachable"
    assert "gcloud auth application-default login" in problem.hint


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    monkeypatch.delitem(sys.modules, "connect.warehouses.bigquery_connection")
    with pytest.raises(UserError) as raised:
        _warehouse(tmp_path, project="acme", dataset="shop").columns(NONE, T)
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("missing-extra", 'pip install "connect-campaigns[bigquery]"')


def test_grants_name_the_account_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps({"client_email": "reader@acme.iam.gserviceaccount.com"}))
    warehouse = _warehouse(tmp_path, project="acme-1", dataset="shop", credentials_file="key.json")
    jobs, shop, sales = warehouse.grants(Access(reads=("people", "sales.orders")))
    assert "--role=roles/bigquery.jobUser" in jobs
    who = "'serviceAccount:reader@acme.iam.gserviceaccount.com'"
    assert shop == f"grant `roles/bigquery.dataViewer` on schema `acme-1`.`shop` to {who}"
    assert "`acme-1`.`sales`" in sales
    assert "dataEditor" in warehouse.grants(Access(adds=("connect_deliveries",)))[1]


# Errors


def _refused(reason: str, message: str, status: int = 400) -> Exception:
    told = [{"reason": reason, "message": message}]
    return exceptions.from_http_status(status, message, errors=told)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            _refused("accessDenied", "Access Denied: Table a:b.c: User does not have permission", 403),
            "warehouse-permission",
        ),
        (_refused("quotaExceeded", "Quota exceeded", 403), "warehouse-quota"),
        (_refused("billingNotEnabled", "Billing", 403), "warehouse-quota"),
        (_refused("resourcesExceeded", "Resources exceeded: sort"), "query-memory"),
        (_refused("stopped", "Job execution was cancelled: Job timed out after 1s"), "query-timeout"),
        (_refused("stopped", "Job execution was cancelled: User requested cancellation"), "query-stopped"),
        (_refused("bytesBilledLimitExceeded", "limit"), "query-cost"),
        (_refused("backendError", "Error", 503), "warehouse-lost"),
        (_refused("invalidQuery", "Bad int64 value: ann@x.example"), "query-failed"),
        (exceptions.RetryError("Timeout", cause=ConnectionError("reset")), "warehouse-lost"),  # type: ignore[no-untyped-call]
        (exceptions.Unauthorized("401"), "warehouse-unreachable"),
    ],
)
def test_what_google_says_in_our_words(error: Exception, code: str) -> None:
    found = errors.of_query(error, "shop", "", NONE, dry=False)
    assert found.problems[0].code == code
    assert "ann@x" not in str(found)


def test_a_connection_that_is_lost_may_be_tried_again() -> None:
    assert isinstance(errors.of_query(ConnectionError(), "shop", "", NONE, dry=False), WarehouseLost)


def test_a_mistake_is_told_with_its_place_and_without_values() -> None:
    query = Query("select *\nfrom people where emial = @email", {"email": "ann@x.example"})
    said = "Unrecognized name: emial; Did you mean email? ann@x.example at [2:19]"
    found = errors.of_query(_refused("invalidQuery", said), "shop", "", query, dry=True)
    assert isinstance(found, SqlError)
    assert found.offset is not None
    assert query.sql[found.offset :].startswith("emial")
    assert found.problems[0].hint == "did you mean `email`?"
    assert "ann@x" not in str(found)


def test_nothing_is_left_in_what_led_to_an_error() -> None:
    cause = ValueError("ann@x.example")
    error = _refused("invalidQuery", "Bad int64 value: ann@x.example")
    error.__cause__ = cause
    errors.emptied(error)
    assert "ann@x" not in repr(error) + str(error) + repr(cause) + repr(vars(error))


# Values


def test_values_have_types() -> None:
    given = {
        "a": Decimal("1.5"),
        "b": Decimal("0.0123456789"),
        "c": datetime(2026, 1, 2, tzinfo=UTC),
        "d": datetime(2026, 1, 2),
        "e": date(2026, 1, 2),
        "f": None,
        "g": True,
    }
    kinds = ["NUMERIC", "BIGNUMERIC", "TIMESTAMP", "DATETIME", "DATE", "STRING", "BOOL"]
    assert [parameter.type_ for parameter in parameters(given)] == kinds
    lists = {"a": [], "b": [None, 1], "c": (date(2026, 1, 2),)}
    assert [parameter.array_type for parameter in parameters(lists)] == ["STRING", "INT64", "DATE"]


TABLE = Table("acme-1.shop.letters", {"run": Kind.text, "key": Kind.text, "at": Kind.instant}, ("run", "key"))


def test_many_rows_are_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_writing, "_MOST_BYTES", 100)
    rows = pyarrow.table({"run": ["r"] * 10, "key": [f"{'é' * 10}{n}" for n in range(10)]})
    found = list(bigquery_writing.merges(BigQueryDialect(), TABLE, rows))
    assert len(found) > 1
    packed = [json.loads(str(query.parameters["connect_rows"])) for query in found]
    assert [row for part in packed for row in part] == [["r", f"{'é' * 10}{n}"] for n in range(10)]
    assert "merge into `acme-1`.`shop`.`letters`" in found[0].sql
    assert found[0].parameters["connect_first"] == ["r"]


def test_a_table_is_kept_by_day_and_by_key() -> None:
    (made,) = BigQueryDialect().create_table(TABLE)
    assert made.endswith("partition by timestamp_trunc(`at`, day)\ncluster by `run`, `key`")
    assert "`run` string not null" in made


# With the emulator


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[WarehouseRig]:
    try:
        with warehouse_rig("bigquery", tmp_path) as rig:
            yield rig
    except NoServer as why:
        pytest.skip(str(why))


def test_several_requests_are_added_all_or_none(rig: WarehouseRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_writing, "_MOST_BYTES", 200)
    table = Table("letters", {"run": Kind.text, "n": Kind.integer}, ("run",))
    rig.warehouse.write([Query(sql, {}) for sql in rig.warehouse.dialect.create_table(table)], T)
    counted = Query("select count(*) as n from letters", {})
    rows = pyarrow.table({"run": [f"run {n}" for n in range(50)], "n": list(range(50))})
    for _ in range(2):
        rig.warehouse.add(table, rows, T)
    assert rig.warehouse.rows(counted, T) == [{"n": 50}]


def test_doctor_says_where_it_is_and_as_whom(rig: WarehouseRig) -> None:
    rig.execute("create table people (id integer)")
    said = rig.warehouse.check()
    assert "as connect@contract.iam.gserviceaccount.com" in said
    assert "1 table" in said
