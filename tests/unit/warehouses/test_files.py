"""Files as audiences: what is read, what is refused, and that nothing of a person is in what is said."""

from __future__ import annotations

import gzip
from datetime import timedelta

import duckdb
import pytest

from connect.errors import OutsideError, UserError
from connect.warehouses.files import Files, FilesSettings
from connect.warehouses.interface import AUDIENCE, Query, Source

T = timedelta(seconds=30)
ROWS = Query(f"select * from {AUDIENCE}", {})


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "project"
    root.mkdir()

    def of(name: str, kind: str = "csv", folders: tuple[str, ...] = ()) -> Files:
        return Files(Source(name, FilesSettings(kind=kind, name=name, folders=folders), root))

    of.root = root
    return of


def wrong(call):
    with pytest.raises((UserError, OutsideError)) as raised:
        call()
    error, seen = raised.value, ""
    while error is not None:
        seen += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert "ann" not in seen.casefold()
    return raised.value.problems[0]


def test_every_cell_is_text_and_an_empty_one_is_null(files):
    (files.root / "a.csv").write_text('id,phone,note\n00012,+61400,"Ann ""A"", it\'s\nhere"\n2,,\n')
    warehouse = files("a.csv")
    assert warehouse.rows(ROWS, T) == [
        {"id": "00012", "phone": "+61400", "note": 'Ann "A", it\'s\nhere'},
        {"id": "2", "phone": None, "note": None},
    ]
    assert [(column.name, column.type) for column in warehouse.columns(ROWS, T)] == [
        ("id", "VARCHAR"),
        ("phone", "VARCHAR"),
        ("note", "VARCHAR"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_however_a_spreadsheet_saves_it(files, delimiter, ends, encoding):
    lines = [("id", " name "), ("1", f'"a{delimiter}b"'), ("2", "é")]
    text = ends.join(delimiter.join(cells) for cells in lines) + ends
    (files.root / "a.csv").write_bytes(text.encode(encoding))
    assert files("a.csv").rows(ROWS, T) == [{"id": "1", "name": f"a{delimiter}b"}, {"id": "2", "name": "é"}]


def test_several_files_packed_or_not_are_one_audience(files):
    (files.root / "lists").mkdir()
    (files.root / "lists" / "a.csv").write_text("id,name\n1,a\n")
    (files.root / "lists" / "b.csv.gz").write_bytes(gzip.compress(b"name;id\nb;2\n"))
    (files.root / "lists" / ".hidden.csv").write_text("id,name\n3,c\n")
    assert files("lists/*.csv*").rows(ROWS, T) == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    (files.root / "lists" / "c.csv").write_text("id,other\n1,a\n")
    assert wrong(lambda: files("lists/*").rows(ROWS, T)).code == "file-header"


def test_what_says_that_somebody_is_subscribed(files):
    told = {"true": True, " YES ": True, "1": True, "no": False, "": False, "maybe": False}
    (files.root / "a.csv").write_text("id,Subscribed\n" + "".join(f"{n},{word}\n" for n, word in enumerate(told)))
    assert [row["Subscribed"] for row in files("a.csv").rows(ROWS, T)] == list(told.values())


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "file-header", 1),
        (b"\n1,Ann\n", "file-header", 1),
        (b"1,Ann\n2,Bob\n", "file-header", 1),
        (b"ann@x.example,Ann\n", "file-header", 1),
        (b"id,,name\n1,2,Ann\n", "file-header", 1),
        (b"id,name,ID\n1,2,Ann\n", "file-header", 1),
        (b'id,name\n1,"a\nb"\n2,Ann,x\n3,c\n', "file-row", 4),
        (b"id,name\n1,b\nann\n3,c\n", "file-row", 3),
        (b'id,name\n1,b\n2,"Ann\n3,c\n', "file-row", 3),
        (b"id,name\n1,b\n2,Ann\xe9\n", "not-utf-8", 3),
    ],
)
def test_a_broken_file_is_told_by_its_line_and_no_cell(files, content, code, line):
    (files.root / "a.csv").write_bytes(content)
    problem = wrong(lambda: files("a.csv").rows(ROWS, T))
    assert (problem.code, problem.location.file, problem.location.line) == (code, "a.csv", line)


def test_a_character_that_is_wrong_far_behind_the_header_is_told_too(files):
    rows = b"".join(b"%d,b\n" % number for number in range(300_000))
    (files.root / "a.csv").write_bytes(b"id,name\n" + rows + b"7,Ann\xe9\n")
    problem = wrong(lambda: files("a.csv").rows(ROWS, T))
    assert (problem.code, problem.location.line) == ("not-utf-8", 300_002)


def test_files_are_inside_the_project_or_where_it_says(files, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.csv").write_text("id\n1\n")
    (files.root / "link.csv").symlink_to(tmp_path / "other" / "a.csv")
    (files.root / ".env").write_text("id\n1\n")
    for name in ("../other/a.csv", str(tmp_path / "other" / "a.csv"), "../*/a.csv", "link.csv", ".env", "/etc/passwd"):
        assert wrong(lambda name=name: files(name).rows(ROWS, T)).code == "file-outside"
        if name not in (".env", "/etc/passwd"):
            assert files(name, folders=("../other",)).rows(ROWS, T) == [{"id": "1"}]


def test_files_that_are_not_there(files):
    (files.root / "people.csv").write_text("id\n1\n")
    assert "people.csv" in wrong(lambda: files("poeple.csv").rows(ROWS, T)).hint
    assert wrong(lambda: files("lists/*.csv").rows(ROWS, T)).code == "missing-file"
    assert wrong(lambda: files(".").rows(ROWS, T)).code == "missing-file"


def test_parquet_keeps_its_types(files):
    path = files.root / "it's.parquet"
    duckdb.sql(f"copy (select 7 as id, '00012' as code, [1, 2] as list) to '{str(path).replace(chr(39), chr(39) * 2)}'")
    assert files("it's.parquet", "parquet").rows(ROWS, T) == [{"id": 7, "code": "00012", "list": [1, 2]}]
    path.write_bytes(b"PAR1 half of Ann")
    assert wrong(lambda: files("it's.parquet", "parquet").rows(ROWS, T)).code == "file-unreadable"


def test_nothing_but_the_files_can_be_read(files):
    for name in ("a", "b"):
        (files.root / f"{name}.csv").write_text("id\n1\n")
    other = Query(f"select * from read_csv('{files.root}/b.csv')", {})
    assert wrong(lambda: files("a.csv").rows(other, T)).code == "sql-error"
    out = Query(f"copy (select 1) to '{files.root}/c.csv'", {})
    wrong(lambda: files("a.csv").rows(out, T))
    assert not (files.root / "c.csv").exists()


def test_a_file_that_was_replaced_is_another_one(files):
    warehouse = files("a.csv")
    for text in ("id\n1\n", "id\n2\n", "id,name\n3,c\n"):
        (files.root / "a.csv").write_text(text)
        assert warehouse.rows(Query(f"select id from {AUDIENCE}", {}), T) == [{"id": text.split("\n")[1][0]}]
