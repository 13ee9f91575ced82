"""How the cells of a Google Sheet are had: by its CSV export, or through the Sheets API as a service account.

https://developers.google.com/workspace/sheets/api/reference/rest and, of the export, what every browser does with
"Download → CSV": docs.google.com answers with a redirect to a host of googleusercontent.com, or to the sign-in where
the sheet is not shared. Both give what a cell shows (1,234.00; 27/11/2026), so that both ways have one audience.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from connect.errors import ConnectError, OutsideError, UserError
from connect.redact import Secret

MOST = 64 << 20
"""Bytes of a sheet. Google's own limit is ten million cells."""
_LONGEST = timedelta(minutes=2)
_REDIRECTS = 5
_CHUNK = 1 << 16
_HEADERS = ("Content-Type", "Location")

_DOCS, _SHEETS = "https://docs.google.com", "https://sheets.googleapis.com"
_TOKENS = "https://oauth2.googleapis.com"
_EXPORTS = ".googleusercontent.com"
_SCOPE = "https://www.googleapis.com/auth/spreadsheets.readonly"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR = 3600

_WRITTEN = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]{10,})(?:[/?#].*)?")
_TAB = re.compile(r"[#&?]gid=(\d+)")

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Address:
    """One tab of a sheet."""

    id: str
    tab: int | None = None
    """The first one where it is None."""

    @classmethod
    def read(cls, url: str) -> Address:
        """Raises UserError where it is not the address of a sheet."""
        found, tab = _WRITTEN.fullmatch(url.strip()), _TAB.search(url)
        if found is None or found[1] == "e":
            hint = "copy it from the browser: https://docs.google.com/spreadsheets/d/…/edit#gid=0"
            raise UserError.of("bad-url", "this is not the address of a Google Sheet", hint)
        return cls(found[1], int(tab[1]) if tab else None)


@dataclass(frozen=True)
class Account:
    """Who reads it: nobody in particular, or a service account."""

    service_account: Secret | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    """Instead of all of Google's hosts, for tests and proxies."""

    def host(self, usual: str) -> str:
        return (self.endpoint_url or usual).rstrip("/")

    def allows(self, url: str) -> bool:
        """Whether an answer may send us there."""
        if self.endpoint_url:
            return _origin(url) == _origin(self.endpoint_url)
        name = urlsplit(url).hostname or ""
        return _origin(url) == _origin(_DOCS) or (url.startswith("https://") and name.endswith(_EXPORTS))


def _origin(url: str) -> tuple[str, str]:
    return urlsplit(url).scheme, urlsplit(url).netloc


def download(address: Address, account: Account, timeout: timedelta) -> Rows:
    """The cells of a tab, as texts, row by row. Raises UserError where it may not be read, or is too large."""
    until = time.monotonic() + min(timeout, _LONGEST).total_seconds()
    with _Calls(account, until) as calls:
        return _by_api(address, calls) if account.service_account else _by_export(address, calls)


# Two ways


def _by_export(address: Address, calls: _Calls) -> Rows:
    asked = {"format": "csv", **({"gid": str(address.tab)} if address.tab is not None else {})}
    url = f"{calls.account.host(_DOCS)}/spreadsheets/d/{address.id}/export?{urlencode(asked)}"
    for _ in range(_REDIRECTS):
        answer = calls.get(url)
        if answer.status not in (301, 302, 303, 307, 308):
            break
        url = urljoin(url, answer.location)
        if not calls.account.allows(url):
            raise _private()
    else:
        raise _unreachable("sends us around in circles")
    _must_be_had(answer, _private)
    if not answer.kind.startswith("text/csv"):
        raise _private()
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))


def _by_api(address: Address, calls: _Calls) -> Rows:
    known = _service_account(calls.account)
    calls.bearer = _token(known, calls)
    base = f"{calls.account.host(_SHEETS)}/v4/spreadsheets/{address.id}"
    found = _told(calls.get(f"{base}?fields=sheets.properties(sheetId,title)"), known["client_email"])
    tabs = [sheet["properties"] for sheet in found.get("sheets", ())]
    tab = next((tab for tab in tabs if address.tab in (None, tab["sheetId"])), None)
    if tab is None:
        raise UserError.of("sheet-missing", "the sheet has no such tab", "copy its address again, with `#gid=`")
    where = quote("'" + str(tab["title"]).replace("'", "''") + "'", safe="")
    values = _told(calls.get(f"{base}/values/{where}?majorDimension=ROWS"), known["client_email"])
    return [[str(cell) for cell in row] for row in values.get("values", ())]


def _told(answer: _Answer, who: str) -> Mapping[str, Any]:
    _must_be_had(answer, lambda: _private(who))
    return _json(answer)


def _json(answer: _Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unreachable("does not answer as it is documented")
    return found


def _service_account(account: Account) -> Mapping[str, str]:
    assert account.service_account is not None
    try:
        found = json.loads(account.service_account.reveal())
        if found["type"] == "service_account" and found["client_email"] and found["private_key"]:
            return dict(found)
    except (ValueError, TypeError, KeyError):
        pass
    hint = "give the text of the file, as a reference: ${file:google.json}"
    raise UserError.of("sheet-account", "`sheets.service_account` is not a service account's JSON", hint) from None


def _token(known: Mapping[str, str], calls: _Calls) -> str:
    """An access token: signed by google-auth, asked for once."""
    answer = calls.post(f"{calls.account.host(_TOKENS)}/token", {"grant_type": _GRANT, "assertion": _assertion(known)})
    if answer.status >= 500:
        raise _unreachable(f"answers {answer.status}")
    token = _json(answer).get("access_token") if answer.status == 200 else None
    if not token:
        hint = "was its key taken back? make another in the Google Cloud console"
        raise UserError.of("sheet-account", "Google does not accept the service account", hint)
    return str(token)


def _assertion(known: Mapping[str, str]) -> str:
    try:
        from google.auth import crypt, jwt
    except ImportError:
        remedy = 'pip install "connect-campaigns[sheet]"'
        raise UserError.of("missing-extra", "`sheets.service_account` needs `google-auth`", remedy) from None
    now = int(time.time())
    audience = f"{_TOKENS}/token"
    claims = {"iss": known["client_email"], "scope": _SCOPE, "aud": audience, "iat": now, "exp": now + _HOUR}
    signing: Any = crypt.RSASigner
    encoding: Any = jwt.encode
    try:
        return str(encoding(signing.from_service_account_info(known), claims).decode())
    except Exception:  # noqa: BLE001 - of cryptography and google-auth; none may show the key
        pass
    raise UserError.of("sheet-account", "the key of the service account can not be read", "take the file as it is")


# The wire


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    kind: str
    location: str
    body: bytes


class _Calls:
    """Requests of one download, all within its time."""

    def __init__(self, account: Account, until: float) -> None:
        self.account = account
        self.bearer = ""
        self._until = until

    def __enter__(self) -> _Calls:
        from pyreqwest.client import SyncClientBuilder

        # No redirects but those that we follow ourselves, and no proxy that the environment names.
        building = SyncClientBuilder().follow_redirects(False).no_proxy().user_agent("connect")
        self._client = building.https_only(not self.account.endpoint_url).build()
        self._client.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._client.__exit__(*error)

    def get(self, url: str) -> _Answer:
        return self._answered(self._client.get(url))

    def post(self, url: str, form: Mapping[str, str]) -> _Answer:
        return self._answered(self._client.post(url).form(list(form.items())))

    def _answered(self, request: Any) -> _Answer:
        left = self._until - time.monotonic()
        if left <= 0:
            raise _unreachable("takes too long")
        request = request.timeout(timedelta(seconds=left))
        if self.bearer:
            request = request.header("authorization", f"Bearer {self.bearer}", is_sensitive=True)
        with _said(), request.build_streamed() as response:
            kind, location = (response.get_header(name) or "" for name in _HEADERS)
            return _Answer(int(response.status), kind, location, b"".join(self._chunks(response)))

    def _chunks(self, response: Any) -> Iterator[bytes]:
        size = 0
        while (chunk := response.body_reader.read(_CHUNK)) is not None:
            size += len(chunk)
            if size > MOST:
                raise UserError.of(
                    "sheet-too-large",
                    f"the sheet is larger than {MOST >> 20} MiB",
                    "export it as a CSV file of the project, or load it into the warehouse",
                )
            yield bytes(chunk)


@contextmanager
def _said() -> Iterator[None]:
    """What the client raises, in our words: its own may hold the sheet's address, which may be all that protects it."""
    trouble: ConnectError | None = None
    try:
        yield
    except ConnectError:
        raise
    except Exception as error:  # noqa: BLE001 - of pyreqwest: whatever it is, there is no answer
        trouble = _unreachable("can not be reached, or takes too long")
        error.args = (type(error).__name__,)
    if trouble is not None:
        raise trouble


def _must_be_had(answer: _Answer, private: Any) -> None:
    if answer.status in (401, 403):
        raise private()
    if answer.status in (400, 404, 410):
        raise UserError.of("sheet-missing", "there is no such sheet, or no such tab", "copy its address again")
    if answer.status != 200:
        raise _unreachable(f"answers {answer.status}")


def _unreachable(said: str) -> OutsideError:
    return OutsideError.of("sheet-unreachable", f"Google Sheets {said}", "run it again")


def _private(who: str = "") -> UserError:
    hint = f"share it with {who}, as a viewer" if who else _SHARING
    return UserError.of("sheet-private", "the sheet is not shared with whom we read it as", hint)


_SHARING = "name a service account under `sheets` in connect.yml and share it with that; or share it with everybody"


def header_and_rows(cells: Rows) -> tuple[Sequence[str], Rows]:
    """The names in the first row, and the rows below as long as it: what is missing at their ends is empty."""
    header = [cell.strip() for cell in cells[0]] if cells else []
    while header and not header[-1] and not any(len(row) >= len(header) and row[len(header) - 1] for row in cells[1:]):
        header.pop()
    width = len(header)
    return header, [(row + [""] * width)[:width] for row in cells[1:]]
