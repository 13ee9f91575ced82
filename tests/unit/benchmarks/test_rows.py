"""Everything of `make bench` still runs; how fast is nothing that a test should say.

Its commands are forked here, and its warehouses made once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from benchmarks import __main__ as bench
from benchmarks import guests, project
from benchmarks import processes as costing
from benchmarks.rows import Row
from benchmarks.sizes import TINY
from tests import processes

ROOT = Path(__file__).parents[3]


def measured(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on: Sequence[int] = (),
) -> costing.Cost:
    """Forked; what it cost is nothing that is looked at here."""
    environment = {**os.environ, **(environment or {})}
    ended = processes.run(*program(command), folder=folder or ROOT, environment=environment, text=True)
    if ended.returncode:
        sys.stderr.write(ended.stderr[-2000:])
    return costing.Cost(1.0, 1.0, 1.0, ended.stdout, ended.returncode)


def program(command: Sequence[str]) -> list[str]:
    """A command as a file and its arguments."""
    if command[0] != sys.executable:
        return [*command]
    if command[1] == "-m":
        return [str(ROOT / command[2].replace(".", "/")) + ".py", *command[3:]]
    return [*command[1:]]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The file with so many guests."""
    folder = tmp_path_factory.mktemp("warehouses")

    def made(count: int) -> Path:
        file = folder / f"{count}.duckdb"
        if not file.exists():
            with duckdb.connect(str(file)) as connection:
                connection.execute(f"create table guests as {guests.query(count)}")
        return file

    return made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, warehouse: Callable[[int], Path]) -> None:
    @contextmanager
    def shared(count: int) -> Iterator[Path]:
        yield warehouse(count)

    monkeypatch.setattr(project, "warehouse", shared)
    if sys.platform == "linux":
        monkeypatch.setattr(project.processes, "measured", measured)


@pytest.mark.usefixtures("quick")
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
