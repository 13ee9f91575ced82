"""What a YAML file holds, before any field gives it a type: text, mappings and lists that know their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connect.errors import Location
from connect.project.folding import Mark

_NULLS: Final = ("", "null", "~")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the text inside a scalar begins (behind its quote or `|`), and how far its other lines are indented."""

    line: int
    column: int
    indent: int
    marks: tuple[Mark, ...] = ()
    shown: tuple[str, ...] = ()
    """The file's own lines from `line` on, where the text alone does not look like them; blank where hidden."""


class Scalar(str):
    """One value as text. The type of its field says what it means."""

    place: Location | None = None
    spot: Spot | None = None
    plain: bool = False
    """Written without quotes, so that `true`, `null` and numbers mean themselves where no field says otherwise."""
    commented: bool = False
    """A comment follows on the same line."""
    written: str
    """As it stands in the file: what errors may quote, before a secret was put in."""
    unresolved: bool = False
    """Refers to a secret that is missing; that was reported, and nothing else about it is worth saying."""
    secret: bool = False

    def __new__(cls, value: str, place: Location | None = None, plain: bool = False) -> Scalar:
        made = super().__new__(cls, value)
        made.place, made.plain, made.written = place, plain, value
        return made

    @property
    def is_null(self) -> bool:
        return self.plain and str(self) in _NULLS

    def resolved(self, value: str) -> Scalar:
        """The same place with secrets put in."""
        made = type(self)(value, self.place)
        made.spot, made.written, made.secret = self.spot, self.written, True
        return made


class SqlFile(Scalar):
    """The name of a file in `audiences/`, standing where its text belongs."""


class Block(dict[str, "Node"]):
    """A mapping. Its place is its key, or its first key where it has none."""

    place: Location | None
    path: str
    """Dotted keys from the top of its file; lists add nothing."""
    key_places: dict[str, Location]

    def __init__(self, place: Location | None = None, path: str = "") -> None:
        super().__init__()
        self.place, self.path, self.key_places = place, path, {}

    def put(self, key: str, node: Node, place: Location | None) -> None:
        self[key] = node
        if place:
            self.key_places[key] = place

    def like(self) -> Block:
        """An empty mapping at the same place."""
        return Block(self.place, self.path)

    def without(self, *keys: str) -> Block:
        made = self.like()
        for key, node in self.items():
            if key not in keys:
                made.put(key, node, self.key_places.get(key))
        return made

    def key_path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


class Items(list["Node"]):
    """A list. Its place is its key."""

    place: Location | None

    def __init__(self, place: Location | None = None) -> None:
        super().__init__()
        self.place = place


Node = Scalar | Block | Items


def is_null(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.is_null


def block(node: Node | None) -> Block:
    """The node if it is a mapping, else an empty one."""
    return node if isinstance(node, Block) else Block()


def scalar(node: Node | None) -> Scalar | None:
    """The node if it is text with a value, else None."""
    return node if isinstance(node, Scalar) and not node.is_null else None
