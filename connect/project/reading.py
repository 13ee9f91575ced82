"""Reading a file's values into models: what they are read against, and everything that is found wrong on the way.

Fields report the first thing that is wrong with them; models report and go on. So one reading finds every error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, LiteralString, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from connect.errors import Location, Problem
from connect.project import later, suggest
from connect.project.nodes import Block, Items, Node, Scalar, is_null
from connect.project.text import Text, TextKind
from connect.project.vault import Vault

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class Reading:
    """One reading of one file (and of what it includes)."""

    root: Path
    providers: Collection[str] = ()
    sources: Collection[str] = ()
    vault: Vault | None = None
    """Where the secrets of contents are looked for; None where they are not."""
    problems: list[Problem] = field(default_factory=list)
    texts: dict[tuple[TextKind, Text], None] = field(default_factory=dict)

    def report(
        self, code: str, message: str, hint: str = "", node: Node | None = None, place: Location | None = None
    ) -> None:
        self.problems.append(Problem(code, message, hint, place or (node.place if node is not None else None)))

    def found(self, kind: TextKind, text: Text) -> None:
        self.texts[(kind, text)] = None

    def model(self, model: type[Model], tree: Block) -> Model | None:
        """Read a mapping as a model; None when anything in it is wrong, which is then in `problems`."""
        before = len(self.problems)
        try:
            made = model.model_validate(tree, context=self)
        except ValidationError as error:
            self.problems += problems_of(error, tree)
            return None
        return made if len(self.problems) == before else None

    def known(self, tree: Block, keys: Collection[str], section: str) -> Block:
        """The mapping without keys that are unset, unknown or for later; reports the latter two."""
        kept = tree.like()
        for key, node in tree.items():
            place = tree.key_places.get(key)
            if key in keys:
                if not (isinstance(node, Scalar) and node.is_null):
                    kept.put(key, node, place)
            elif key in later.KEYS.get(section, ()):
                self.problems.append(later.not_yet(f"`{tree.key_path(key)}`", place))
            else:
                self.report("unknown-key", f"unknown key `{tree.key_path(key)}`", suggest.hint(key, keys), place=place)
        return kept


def reading(info: ValidationInfo) -> Reading | None:
    """The reading that a validator runs in; None when a stored model is loaded."""
    return info.context if isinstance(info.context, Reading) else None


class Written(BaseModel):
    """A mapping that people write: unknown keys are errors, a null unsets."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    section: ClassVar[str] = ""
    """The name of its keys in the table of what comes later."""
    made: ClassVar[frozenset[str]] = frozenset()
    """Fields that nobody writes."""
    also: ClassVar[frozenset[str]] = frozenset()
    """Keys that people write and that are turned into fields before those are read."""

    @classmethod
    def keys(cls) -> frozenset[str]:
        fields = {info.alias or name for name, info in cls.model_fields.items() if name not in cls.made}
        return frozenset(fields | cls.also)

    @classmethod
    def shaped(cls, tree: Block, reading: Reading) -> Block:
        """The mapping in the shape of the fields; cross-field trouble is reported here."""
        return tree

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any, info: ValidationInfo) -> Any:
        context = reading(info)
        if isinstance(data, Block) and context:
            return cls.shaped(context.known(data, cls.keys(), cls.section), context)
        return data


def refuse(code: LiteralString, message: str, hint: str = "", at: Location | None = None) -> PydanticCustomError:
    """What a field raises: becomes a Problem at the field's place, or at a better one."""
    return PydanticCustomError(code, "{said}", {"said": message, "hint": hint, "at": at})


def problems_of(error: ValidationError, tree: Node) -> Iterator[Problem]:
    """Every error of a model as a Problem at its place in the tree."""
    for detail in error.errors(include_url=False, include_input=False):
        spot = _find(tree, detail["loc"])
        if not (isinstance(spot.node, Scalar) and spot.node.unresolved):
            yield _problem(detail, spot)


@dataclass(frozen=True, slots=True)
class _Found:
    node: Node
    parent: Node
    names: tuple[str, ...]
    """Keys on the way; neither a list's numbers nor the tags of a choice."""
    missing: str = ""
    """The last key, where the tree does not have it."""

    @property
    def name(self) -> str:
        names = (*self.names, self.missing) if self.missing else self.names
        return ".".join(names)


_UNSET = Scalar("", plain=True)


def _find(tree: Node, loc: tuple[int | str, ...]) -> _Found:
    node, parent, names, missing = tree, tree, [tree.path] if isinstance(tree, Block) and tree.path else [], ""
    for part in loc:
        missing = ""
        if isinstance(node, Block) and isinstance(part, str) and not is_null(node.get(part, _UNSET)):
            node, parent = node[part], node
            names.append(part)
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node):
            node, parent = node[part], node
        elif isinstance(part, str):
            missing = part
    return _Found(node, parent, tuple(names), missing)


_NEEDED: dict[str, str] = {
    "string_type": "text",
    "string_sub_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "mapping_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dataclass_type": "a mapping of keys",
    "bool_parsing": "`true` or `false`",
    "bool_type": "`true` or `false`",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "decimal_parsing": "a number",
}


def _problem(detail: ErrorDetails, spot: _Found) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    if "said" in context:
        return Problem(kind, context["said"], context["hint"], context["at"] or spot.node.place)
    if kind in ("missing", "union_tag_not_found"):
        if isinstance(spot.node, Scalar):
            hint = f"`{{type: {spot.node.written}}}`" if "'type'" in str(context.get("discriminator")) else ""
            return Problem("wrong-type", f"`{spot.name}` must be a mapping of keys", hint, spot.node.place)
        name = spot.missing or str(context.get("discriminator", "")).strip("'")
        return _missing(name, spot)
    if kind == "extra_forbidden":
        place = spot.parent.key_places.get(spot.names[-1]) if isinstance(spot.parent, Block) else None
        return Problem("unknown-key", f"unknown key `{spot.name}`", location=place or spot.node.place)
    if kind in ("enum", "literal_error", "union_tag_invalid"):
        return _bad_choice(context, spot)
    if needed := _NEEDED.get(kind):
        return Problem("wrong-type", f"`{spot.name}` must be {needed}", location=spot.node.place)
    said = str(context["error"]) if kind == "value_error" and "error" in context else detail["msg"]
    return Problem("bad-value", f"`{spot.name}`: {said}", location=spot.node.place)


def _missing(name: str, spot: _Found) -> Problem:
    path = ".".join((*spot.names, name))
    place = spot.node.key_places.get(name) if isinstance(spot.node, Block) else None
    hint = "`#` begins a comment: quote the value" if place and re.search(r":\s+#", place.text) else ""
    return Problem("missing-key", f"`{path}` is missing", hint, spot.node.place)


def _bad_choice(context: Mapping[str, Any], spot: _Found) -> Problem:
    """A word that is none of the allowed ones; pydantic lists them quoted, in one text."""
    key = str(context.get("discriminator", "")).strip("'")
    node = spot.node[key] if key and isinstance(spot.node, Block) and key in spot.node else spot.node
    name = f"{spot.name}.{key}" if key else spot.name
    if not isinstance(node, Scalar):
        return Problem("wrong-type", f"`{name}` must be text", location=node.place)
    if str(node) in later.VALUES.get(key, ()):
        return later.not_yet(f"`{key}: {node}`", node.place)
    words = _words(str(context.get("expected") or context.get("expected_tags") or ""))
    return Problem(
        "bad-value",
        f"`{name}` can not be `{node.written}`",
        suggest.hint(node, words),
        node.place,
    )


def _words(text: str) -> list[str]:
    return text.split("'")[1::2]
