"""A shop in DuckDB that sends by an account of Resend, and a server to which all of it comes back: all are processes
and sockets of their own, but for the fake of Resend, which is a server in this one."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb

from connect.providers.signatures import standard_signature
from connect.redact import Secret
from connect.testing.canaries import Canaries
from connect.testing.fakes.resend import KEY, FakeResend
from tests import processes

PEOPLE = ("anna", "ben", "cleo", "dora", "emil", "fay")
SECRET = "a-secret-of-this-shop-0123456789"
SIGNING = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BASE = "https://connect.shop.example"

PROJECT = """
name: shop
secret: ${{CONNECT_SECRET}}
mode: live
sources:
  shop: {{url: "duckdb:///shop.duckdb"}}
providers:
  mail: {{type: resend, api_key: "${{RESEND_KEY}}", endpoint_url: "{resend}", webhook_secret: "${{RESEND_SIGNING}}"}}
channels: {{email: mail}}
subscriptions: {{write: opt_outs}}
destination: {{}}
serve: {{base_url: "{base}"}}
"""

CAMPAIGN = """
status: live
trigger: {type: immediate}
audience:
  sql: select * from people
  limits: {max: 100}
message:
  content:
    - channel: email
      from: Acme <hello@acme.example>
      subject: "Hello {{ user.first_name }}"
      html: |
        <p>Good day, {{ user.first_name }}.
        <a href="https://shop.example/offer/{{ user.id }}">An offer</a></p>
        <p>{{ url.unsubscribe }}</p>
"""


def email(name: str) -> str:
    return f"{name}.of.canary.row@canary-{name}.example"


def identity(name: str) -> str:
    return f"canary-id-of-{name}"


@dataclass(frozen=True)
class Answered:
    status: int
    body: str
    headers: Mapping[str, str]


class World:
    """Leave it to stop the server."""

    def __init__(self, root: Path, resend: FakeResend, url: str) -> None:
        self.root, self.resend = root, resend
        self.canaries = Canaries()
        self.said: list[bytes] = []
        """All that commands and the server have printed."""
        self._environment = {
            **os.environ,
            "CONNECT_SECRET": SECRET,
            "RESEND_KEY": KEY,
            "RESEND_SIGNING": SIGNING.reveal(),
        }
        (root / "campaigns").mkdir(parents=True)
        (root / "connect.yml").write_text(PROJECT.format(resend=url, base=BASE))
        (root / "campaigns" / "hello.yml").write_text(CAMPAIGN)
        self._fill()
        self.server: Any = None
        self.url = ""

    def _fill(self) -> None:
        with duckdb.connect(str(self.root / "shop.duckdb")) as made:
            made.execute("create table people (id varchar, email varchar, first_name varchar)")
            for name in PEOPLE:
                cells = (identity(name), email(name), f"Canary{name.title()}Name")
                made.execute("insert into people values (?, ?, ?)", cells)
                for column, cell in zip(("id", "email", "first_name"), cells, strict=True):
                    self.canaries.add(column, cell)

    # Commands

    def connect(self, *arguments: str) -> Any:
        done = processes.run(processes.COMMAND, *arguments, folder=self.root, environment=self._environment)
        self.said += [done.stdout, done.stderr]
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout) if "--json" in arguments else done.stdout.decode()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the warehouse, for as long as the server does not have it open."""
        until = time.monotonic() + 60
        while True:
            try:
                with duckdb.connect(str(self.root / "shop.duckdb"), read_only=True) as connection:
                    return connection.execute(sql).fetchall()
            except duckdb.IOException:
                assert time.monotonic() < until
                time.sleep(0.05)

    # The server

    def serve(self) -> None:
        arguments = ("serve", "--listen", "127.0.0.1:0", "--log-format", "json")
        self.server = processes.start(processes.COMMAND, *arguments, folder=self.root, environment=self._environment)
        self._timer = Timer(120, self.server.kill)
        self._timer.start()
        while not self.url:
            line = self.server.stderr.readline()
            assert line, b"".join(self.said).decode()
            self.said.append(line)
            told = json.loads(line)
            self.url = told["url"] if told["action"] == "serving" else ""

    def stop(self) -> None:
        if self.server is None:
            return
        self.server.send_signal(signal.SIGTERM)
        out, err = self.server.communicate(timeout=60)
        self.said += [out, err]
        self._timer.cancel()
        self.server = None

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answered(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as answer:
            with answer:
                return Answered(answer.code, answer.read().decode(), dict(answer.headers))

    # What was sent, as the provider has it

    def letter(self, name: str) -> dict[str, Any]:
        """The last one to this person."""
        found: dict[str, Any] = [each for each in self.resend.delivered if email(name) in each["to"][0]][-1]
        return found

    def leaving(self, name: str) -> str:
        """The path of the person's unsubscribe link, out of the header."""
        link = re.findall(r"<(https://[^>]+)>", self.letter(name)["headers"]["List-Unsubscribe"])[0]
        assert link.startswith(f"{BASE}/u/")
        return str(link).removeprefix(BASE)

    def webhook(self, name: str, kind: str, number: int, **data: object) -> tuple[bytes, dict[str, str]]:
        """As Resend would send it, signed."""
        letter = self.letter(name)
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        told = {
            "created_at": at,
            "email_id": f"56761188-7520-42d8-8898-ff6fc54c{number:04}",
            "from": letter["from"],
            "to": letter["to"],
            "subject": letter["subject"],
            "tags": {each["name"]: each["value"] for each in letter["tags"]},
            **data,
        }
        body = json.dumps({"type": f"email.{kind}", "created_at": at, "data": told}).encode()
        return body, signed(f"msg_{name}_{kind}_{number}", body)

    def report(self, webhook: tuple[bytes, dict[str, str]]) -> int:
        body, headers = webhook
        return self.call("POST", "/webhooks/mail", body, **headers).status

    # What was kept

    def hits(self) -> Sequence[object]:
        """Wherever a canary is, outside of the user's own warehouse."""
        own = [self.root / "shop.duckdb", self.root / "shop.duckdb.wal"]
        found = self.canaries.search_files([self.root], own)
        return sorted(map(str, found | self.canaries.search("what was said", b"\n".join(self.said))))


def signed(name: str, body: bytes, secret: Secret = SIGNING) -> dict[str, str]:
    seconds = int(time.time())
    return {
        "svix-id": name,
        "svix-timestamp": str(seconds),
        "svix-signature": standard_signature(secret, name, seconds, body),
        "content-type": "application/json",
    }


def form(page: str) -> tuple[str, dict[str, str]]:
    """(path, fields) of the form of a page, as a browser would post it by its first button."""
    found = re.search(r"<form[^>]*>", page)
    assert found is not None
    action = re.search(r'action="([^"]*)"', found[0])
    fields = {
        name: value
        for tag in re.findall(r"<(?:input|button)[^>]*>", page)
        if (name := _attribute(tag, "name")) and ("checkbox" not in tag)
        for value in [_attribute(tag, "value")]
    }
    return (action[1] if action else ""), fields


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\s{name}="([^"]*)"', tag)
    return found[1] if found else ""
