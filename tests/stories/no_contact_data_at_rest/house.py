"""A project, its people, and everything that its commands said and wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connect.testing.canaries import Canaries
from connect.testing.smtp import SmtpServer
from tests import processes

SCRIPTED = str(Path(__file__).with_name("scripted.py"))

PROJECT = """\
name: canaries
secret: ${{CONNECT_SECRET}}
mode: live
timezone: Australia/Sydney
test_recipient: {{email: staff@acme.example}}
sources:
  shop: {{url: "duckdb:///shop.duckdb"}}
providers:
  memory: {{type: memory, concurrency: 2}}
  mail:
    type: smtp
    host: localhost
    port: {port}
    username: {username}
    password: ${{SMTP_PASSWORD}}
    ca_file: {ca_file}
    local_hostname: sender.example
    timeout: 5s
channels: {{email: memory, sms: memory, push: memory}}
unsubscribe: {{url: "https://acme.example/off?t={{{{ url.token }}}}&e={{{{ user.email | encode }}}}"}}
subscriptions: {{sql: "select id, address, status from opt_outs"}}
"""

LETTER = """\
status: live
trigger: {{type: immediate}}
audience:
  sql: {sql}
  limits: {{max: 1000}}
message:
  nulls: refuse
  content:
    - channel: email
      provider: {provider}
      from: Acme <hello@acme.example>
      to: "{{{{ user.email }}}}"
      subject: "{{{{ user.first_name }}}}, {{{{ user.balance }}}}"
      html: |
        <p>{{{{ user.first_name }}}} {{{{ user.last_name }}}}</p><p>{{{{ url.unsubscribe }}}}</p>
      text: |
        {{% if user.role == 'skipped' %}}{{% skip "not for them" %}}{{% endif %}}
        {{{{ user.first_name }}}} {{{{ user.last_name }}}} {{{{ user.account }}}} {{{{ user.born }}}}
        {{% for tag in user.tags %}}{{{{ tag }}}}{{% endfor %}} {{{{ user.profile.city }}}} {{{{ user.note }}}}
        {{{{ user.account | divided_by: user.divisor }}}} {{{{ url.unsubscribe_link }}}}
{more}
policy: {{reach: {reach}, in_doubt: {in_doubt}}}
"""
SMS = """\
    - channel: sms
      to: "{{ user.phone_number }}"
      body: "{{ user.first_name }} {{ url.unsubscribe_link }}"
"""

PUSH = """\
    - channel: push
      title: "{{ user.first_name }} {{ user.account }}"
      body: "{{ user.note }}"
      data: {city: "{{ user.profile.city }}"}
      url: "https://acme.example/{{ user.last_name | encode }}"
"""

SQL = "select * from people"
ROLES = (
    *("sent", "sent", "sent", "elsewhere", "texted", "retried", "throttled", "failed", "unwanted", "unknown", "taken"),
    *("skipped", "bounced", "complained", "unsubscribed", "duplicate", "duplicate", "nowhere"),
    *("divided", "empty", "newline", "invalid", "several", "keyless", "misdialled", "enormous"),
)


class House:
    """A project, its people, and everything that its commands said and wrote."""

    def __init__(self, root: Path, project: str, secrets: Mapping[str, str]) -> None:
        self.project, self.temporary, self.home = root / "project", root / "tmp", root / "home"
        for folder in (self.project / "campaigns", self.project / "messages", self.temporary, self.home):
            folder.mkdir(parents=True)
        self.canaries = Canaries()
        self.said: list[tuple[str, bytes]] = []
        known = {"CONNECT_SECRET": "a secret for the canaries", **secrets}
        (self.project / ".env").write_text("".join(f"{name}={value}\n" for name, value in known.items()))
        (self.project / "connect.yml").write_text(project)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CONNECT", "XDG"))},
            "TMPDIR": str(self.temporary),
            "HOME": str(self.home),
            "COLUMNS": "200",
        }

    @classmethod
    def with_smtp(cls, root: Path, server: SmtpServer) -> House:
        """With accounts in memory, and one that is this server."""
        project = PROJECT.format(port=server.port, username=server.username, ca_file=server.ca_file)
        return cls(root, project, {"SMTP_PASSWORD": server.password})

    def campaign(
        self,
        name: str,
        provider: str = "memory",
        sql: str = SQL,
        in_doubt: str = "skip",
        push: bool = False,
        snapshot: bool = False,
    ) -> None:
        """A letter; with `push`, on every channel to everybody; with `snapshot`, to a copy of the audience."""
        sql += "\n  snapshot: true" if snapshot else ""
        more = (SMS if provider == "memory" else "") + (PUSH if push else "")
        reach = "all" if push else "first"
        self.write(name, LETTER.format(provider=provider, sql=sql, more=more, reach=reach, in_doubt=in_doubt))

    def write(self, name: str, text: str) -> None:
        (self.project / "campaigns" / f"{name}.yml").write_text(text)

    def run(self, *arguments: str, heard: bool = True, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """A command, with everything it said kept for the search."""
        done = processes.run(
            SCRIPTED, *arguments, "--debug", folder=self.project, environment={**self.environment, **environment}
        )
        if heard:
            self.said += [(f"{arguments} said", done.stdout), (f"{arguments} complained", done.stderr)]
        return done

    def reasons(self, *arguments: str, **environment: str) -> Counter[str]:
        """Run a campaign to its end; what its deliveries came to."""
        done = self.run("run", *arguments, "--yes", "--json", **environment)
        assert done.returncode in (0, 1), done.stderr.decode()
        report = json.loads(done.stdout)
        assert report["runs"][0]["state"] == "completed"
        reasons: Counter[str] = Counter()
        for one in report["tallies"]:
            reason = "" if one["outcome"] == "sent" else one["reason"]  # which is how many segments a text has
            reasons[f"{one['outcome']} {reason}".strip()] += one["count"]
        return reasons

    def interrupted(self, name: str, *signals: int, ready: Any = None, **environment: str) -> None:
        """A run that gets these signals, one after the other, once it hangs."""
        told = {**self.environment, **environment}
        with processes.start(
            SCRIPTED, "run", name, "--yes", "--debug", folder=self.project, environment=told
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            if ready is not None:
                assert ready.wait(60)
            else:
                assert process.stdout.readline() == b"hanging\n"
            err = b""
            for number in signals:
                process.send_signal(number)
                while number != signal.SIGKILL and number == signals[0] and b"stopping" not in err:
                    err += process.stderr.readline()
            out, rest = process.communicate(timeout=60)
            err += rest
        self.said += [(f"{name} said before {signals}", out), (f"{name} complained before {signals}", err)]

    def found(self) -> set[Any]:
        """Canaries in anything that was written or said so far."""
        users_own = [self.project / name for name in ("shop.duckdb", "shop.duckdb.wal", ".env")]
        found = self.canaries.search_files((self.project, self.temporary, self.home), without=users_own)
        for place, data in self.said:
            found |= self.canaries.search(place, data)
        self.said.clear()
        return found

    def opt_outs_written(self) -> None:
        """From now on to a table of Connect's, beside the one that is read already."""
        file = self.project / "connect.yml"
        before, text = "select id, address, status from opt_outs", file.read_text()
        both = f"from connect_opt_outs union all by name {before}"
        file.write_text(text.replace(f'{{sql: "{before}"}}', f'{{write: connect_opt_outs, sql: "{both}"}}'))

    def people(self, *extra: str) -> None:
        """One person of each role; every cell of theirs is a canary."""
        rows = [self._person(number, role) for number, role in enumerate((*ROLES, *extra), start=1)]
        with duckdb.connect(str(self.project / "shop.duckdb")) as connection:
            connection.execute(
                "create table people (id varchar, email varchar, phone_number varchar, first_name varchar, "
                "last_name varchar, account bigint, balance decimal(18, 4), born timestamp, tags varchar[], "
                "profile struct(city varchar, code varchar), note varchar, divisor bigint, role varchar, "
                "channels json, device_token varchar, platform varchar)"
            )
            connection.execute("create table opt_outs (id varchar, address varchar, status varchar)")
            connection.executemany(f"insert into people values ({', '.join('?' * 16)})", rows)
            for role, by in (("unsubscribed", "id"), ("bounced", "email"), ("complained", "id")):
                column = "id" if by == "id" else "address"
                connection.execute(
                    f"insert into opt_outs ({column}, status) select {by}, role from people where role = ?", [role]
                )

    def _person(self, number: int, role: str) -> list[object]:
        mark = f"{number:02}zQ7"
        twin = mark if role != "duplicate" else "ddzQ7"
        row: dict[str, Any] = {
            "id": f"Kunde-{twin}-Zaunkoenig",
            "email": f"Kanarie-{role}-{mark}@Vogelhaus.example",
            "phone_number": f"+61 4915{number:02} 7{number:02}",
            "first_name": f"Gwendolyn{mark}",
            "last_name": f"Österreicher-{mark} & Co",
            "account": 731_048_291_557_300 + number,
            "balance": Decimal(f"4815162342.{number:02}73"),
            "born": datetime(1957, 3, 14, 15, 9, 26, 535800 + number) + timedelta(days=number),
            "tags": [f"tag-{mark}-Goldammer", f"tag-{mark}-Blaumeise"],
            "profile": {"city": f"Kakariko-{mark}", "code": f"code-{mark}-Rohrdommel"},
            "note": f"Anmerkung {mark}: ruft abends an",
        }
        tokens = [f"fZ{place}Wq9-{role}-{mark}:APA91bHun4MxP5egoKMwt2KZFBaFUH" for place in range(4)]
        for token in tokens:
            self.canaries.add("token", token)
        for column, value in row.items():
            for cell in value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]:
                self.canaries.add(column, cell)
        self.canaries.add("phone_number", row["phone_number"].replace(" ", ""))
        changed: dict[str, Any] = {
            "empty": {"last_name": None},
            "newline": {"first_name": f"Gwendolyn{mark}\nBcc: {row['email']}"},
            "invalid": {"email": f"Kanarie-{role}-{mark} at Vogelhaus.example"},
            "several": {"email": f"{row['email']}, other-{row['email']}"},
            "keyless": {"id": None},
            "nowhere": {"email": None, "phone_number": None},
            "texted": {"email": None},
            "misdialled": {"email": None, "phone_number": f"04 {mark} call me, Gwendolyn{mark}"},
            "enormous": {"note": f"Anmerkung {mark}: ruft abends an. " * 350_000},
        }.get(role, {})
        cells = [*{**row, **changed}.values(), 0 if role == "divided" else 7, role]
        return [*cells, *_devices(role, tokens)]


def _devices(role: str, tokens: list[str]) -> tuple[str | None, str | None, str | None]:
    """(channels, device_token, platform): three devices in one column, one in another."""
    if role == "nowhere":
        return None, None, None
    platforms = ("android", "ios", "web")
    entries: list[dict[str, str]] = [
        {"type": "push", "address": token, "platform": platform}
        for token, platform in zip(tokens, platforms, strict=False)
    ]
    if role == "invalid":
        entries[0]["address"] = f"{tokens[0]} with a blank"
    return json.dumps(entries), tokens[3], "android"
