"""What is Snowflake's own, beside the contract: signing in, names, types, errors, and what the driver must not do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import ValidationError

from connect.errors import OutsideError, UserError
from connect.testing.postgres import NoServer
from connect.testing.services import Service, shared_service
from connect.testing.warehouse_rigs.snowflake import PASSWORD, SnowflakeRig, control, line, snowflake
from connect.warehouses import snowflake_errors, snowflake_types
from connect.warehouses.interface import Access, Query, Source, SqlError, python_values
from connect.warehouses.snowflake import Snowflake, SnowflakeSettings
from connect.warehouses.snowflake_guard import only_reads

T = timedelta(seconds=60)
ONE = Query("select 1 as id", {})


@pytest.fixture(scope="module")
def service() -> Service:
    try:
        return shared_service("fakesnow")
    except NoServer as why:
        pytest.skip(str(why))


@pytest.fixture
def rig(service: Service, tmp_path: Path) -> Iterator[SnowflakeRig]:
    with snowflake(tmp_path) as rig:
        assert isinstance(rig, SnowflakeRig)
        yield rig


def _source(root: Path, **given: Any) -> Snowflake:
    return Snowflake(Source("shop", SnowflakeSettings.model_validate(given), root))


def _problem(call: Any) -> Any:
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    return raised.value.problems[0]


# Signing in


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _pem(key: rsa.RSAPrivateKey, passphrase: str = "") -> str:
    sealed = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


def _public(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_key_from_a_file_from_the_environment_and_an_encrypted_one(
    service: Service, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    control(service, "users", name="ann", key=_public(key))
    (tmp_path / "ann.p8").write_text(_pem(key, "open sesame"))
    who = {"account": "acme", "user": "ann", "database": "keys", "schema": "public", **line(service)}
    for given in (
        {"private_key": _pem(key)},
        {"private_key": _pem(key).replace("\n", "\\n")},
        {"private_key": _pem(key, "open sesame"), "private_key_passphrase": "open sesame"},
        {"private_key_file": "ann.p8", "private_key_passphrase": "open sesame"},
    ):
        assert _source(tmp_path, **who, **given).rows(ONE, T) == [{"id": 1}]


def test_a_key_that_is_not_the_users_is_refused(service: Service, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    control(service, "users", name="ann", key=_public(rsa.generate_private_key(65537, 2048)))
    problem = _problem(
        lambda: _source(tmp_path, account="acme", user="ann", private_key=_pem(key), **line(service)).rows(ONE, T)
    )
    assert problem.code == "warehouse-unreachable"
    assert "refuses the key" in problem.message


def test_a_wrong_password_is_not_repeated(service: Service, tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as raised:
        _source(tmp_path, account="acme", user="nobody", password="hunter2", **line(service)).rows(ONE, T)
    assert raised.value.problems[0].code == "warehouse-unreachable"
    error: BaseException | None = raised.value
    while error is not None:
        assert "hunter2" not in repr(error) + str(vars(error))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"private_key": "nonsense"}, "PEM text"),
        ({"private_key_file": "nowhere.p8"}, "private_key_file"),
        ({"sealed": True}, "it is encrypted: give `private_key_passphrase`"),
        ({"sealed": True, "private_key_passphrase": "wrong"}, "check `private_key_passphrase`"),
    ],
)
def test_a_key_that_can_not_be_read(given: dict[str, Any], hint: str, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    if given.get("sealed"):
        given = {**given, "private_key": _pem(key, "open sesame")}
    given = {name: value for name, value in given.items() if name != "sealed"}
    problem = _problem(lambda: _source(tmp_path, account="acme", user="ann", **given).rows(ONE, T))
    assert (problem.code, hint in problem.hint) == ("bad-private-key", True)


def test_a_url(rig: SnowflakeRig, tmp_path: Path) -> None:
    adapter = _source(tmp_path, url=rig.url, **line(rig.service))
    assert adapter.rows(Query("select current_database() as here", {}), T) == [{"here": rig.database}]
    assert "warehouse compute" in adapter.check().lower()
    granted = adapter.grants(Access(reads=("people",)))
    assert "grant usage on warehouse compute to role reader" in granted
    assert f"grant select on {rig.database}.public.people to role reader" in granted
    assert PASSWORD not in str(granted)


def test_settings_that_do_not_go_together() -> None:
    for given in (
        {},
        {"account": "acme", "user": "ann"},
        {"url": "snowflake://a:b@acme", "role": "reader"},
        {"account": "acme", "user": "ann", "private_key": "x", "private_key_file": "y"},
    ):
        with pytest.raises(ValidationError):
            SnowflakeSettings.model_validate(given)


def test_nobody_there(tmp_path: Path) -> None:
    adapter = _source(tmp_path, account="acme", user="a", password="b", host="127.0.0.1", port=1, protocol="http")
    assert _problem(lambda: adapter.rows(ONE, T)).code == "warehouse-unreachable"


# Names and types


def test_a_column_that_was_quoted_in_small_letters_is_told_with_the_alias(rig: SnowflakeRig) -> None:
    problem = _problem(lambda: rig.warehouse.columns(Query('select 1 as "email"', {}), T))
    assert problem.code == "column-case"
    assert '`"email" as email`' in problem.hint
    columns = rig.warehouse.columns(Query('select 1 as Email, 2 as "firstName", 3 as "1st"', {}), T)
    assert [column.name for column in columns] == ["email", "firstName", "1st"]


_WHOLE = [SimpleNamespace(name="ID", type_code=0, precision=38, scale=0)]


def test_whole_numbers_have_one_type_from_one_file_to_the_next() -> None:
    small, larger = (pyarrow.table({"a": pyarrow.array([1], kind)}) for kind in (pyarrow.int8(), pyarrow.int32()))
    arrangement = snowflake_types.Arrangement()
    assert arrangement.of(small, _WHOLE).schema == arrangement.of(larger, _WHOLE).schema
    wide = pyarrow.table({"a": pyarrow.array([2**70], pyarrow.decimal128(38, 0))})
    arrangement = snowflake_types.Arrangement()
    made = [arrangement.of(table, _WHOLE) for table in (wide, small)]
    assert made[0].schema == made[1].schema
    assert [python_values(table.column(0).combine_chunks()) for table in made] == [[2**70], [1]]


def test_a_number_that_does_not_fit_any_more_is_told_with_the_cast() -> None:
    wide = pyarrow.table({"a": pyarrow.array([2**70], pyarrow.decimal128(38, 0))})
    arrangement = snowflake_types.Arrangement()
    arrangement.of(pyarrow.table({"a": [1]}), _WHOLE)
    problem = _problem(lambda: arrangement.of(wide, _WHOLE))
    assert problem.code == "query-failed"
    assert "cast(ID as varchar)" in problem.hint


def test_nulls_of_sql_inside_an_array_are_none() -> None:
    texts = ["[\n  1,\n  undefined\n]", '["undefined", "a \\" undefined", undefined]', None, '{"a": null}']
    described = [SimpleNamespace(type_code=10, precision=None, scale=None)]
    given = pyarrow.table({"a": pyarrow.array(texts, pyarrow.string())})
    table = snowflake_types.Arrangement().of(given, described)
    found = python_values(table.column(0).combine_chunks())
    assert found == [[1, None], ["undefined", 'a " undefined', None], None, {"a": None}]


# Errors


class _Said(Exception):
    """As the driver raises them."""

    def __init__(self, errno: int, sqlstate: str, raw_msg: str) -> None:
        self.errno, self.sqlstate, self.raw_msg = errno, sqlstate, raw_msg


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (
            _Said(904, "42000", "SQL compilation error: error line 1 at position 7\ninvalid identifier 'FOO'"),
            "sql-error",
        ),
        (_Said(2003, "02000", "SQL compilation error:\nObject 'X' does not exist or not authorized."), "sql-error"),
        (_Said(3001, "42501", "SQL access control error:\nInsufficient privileges to operate"), "warehouse-permission"),
        (_Said(606, "57P03", "No active warehouse selected in the current session."), "no-compute"),
        (_Said(630, "57014", "Statement reached its statement or warehouse timeout"), "query-timeout"),
        (_Said(604, "57014", "SQL execution canceled"), "query-stopped"),
        (_Said(625, "57014", "Statement has locked table"), "warehouse-locked"),
        (_Said(100038, "22018", "Numeric value 'ann@x.example' is not recognized"), "query-failed"),
        (_Said(390112, "08001", "Your session has expired. Please login again."), "warehouse-lost"),
        (_Said(250001, "08001", "Could not connect"), "warehouse-lost"),
    ],
)
def test_what_the_server_says(said: _Said, code: str) -> None:
    error = snowflake_errors.of_query(said, "shop", "", time.monotonic() + 60, writes=False)
    (problem,) = error.problems
    assert problem.code == code
    assert "ann@x" not in str(error)


def test_what_may_not_be_written() -> None:
    said = _Said(3001, "42501", "SQL access control error:\nInsufficient privileges to operate on table 'T'")
    error = snowflake_errors.of_query(said, "shop", "", time.monotonic() + 60, writes=True)
    assert isinstance(error, UserError)
    assert error.problems[0].code == "warehouse-privilege"


def test_a_mistake_is_found_at_its_place() -> None:
    said = _Said(904, "42000", "SQL compilation error: error line 2 at position 7\ninvalid identifier 'FOO'")
    assert snowflake_errors.place_in("select 1,\n  a as foo", said) == 10 + 7
    assert snowflake_errors.place_in("select 1", said) is None


# What must not happen


@pytest.mark.parametrize(
    "sql",
    [
        "delete from t",
        "select 1; select 2",
        "call p()",
        "create table x (a int)",
        "with x as (delete from t) select 1",
        "(",
    ],
)
def test_what_is_not_one_select_is_never_sent(sql: str) -> None:
    with pytest.raises(SqlError):
        only_reads(sql, "shop")


def test_one_select_is_sent_as_it_is() -> None:
    for sql in ("with x as (select 1 as a) select * from x -- ;", "(select 1) union all (select 2);"):
        only_reads(sql, "shop")


def test_the_driver_tells_and_logs_nothing(rig: SnowflakeRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig.warehouse.rows(Query("select %(who)s as who", {"who": "ann@x.example"}), T)
    assert not [record for record in caplog.records if record.name.startswith("snowflake")]
    assert control(rig.service, "told")["told"] == {}


def test_the_session_says_what_it_is_for(rig: SnowflakeRig) -> None:
    rig.warehouse.rows(ONE, T)
    asked = control(rig.service, "told")["parameters"]
    assert asked["QUERY_TAG"] == "connect:contract"
    assert asked["MULTI_STATEMENT_COUNT"] in (1, "1")
    assert int(asked["STATEMENT_TIMEOUT_IN_SECONDS"]) in (60, 61)


def test_no_session_is_left_behind(rig: SnowflakeRig) -> None:
    before = control(rig.service, "told")["sessions"]
    with pytest.raises(SqlError):
        rig.warehouse.rows(Query("select nothing from nowhere", {}), T)
    thread = threading.Thread(target=lambda: _problem(lambda: rig.warehouse.rows(Query(rig.endless, {}), T)))
    thread.start()
    while thread.is_alive():
        rig.warehouse.close()
        thread.join(0.05)
    told = control(rig.service, "told")
    assert (told["sessions"], told["busy"]) == (before, 0)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect.warehouses.snowflake.find_spec", lambda name: None)
    settings = SnowflakeSettings(url="snowflake://u:p@acme-x/shop")
    with pytest.raises(UserError) as raised:
        Snowflake(Source("shop", settings, tmp_path)).check()
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("missing-extra", 'pip install "connect-campaigns[snowflake]"')
