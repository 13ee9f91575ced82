"""`connect init` beside what is there already."""

from __future__ import annotations

from typing import Any


def test_a_file_is_not_a_url(shop: Any) -> None:
    ended = shop.connect("init", str(shop.root / "new"), "--warehouse", "shop.duckdb")

    assert (ended.code, ended.error.code) == (2, "bad-value")
    assert ended.error.hint == "a DuckDB file: duckdb:///shop.duckdb"
    assert not (shop.root / "new").exists()


def test_a_dotenv_without_a_last_newline_keeps_its_last_line(shop: Any) -> None:
    shop.write("new/.env", "OTHER=value").write_text("OTHER=value")

    assert shop.connect("init", str(shop.root / "new")).code == 0

    first, second = (shop.root / "new/.env").read_text().splitlines()
    assert first == "OTHER=value"
    assert second.startswith("CONNECT_SECRET=")
