"""Builds `cdnow.duckdb` beside this file from the CSV, and makes a secret in `.env` if there is none.

python build.py
"""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent

# Ids such as 00004 are text: read as numbers, they would lose their zeros.
PURCHASES = """
create table purchases as
select customer_id, purchased_on, quantity, amount
from read_csv(
    $csv,
    header = true,
    columns = {
        'customer_id': 'VARCHAR', 'purchased_on': 'DATE', 'quantity': 'INTEGER', 'amount': 'DECIMAL(10, 2)'
    }
)
"""

# The data has no names or addresses: these are made up, at a domain that nobody can own.
CUSTOMERS = """
create table customers as
select distinct customer_id, 'customer_' || customer_id || '@example.com' as email
from purchases
order by customer_id
"""


def build(folder: Path = HERE) -> Path:
    """Write the warehouse of this folder anew, and return its file."""
    file = folder / "cdnow.duckdb"
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as database:
        database.execute(PURCHASES, {"csv": str(folder / "cdnow_sample.csv")})
        database.execute(CUSTOMERS)
        database.execute("create table unsubscribes (id varchar, address varchar, changed_at timestamp)")
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
