"""Audiences of files: CSV and Parquet, read through DuckDB in memory, which can open these files and nothing else."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

from connect.errors import UserError
from connect.warehouses import files_csv
from connect.warehouses.duckdb import DuckDB, DuckDBSettings
from connect.warehouses.duckdb_dialect import literal
from connect.warehouses.duckdb_errors import is_engine_error
from connect.warehouses.interface import AUDIENCE, Capabilities, Source, SourceSettings

_MOST_FILES = 1000
_GLOB = re.compile(r"[*?\[]")

FileKind = Literal["csv", "parquet"]


class FilesSettings(DuckDBSettings):
    """Which files an audience is."""

    url: str | None = "duckdb:///:memory:"
    kind: FileKind
    name: str
    """A path or a pattern, relative to the project's folder."""
    folders: tuple[str, ...] = ()
    """Where they may be, beside the project's folder."""


class Files(DuckDB):
    """The rows of one or several files, as the table `AUDIENCE`. It has no other, and is named in no `sources`."""

    Settings: ClassVar[type[SourceSettings]] = FilesSettings
    # A read is in nobody's way.
    capabilities: ClassVar[Capabilities] = Capabilities(
        longest_read=timedelta(minutes=10), enforces_read_only=True, takes_rows=True
    )

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source.settings, FilesSettings)
        self._of = source.settings
        self._root = source.root.resolve()
        self._paths: Sequence[Path] = ()

    def _prepare(self, raw: Any) -> None:
        self._paths = found(self._of.name, self._root, self._of.folders)
        selects = files_csv.selects(self._named()) if self._of.kind == "csv" else self._parquet()
        raw.execute(f"set allowed_paths = [{', '.join(literal(str(path)) for path in self._paths)}]")
        try:
            raw.execute(f"create temp view {AUDIENCE} as " + "\nunion all by name ".join(selects))
        except Exception as error:
            if not is_engine_error(error):
                raise
            error.args = (type(error).__name__,)
        else:
            return
        raise _unreadable(self._of.name, self._of.kind)

    def _named(self) -> dict[str, Path]:
        """The files by the names that people know them by."""
        inside = (path.relative_to(self._root) if path.is_relative_to(self._root) else path for path in self._paths)
        return dict(zip(map(str, inside), self._paths, strict=True))

    def _parquet(self) -> Iterator[str]:
        for path in self._paths:
            yield f"select * from read_parquet({literal(str(path))})"

    def _trouble(self, running: Any, words: str) -> Exception:
        if running.why or words.startswith("Out of Memory"):
            return super()._trouble(running, words)
        return self._of_a_file(words) or super()._trouble(running, words)

    def _of_a_file(self, words: str) -> UserError | None:
        """What is wrong with one of the files. DuckDB quotes the line: of its words only numbers are taken."""
        if self._of.kind == "csv" and "CSV" in words:
            return files_csv.trouble(words, self._named())
        missing = words.startswith("IO Error")
        return _unreadable(self._of.name, self._of.kind) if missing or "parquet" in words.casefold() else None


def _unreadable(name: str, kind: str) -> UserError:
    hint = "was it written to its end? write it under another name, and rename it when it is whole"
    return UserError.of("file-unreadable", f"{name} can not be read as {_CALLED[kind]}", hint)


_CALLED = {"csv": "CSV", "parquet": "Parquet"}


# Which files


def found(name: str, root: Path, folders: Sequence[str]) -> list[Path]:
    """The files behind a path or a pattern, links followed, in order.

    Raises UserError where there is none, and where one is outside of the folders that are allowed, or hidden in them.
    """
    homes = [root.resolve(), *((root / folder).resolve() for folder in folders)]
    pattern = name if Path(name).is_absolute() else str(Path(glob.escape(str(root))) / name)
    matches = sorted(glob.glob(pattern, recursive=True)) if _GLOB.search(name) else [str(root / name)]
    paths = [Path(match).resolve() for match in matches]
    for path in paths:
        _must_be_inside(name, path, homes)
    files = list(dict.fromkeys(path for path in paths if path.is_file()))
    if not files:
        raise _missing(name, root)
    if len(files) > _MOST_FILES:
        raise UserError.of("file-unreadable", f"{name} are {len(files):,} files", f"{_MOST_FILES:,} are the most")
    return files


def _must_be_inside(name: str, path: Path, homes: Sequence[Path]) -> None:
    home = next((home for home in homes if path.is_relative_to(home)), None)
    if home is None:
        hint = "move it into the project, or name its folder under `audience_folders` in connect.yml"
        raise UserError.of("file-outside", f"`{name}` lies outside the project's folder", hint)
    if any(part.startswith(".") for part in path.relative_to(home).parts):
        said = f"`{name}` is hidden, as what holds secrets is"
        raise UserError.of("file-outside", said, "an audience's file has no name that begins with a dot")


def _missing(name: str, root: Path) -> UserError:
    folder = (root / name).parent
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    near = get_close_matches(Path(name).name, names, n=1)
    hint = f"did you mean `{Path(name).with_name(near[0])}`?" if near else "paths are relative to the project's folder"
    said = f"no file matches `{name}`" if _GLOB.search(name) else f"there is no file `{name}`"
    return UserError.of("missing-file", said, hint)


__all__ = ["Files", "FilesSettings", "found"]
