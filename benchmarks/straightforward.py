"""What a good Python programmer writes in an afternoon: the other side of every ratio of `make bench`.

    python -m benchmarks.straightforward email WAREHOUSE PORT [LANGUAGE]
    python -m benchmarks.straightforward sms WAREHOUSE PORT

Read the audience with DuckDB, render it with python-liquid, build an `EmailMessage` (or a JSON document) and send it
over one connection that is kept. Templates are parsed once, and the session of requests keeps its connection. It
remembers nothing: killed halfway, it does not know who has had a message.

SMS goes through requests, which is what most people reach for; it is here because the tests' own dependencies need it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from smtplib import SMTP

import duckdb
from liquid import BoundTemplate, Environment

LETTERS = Path(__file__).parent / "letters"
SUBJECT = "{{ user.first_name }}, your points this month"

Guest = dict[str, object]


def audience(warehouse: str) -> Iterator[Guest]:
    with duckdb.connect(warehouse, read_only=True) as connection:
        found = connection.execute("select * from guests where subscribed")
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(1000):
            for row in rows:
                yield dict(zip(names, row, strict=True))


def template(name: str) -> BoundTemplate:
    """A letter; what is printed into HTML is escaped."""
    return Environment(autoescape=name.endswith(".html")).from_string((LETTERS / name).read_text("utf-8"))


def unsubscribe_link(guest: Guest) -> str:
    return f"https://meridian.example/off?guest={guest['id']}"


class Letter:
    """The e-mail, made for one guest after another."""

    def __init__(self, language: str) -> None:
        self.html, self.text = template(f"{language}.html"), template(f"{language}.txt")
        self.subject = Environment().from_string(SUBJECT)

    def to(self, guest: Guest) -> EmailMessage:
        link = unsubscribe_link(guest)
        scope = {"user": guest, "url": {"unsubscribe_link": link}}
        message = EmailMessage()
        message["From"] = formataddr(("Café Meridian", "letters@meridian.example"))
        message["To"] = str(guest["email"])
        message["Subject"] = self.subject.render(**scope)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="meridian.example")
        message["List-Unsubscribe"] = f"<{link}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(self.text.render(**scope))
        message.add_alternative(self.html.render(**scope), subtype="html")
        return message


def send_emails(warehouse: str, port: int, language: str = "english") -> int:
    letter, sent = Letter(language), 0
    with SMTP("127.0.0.1", port) as server:
        for guest in audience(warehouse):
            server.send_message(letter.to(guest))
            sent += 1
    return sent


def send_text_messages(warehouse: str, port: int) -> int:
    import requests

    body, sent = template("text_message.txt"), 0
    with requests.Session() as http:
        for guest in audience(warehouse):
            scope = {"user": guest, "url": {"unsubscribe_link": unsubscribe_link(guest)}}
            message = {"to": str(guest["phone_number"]), "body": body.render(**scope)}
            answer = http.post(f"http://127.0.0.1:{port}/messages", json={"messages": [message]}, timeout=30)
            answer.raise_for_status()
            sent += 1
    return sent


if __name__ == "__main__":
    _, what, warehouse, port, *rest = sys.argv
    print(send_emails(warehouse, int(port), *rest) if what == "email" else send_text_messages(warehouse, int(port)))
