"""The settings of warehouses and provider accounts: read with the model that their adapter brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from connect.errors import Location, Problem
from connect.project import suggest
from connect.project.nodes import Block, Items, Node, Scalar, is_null, scalar
from connect.project.reading import Reading, problems_of
from connect.project.secrets import report_literal
from connect.project.types import Rate, duration, name_problem, rate
from connect.project.vault import REFERENCE
from connect.redact import Secret
from connect.vocabulary import OURSELVES

Models = Mapping[str, Callable[[], type[BaseModel]]]


@dataclass(frozen=True)
class Adapters:
    """Type name → its settings model, loaded only for the types in use."""

    providers: Models = field(default_factory=dict)
    sources: Models = field(default_factory=dict)
    source_type: Callable[[str], str] = lambda url: url.partition(":")[0].partition("+")[0]
    """The type of the source behind a URL."""


@dataclass(frozen=True)
class SourceEntry:
    """One warehouse of `sources`."""

    name: str
    type: str
    settings: BaseModel


@dataclass(frozen=True)
class ProviderEntry:
    """One account of `providers`."""

    name: str
    type: str
    settings: BaseModel
    concurrency: int | None
    """Calls at a time; the adapter's default where it is None."""
    timeout: timedelta
    rate: Rate | None = None
    """At most so many messages, over all campaigns and processes of this ledger."""


def sources(tree: Node | None, adapters: Adapters, reading: Reading) -> dict[str, SourceEntry]:
    found, models = {}, adapters.sources
    for name, entry in _entries(tree, "sources", reading):
        if (kind := _source_type(entry, adapters, reading)) is not None:
            settings = _settings(models[kind], entry.without("type"), f"source type `{kind}`", reading)
            if settings is not None:
                found[name] = SourceEntry(name, kind, settings)
    return found


def _source_type(entry: Block, adapters: Adapters, reading: Reading) -> str | None:
    """`type`, or what is behind the `url`."""
    models = adapters.sources
    if entry.get("type") is not None:
        return _type(entry, models, "source", reading)
    url = scalar(entry.get("url"))
    if url is None:
        reading.report("missing-key", f"`{entry.path}` has neither `url` nor `type`", node=entry)
        return None
    kind = adapters.source_type(url)
    if not url.unresolved and kind not in models:
        shown = "" if url.secret else f" `{kind}`"
        reading.report("unknown-type", f"there is no source type{shown}", suggest.hint(kind, models), node=url)
    return kind if kind in models else None


def providers(tree: Node | None, models: Models, reading: Reading) -> dict[str, ProviderEntry]:
    found = {}
    for name, entry in _entries(tree, "providers", reading):
        if name == OURSELVES and isinstance(tree, Block):
            said = f"an account can not be named `{name}`: what Connect notices itself is written under that name"
            reading.report("bad-name", said, "give it another name, such as `mail`", place=tree.key_places.get(name))
        kind = _type(entry, models, "provider", reading)
        rate = _rate(entry, reading)
        concurrency = _concurrency(entry, reading)
        timeout = _timeout(entry, reading)
        rest = entry.without("type", "rate", "concurrency", "timeout")
        settings = _settings(models[kind], rest, f"provider type `{kind}`", reading) if kind else None
        if kind and settings is not None:
            found[name] = ProviderEntry(name, kind, settings, concurrency, timeout, rate)
    return found


def _value(entry: Block, key: str, reading: Reading) -> Scalar | None:
    node = entry.get(key)
    if isinstance(node, Block | Items):
        reading.report("wrong-type", f"`{entry.key_path(key)}` must be one value", node=node)
    return scalar(node)


def _concurrency(entry: Block, reading: Reading) -> int | None:
    node = _value(entry, "concurrency", reading)
    if node is None or node.unresolved:
        return None
    if not (node.isascii() and node.isdigit() and 0 < int(node) <= 10_000):
        reading.report("wrong-type", f"`{entry.key_path('concurrency')}` must be a whole number above 0", node=node)
        return None
    return int(node)


def _rate(entry: Block, reading: Reading) -> Rate | None:
    node = _value(entry, "rate", reading)
    try:
        return None if node is None or node.unresolved else rate(node)
    except PydanticCustomError as error:
        context = error.context or {}
        reading.report(error.type, context["said"], context["hint"], node=node)
        return None


def _timeout(entry: Block, reading: Reading) -> timedelta:
    node = _value(entry, "timeout", reading)
    try:
        return timedelta(seconds=30) if node is None or node.unresolved else duration(node)
    except PydanticCustomError as error:
        context = error.context or {}
        reading.report(error.type, context["said"], context["hint"], node=node)
        return timedelta(seconds=30)


def _entries(tree: Node | None, key: str, reading: Reading) -> Iterator[tuple[str, Block]]:
    if tree is None or is_null(tree):
        return
    if not isinstance(tree, Block):
        reading.report("wrong-type", f"`{key}` must be a mapping of names", node=tree)
        return
    for name, entry in tree.items():
        if wrong := name_problem(name):
            reading.report("bad-name", f"`{name}` can not be a name", wrong, place=tree.key_places.get(name))
        elif isinstance(entry, Block):
            yield name, entry
        elif not is_null(entry):
            reading.report("wrong-type", f"`{key}.{name}` must be a mapping of keys", node=entry)


def _type(entry: Block, models: Models, what: str, reading: Reading) -> str | None:
    kind = scalar(entry.get("type"))
    if kind is None:
        reading.report("missing-key", f"`{entry.key_path('type')}` is missing", suggest.hint("", models), node=entry)
        return None
    if kind not in models and not kind.unresolved:
        said = f"there is no {what} type `{kind.written}`"
        reading.report("unknown-type", said, suggest.hint(kind, models), node=kind)
    return str(kind) if kind in models else None


def _settings(load: Callable[[], type[BaseModel]], entry: Block, what: str, reading: Reading) -> BaseModel | None:
    model = load()
    before = len(reading.problems)
    values = {name: node for name, node in entry.items() if not is_null(node)}
    prepared = {name: _prepared(model, name, node, reading) for name, node in values.items()}
    try:
        made = model.model_validate(prepared)
    except ValidationError as error:
        known = {info.alias or name for name, info in model.model_fields.items()}
        reading.problems += (_explained(problem, entry, known, what) for problem in problems_of(error, entry))
        return None
    return made if len(reading.problems) == before else None


def _explained(problem: Problem, entry: Block, known: set[str], what: str) -> Problem:
    """An unknown setting with the nearest one of this type."""
    places: dict[Location | None, str] = {place: key for key, place in entry.key_places.items()}
    key = places.get(problem.location, "")
    if problem.code != "unknown-key" or not key:
        return problem
    said = f"{what} has no setting `{key}`"
    return Problem(problem.code, said, suggest.hint(key, known), problem.location)


def _prepared(model: type[BaseModel], name: str, node: Node, reading: Reading) -> Any:
    """The value as the model's field wants it, where pydantic alone would be too generous or too strict."""
    info = next((info for key, info in model.model_fields.items() if name in (key, info.alias)), None)
    if info is None:
        return node
    if isinstance(node, Block | Items):
        return _inside(info.annotation, node, reading)
    if _mentions(info.annotation, Secret) and not (node.secret or REFERENCE.search(node)):
        report_literal(node, f"the secret `{name}`", reading)
    if node.unresolved:
        return node
    try:
        if _mentions(info.annotation, timedelta):
            return duration(node)
    except PydanticCustomError as error:
        context = error.context or {}
        reading.report(error.type, context["said"], context["hint"], node=node)
        return timedelta(0)
    if info.annotation in (bool, bool | None) and node not in ("true", "false"):
        reading.report("wrong-type", f"`{name}` must be `true` or `false`", node=node)
        return False
    return node


def _inside(annotation: Any, node: Node, reading: Reading) -> Any:
    """A setting that is a mapping of settings, or a list of such."""
    model = _model(annotation)
    if model is None or isinstance(node, Scalar):
        return node
    if isinstance(node, Items):
        return [_inside(annotation, each, reading) for each in node]
    return {name: _prepared(model, name, each, reading) for name, each in node.items() if not is_null(each)}


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, get_args(annotation))), None)


def _mentions(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_mentions(inner, wanted) for inner in get_args(annotation))
