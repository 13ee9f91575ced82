"""Files beside connect.yml that others refer to by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from connect.errors import Location
from connect.project import suggest
from connect.project.reading import refuse
from connect.project.text import Text

TEMPLATES: Final = "templates"
AUDIENCES: Final = "audiences"
SEGMENTS: Final = "segments"
CAMPAIGNS: Final = "campaigns"
MESSAGES: Final = "messages"


def read_text(root: Path, folder: str, name: str, at: Location | None) -> Text:
    """The text of a file in one of the project's folders; raises what a field raises."""
    content = read_bytes(root, folder, name, at)
    try:
        source = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refuse("not-utf-8", f"{folder}/{name} is not UTF-8 text", "save it as UTF-8", at) from None
    return Text(source=source.replace("\r\n", "\n"), file=f"{folder}/{name}")


def read_bytes(root: Path, folder: str, name: str, at: Location | None) -> bytes:
    base = (root / folder).resolve()
    path = (base / name).resolve()
    if not path.is_relative_to(base):
        raise refuse("file-outside", f"`{name}` lies outside {folder}/", f"move it into {folder}/", at)
    if not path.is_file():
        raise refuse("missing-file", f"there is no file {folder}/{name}", _nearest(base, folder, name), at)
    return path.read_bytes()


def _nearest(base: Path, folder: str, name: str) -> str:
    names = [path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()]
    return suggest.hint(name, names) or f"names are relative to {folder}/"


def templates(root: Path) -> dict[str, Text]:
    """Every text file under templates/ by its relative path; files that are not text are left out (images, PDFs)."""
    base = root / TEMPLATES
    found: dict[str, Text] = {}
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            try:
                source = path.read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError:
                continue
            found[name] = Text(source=source.replace("\r\n", "\n"), file=f"{TEMPLATES}/{name}")
    return found


def is_file(root: Path, folder: str, name: str) -> bool:
    """Whether a literal text is the name of a file there."""
    if not name or "\n" in name or len(name) > 200 or "{" in name or "\0" in name:
        return False
    return (root / folder / name.strip()).is_file()
