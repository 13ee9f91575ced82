"""Everything of `make bench` still runs; how fast is nothing that a test should say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.rows import Row
from benchmarks.sizes import TINY


@pytest.mark.parametrize("name", sorted(bench.BENCHMARKS))
def test_a_benchmark_gives_its_rows(name: str) -> None:
    rows = list(bench.load(name)(TINY))
    names = [row.name for row in rows]
    assert rows
    assert all(row.name.startswith(name) and row.value > 0 and row.unit for row in rows)
    assert len(set(names)) == len(names)
    assert {row.ratio_to for row in rows} <= {"", *names}
    assert all(row.ratio == 1 for row in rows if not row.ratio_to)


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("", list(bench.BENCHMARKS)),
        ("mime", ["mime"]),
        ("email", ["email_8bit", "email_base64", "email_quoted"]),
        ("email_8bit_wall", ["email_8bit"]),
        ("sms_bulk_script", ["sms_bulk"]),
        ("nonsense", []),
    ],
)
def test_what_is_chosen(only: str, names: list[str]) -> None:
    assert bench.chosen(only) == names


def test_the_file_has_rows_machine_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "FULL", replace(TINY, rounds=1))
    file = tmp_path / "bench.json"
    bench.main(["--only", "render_sms", "--json", str(file)])
    document = json.loads(file.read_text())
    assert {"python", "cores", "versions"} <= document["machine"].keys()
    assert all(row.keys() == {"name", "value", "unit", "ratio_to", "ratio"} for row in document["rows"])
    printed = capsys.readouterr().out
    assert all(bench.line(Row(**row)) in printed for row in document["rows"])


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "nonsense"])
    assert "there is no benchmark nonsense" in capsys.readouterr().err
