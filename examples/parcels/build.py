"""Builds `shop.duckdb` beside this file, and makes a secret in `.env` if there is none.

python build.py
"""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent


def build(folder: Path = HERE) -> Path:
    """Write the warehouse of this folder anew, and return its file."""
    file = folder / "shop.duckdb"
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as database:
        database.execute("create table customers (id varchar, email varchar, name varchar)")
        people = [("1", "ann@example.com", "Ann"), ("2", "bob@example.com", "Bob"), ("3", "cleo@example.com", "Cleo")]
        database.executemany("insert into customers values (?, ?, ?)", people)
        database.execute("create table orders (number varchar, customer varchar)")
        database.executemany("insert into orders values (?, ?)", [("A-1001", "1"), ("A-1002", "2"), ("A-1003", "3")])
        database.execute("create table opt_outs (id varchar, address varchar, status varchar)")
        database.execute("insert into opt_outs values ('2', null, 'unsubscribed')")
    return file


def add_secret(file: Path) -> None:
    """A CONNECT_SECRET in the git-ignored .env; one that is there stays."""
    text = file.read_text() if file.exists() else ""
    if "CONNECT_SECRET=" not in text:
        file.touch(mode=0o600)
        file.write_text(f"{text}CONNECT_SECRET={secrets.token_urlsafe(32)}\n")


if __name__ == "__main__":
    build()
    add_secret(HERE / ".env")
