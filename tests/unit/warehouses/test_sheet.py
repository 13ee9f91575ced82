"""Google Sheets, on a server of our own that answers as Google does: over real sockets, and asked once."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connect.errors import ConnectError
from connect.redact import Secret
from connect.warehouses import sheet_download
from connect.warehouses.interface import AUDIENCE, Query, Source
from connect.warehouses.sheet import Sheet, SheetSettings
from connect.warehouses.sheet_download import Account, Address

T = timedelta(seconds=30)
ID = "1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
URL = f"https://docs.google.com/spreadsheets/d/{ID}/edit?usp=sharing#gid=7"
ROWS = Query(f"select * from {AUDIENCE}", {})
CELLS = [["id", " email ", "Note"], ["00012", "ann@x.example", 'a "b", c\nd'], ["2", "+61400"]]
PEOPLE = [
    {"id": "00012", "email": "ann@x.example", "Note": 'a "b", c\nd'},
    {"id": "2", "email": "+61400", "Note": None},
]
CSV = 'id, email ,Note\r\n00012,ann@x.example,"a ""b"", c\nd"\r\n2,+61400,\r\n'
Answer = tuple[int, dict[str, str], bytes]


class Google:
    """A server on this machine; `answers` says what it does, by the path that is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bearers: list[str] = []
        self.answers: dict[str, Callable[[str], Answer]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                outer.asked.append(self.path)
                outer.bearers.append(self.headers.get("authorization") or "")
                answer = outer.answers.get(urlsplit(self.path).path, lambda _: (404, {}, b"no"))
                status, headers, content = answer(body or self.path)
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def exports(self, content: bytes, kind: str = "text/csv; charset=utf-8") -> None:
        export = f"/spreadsheets/d/{ID}/export"
        self.answers[export] = lambda _: (307, {"location": f"{self.url}/export/x?gid=7"}, b"")
        self.answers["/export/x"] = lambda _: (200, {"content-type": kind}, content)


@pytest.fixture
def google():
    made = Google()
    yield made
    made.server.shutdown()
    made.server.server_close()


def sheet(google, account: Secret | None = None) -> Sheet:
    settings = SheetSettings(sheet=URL, endpoint_url=google.url, service_account=account)
    return Sheet(Source("the sheet", settings, Path()))


def wrong(call):
    with pytest.raises(ConnectError) as raised:
        call()
    error, seen = raised.value, ""
    while error is not None:
        seen += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert ID not in seen
    assert "ann@" not in seen
    return raised.value.problems[0].code


@pytest.mark.parametrize(
    ("url", "tab"),
    [
        (URL, 7),
        (f"https://docs.google.com/spreadsheets/d/{ID}", None),
        (f"https://docs.google.com/spreadsheets/u/1/d/{ID}/edit?gid=12#gid=12", 12),
    ],
)
def test_the_address_is_that_of_the_browser(url, tab):
    assert Address.read(url) == Address(ID, tab)


@pytest.mark.parametrize(
    "url", ["", "https://docs.google.com/document/d/1", f"https://evil.example/spreadsheets/d/{ID}"]
)
def test_other_addresses_are_refused(url):
    assert wrong(lambda: Address.read(url)) == "bad-url"


def test_a_shared_sheet_is_read_once_and_asked_often(google):
    google.exports(CSV.encode())
    warehouse = sheet(google)
    assert warehouse.rows(ROWS, T) == PEOPLE
    assert warehouse.rows(Query(f"select id from {AUDIENCE} where email like '+%'", {}), T) == [{"id": "2"}]
    assert [column.type for column in warehouse.columns(ROWS, T)] == ["VARCHAR"] * 3
    asked, answered = google.asked
    assert parse_qs(urlsplit(asked).query) == {"format": ["csv"], "gid": ["7"]}
    assert answered == "/export/x?gid=7"


def test_what_says_that_somebody_is_subscribed(google):
    google.exports(b"id,subscribed\n1,TRUE\n2,FALSE\n3,\n")
    assert [row["subscribed"] for row in sheet(google).rows(ROWS, T)] == [True, False, False]


@pytest.mark.parametrize(
    ("status", "headers", "content", "code"),
    [
        (302, {"location": "https://accounts.google.com/ServiceLogin"}, b"", "sheet-private"),
        (302, {"location": "http://169.254.169.254/latest"}, b"", "sheet-private"),
        (302, {"location": "file:///etc/passwd"}, b"", "sheet-private"),
        (200, {"content-type": "text/html"}, b"<html>sign in</html>", "sheet-private"),
        (401, {}, b"", "sheet-private"),
        (404, {}, b"", "sheet-missing"),
        (429, {}, b"", "sheet-unreachable"),
        (500, {}, b"ann@x.example", "sheet-unreachable"),
        (200, {"content-type": "text/csv"}, b"", "file-header"),
        (200, {"content-type": "text/csv"}, b"ann@x.example,1\n", "file-header"),
    ],
)
def test_what_else_it_may_answer(google, status, headers, content, code):
    google.answers[f"/spreadsheets/d/{ID}/export"] = lambda _: (status, headers, content)
    assert wrong(lambda: sheet(google).rows(ROWS, T)) == code
    assert len(google.asked) == 1


def test_it_is_not_sent_around_in_circles(google):
    google.answers[f"/spreadsheets/d/{ID}/export"] = lambda path: (307, {"location": path}, b"")
    assert wrong(lambda: sheet(google).rows(ROWS, T)) == "sheet-unreachable"


def test_only_hosts_of_google_are_followed():
    account = Account()
    assert account.allows("https://doc-0s-7k-sheets.googleusercontent.com/export/70cm")
    assert account.allows("https://docs.google.com/spreadsheets/d/x/export")
    for url in (
        "http://docs.google.com/x",
        "https://docs.google.com:8443/x",
        "https://docs.google.com@evil.example/",
        "https://evilgoogleusercontent.com/",
        "https://accounts.google.com/x",
        "https://x.googleusercontent.com.evil.example/",
    ):
        assert not account.allows(url), url


def test_a_sheet_that_is_too_large_and_one_that_never_ends(google, monkeypatch):
    google.exports(CSV.encode())
    monkeypatch.setattr(sheet_download, "MOST", 40)
    assert wrong(lambda: sheet(google).rows(ROWS, T)) == "sheet-too-large"
    closing = threading.Event()
    google.answers["/export/x"] = lambda _: (closing.wait(20), {}, b"")
    began = time.monotonic()
    assert wrong(lambda: sheet(google).rows(ROWS, timedelta(seconds=0.5))) == "sheet-unreachable"
    closing.set()
    assert time.monotonic() - began < 15
    google.server.shutdown()
    google.server.server_close()
    assert wrong(lambda: sheet(google).rows(ROWS, T)) == "sheet-unreachable"


# As a service account


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account(key):
    kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(kind, form, serialization.NoEncryption()).decode()
    known = {"type": "service_account", "client_email": "reader@acme.iam.example", "private_key": pem}
    return Secret(json.dumps({**known, "token_uri": "https://evil.example/token"}))


@pytest.fixture
def api(google, key):
    """The API: its token is given for an assertion that was rightly signed."""

    def token(body: str) -> Answer:
        said = parse_qs(body)
        claims = jwt.decode(
            said["assertion"][0], key.public_key(), ["RS256"], audience="https://oauth2.googleapis.com/token"
        )
        assert claims["iss"] == "reader@acme.iam.example"
        assert claims["scope"].endswith("/spreadsheets.readonly")
        return 200, {}, json.dumps({"access_token": "opens"}).encode()

    tabs = [{"properties": {"sheetId": 0, "title": "other"}}, {"properties": {"sheetId": 7, "title": "it's"}}]
    google.answers["/token"] = token
    google.answers[f"/v4/spreadsheets/{ID}"] = lambda _: (200, {}, json.dumps({"sheets": tabs}).encode())
    values = json.dumps({"range": "x", "values": CELLS}).encode()
    google.answers[f"/v4/spreadsheets/{ID}/values/%27it%27%27s%27"] = lambda _: (200, {}, values)
    return google


def test_a_private_sheet_is_read_as_a_service_account(api, account):
    warehouse = sheet(api, account)
    assert warehouse.rows(ROWS, T) == warehouse.rows(ROWS, T) == PEOPLE
    assert api.bearers == ["", "Bearer opens", "Bearer opens"]


def test_one_that_it_may_not_read_says_with_whom_to_share_it(api, account):
    api.answers[f"/v4/spreadsheets/{ID}"] = lambda _: (403, {}, b"{}")
    with pytest.raises(ConnectError) as raised:
        sheet(api, account).rows(ROWS, T)
    (problem,) = raised.value.problems
    assert (problem.code, "reader@acme.iam.example" in problem.hint) == ("sheet-private", True)


def test_a_tab_that_is_not_there(api, account):
    api.answers[f"/v4/spreadsheets/{ID}"] = lambda _: (200, {}, b'{"sheets": []}')
    assert wrong(lambda: sheet(api, account).rows(ROWS, T)) == "sheet-missing"


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"type": "authorized_user"}'])
def test_what_is_no_service_account(google, text):
    assert wrong(lambda: sheet(google, Secret(text or " ")).rows(ROWS, T)) == "sheet-account"
    assert not google.asked


def test_one_that_google_does_not_know_any_more(api, account):
    api.answers["/token"] = lambda _: (400, {}, b'{"error": "invalid_grant"}')
    assert wrong(lambda: sheet(api, account).rows(ROWS, T)) == "sheet-account"
    api.answers["/token"] = lambda _: (503, {}, b"")
    assert wrong(lambda: sheet(api, account).rows(ROWS, T)) == "sheet-unreachable"


def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(ConnectError) as raised:
        sheet_download._assertion({"client_email": "reader@acme.example"})
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("missing-extra", 'pip install "connect-campaigns[sheet]"')
