"""JSON Schemas of the files that people write, for editors: made from the models that read them."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from connect.project.audience import KINDS, Audience
from connect.project.campaign import Campaign
from connect.project.conversions import Conversions
from connect.project.countries import COUNTRIES
from connect.project.message import CONTENTS, Attachment, CampaignMessage, EmailContent
from connect.project.policy import Batches, FrequencyCap, Hours, QuietHours
from connect.project.profile import Everyone, Profile
from connect.project.project import ProjectFile, Subscriptions
from connect.project.reading import Written
from connect.project.segments import Segments
from connect.project.text import Text
from connect.project.tracking import UTM_SHORT
from connect.project.trigger import Event
from connect.project.types import DURATION_SCHEMA, WORD_SCHEMA, written_duration
from connect.vocabulary import Overlap

Schema = dict[str, Any]
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final[Schema] = {"type": "null"}


def schema() -> dict[str, Schema]:
    """JSON Schemas (draft 2020-12) named `connect`, `campaign` and `message`.

    They accept what the loader accepts, as far as a schema can tell: neither names of other files nor what inheriting
    brings is known to it, so `from` and `subject`, which may be defaults, are not required.
    """
    _, made = models_json_schema(
        [(Campaign, "validation"), (ProjectFile, "validation"), (CampaignMessage, "validation")], by_alias=True
    )
    defs: dict[str, Schema] = made["$defs"]
    for model in _models(Written):
        if model.__name__ in defs:
            _as_written(model, defs[model.__name__])
    _shape(defs)
    return {
        "connect": _document("connect.yml", defs, "ProjectFile"),
        "campaign": _document("A campaign", defs, "Campaign"),
        "message": _document("A message", defs, "CampaignMessage"),
    }


def _models(base: type[Written]) -> list[type[Written]]:
    return [inner for model in base.__subclasses__() for inner in (model, *_models(model))]


def _as_written(model: type[Written], made: Schema) -> None:
    """Without fields that nobody writes; every key that is not required may be unset with null."""
    properties = made["properties"]
    defaults = {info.alias or name: info.default for name, info in model.model_fields.items()}
    for name in model.made:
        properties.pop(name, None)
    for key, value in properties.items():
        value.pop("title", None)
        if isinstance(defaults.get(key), timedelta):
            value["default"] = written_duration(defaults[key])
        if isinstance(defaults.get(key), Text):
            value["default"] = defaults[key].source
        elif isinstance(defaults.get(key), BaseModel):
            value.pop("default", None)
        if key not in made.get("required", ()):
            properties[key] = _or_null(value)


def _or_null(value: Schema) -> Schema:
    if _NULL in value.get("anyOf", ()):
        return value
    kept: Schema = {key: value[key] for key in ("default", "description") if key in value and value[key] is not None}
    return {"anyOf": [{key: inner for key, inner in value.items() if key not in kept}, _NULL], **kept}


def _exactly_one(*keys: str) -> Schema:
    """One of the keys, and not null."""
    return {"oneOf": [{"required": [key], "properties": {key: {"not": _NULL}}} for key in keys]}


def _one_or_default(*keys: str, default: str) -> Schema:
    """One of the keys; or none of them, where there is the key that stands in for it."""
    stands_in: Schema = {"required": [default], "properties": {default: {"not": _NULL}, **dict.fromkeys(keys, _NULL)}}
    return {"oneOf": [*_exactly_one(*keys)["oneOf"], stands_in]}


def _shape(defs: dict[str, Schema]) -> None:
    """What is written otherwise than it is kept."""
    sql_file = {**WORD_SCHEMA, "description": "a file in audiences/"}
    for model in (Audience, Subscriptions, Everyone, Profile, Conversions):
        defs[model.__name__]["properties"]["sql_file"] = sql_file
    defs[Audience.__name__].update(_one_or_default(*KINDS, default="segments"))
    defs[Segments.__name__]["minProperties"] = 1
    subscriptions = defs[Subscriptions.__name__]
    subscriptions.pop("required")
    subscriptions.update(_one_or_default("sql", "sql_file", default="write"))
    for model in (Everyone, Profile, Conversions):
        defs[model.__name__].pop("required")
        defs[model.__name__].update(_exactly_one("sql", "sql_file"))
    defs[Attachment.__name__].update(_exactly_one("file", "content"))
    for content in CONTENTS.values():
        defs[content.__name__]["required"] = ["channel"]
    defs[EmailContent.__name__]["properties"]["utm"]["anyOf"].insert(0, UTM_SHORT)
    message = defs[Campaign.__name__]["properties"]["message"]
    by_name = {"type": "string", "description": "the name of a file in messages/"}
    defs[Campaign.__name__]["properties"]["message"] = {"anyOf": [by_name, message]}
    _shape_policy(defs)
    _shape_project(defs)


def _shape_policy(defs: dict[str, Schema]) -> None:
    for model in (Hours, Batches, FrequencyCap):
        defs[model.__name__].pop("required")  # a part of them may come from the project's defaults
    quiet = defs[QuietHours.__name__]["properties"]
    quiet["channels"]["anyOf"][0]["minItems"] = 1
    quiet["countries"]["anyOf"][0]["propertyNames"] = {"enum": sorted(COUNTRIES)}
    defs[Batches.__name__]["properties"]["count"]["anyOf"][0].update(minimum=2, maximum=1000)
    defs[Event.__name__]["properties"]["overlap"]["anyOf"][0] = {"const": Overlap.queue.value}


def _shape_project(defs: dict[str, Schema]) -> None:
    project = defs[ProjectFile.__name__]["properties"]
    reference = {"type": "string", "pattern": r"\$\{[^}]+\}"}
    project["secret"]["anyOf"] = [reference, {"type": "array", "items": reference, "minItems": 1}, _NULL]
    for key in ("everyone", "profile"):
        project[key]["anyOf"].insert(0, {"type": "string"})
    project["sources"] = _entries({"anyOf": [{"required": ["url"]}, {"required": ["type"]}]}, project["sources"])
    project["providers"] = _entries(
        {"required": ["type"], "properties": {"type": {"type": "string"}, **_PROVIDER}}, project["providers"]
    )
    defaults = defs["MessageDefaults"]["properties"]
    for channel, model in CONTENTS.items():
        partial = _partial(defs[model.__name__])
        for key in ("channel", "locale"):
            partial["properties"].pop(key)
        defs[f"{model.__name__}Defaults"] = partial
        defaults[channel.value] = {"anyOf": [{"$ref": f"#/$defs/{model.__name__}Defaults"}, _NULL]}
    _add_targets(defs)


_PROVIDER: Final[Schema] = {
    "concurrency": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]+$|[$]"}, _NULL],
        "description": "calls at a time",
    },
    "timeout": {
        "anyOf": [DURATION_SCHEMA, {"type": "string", "pattern": "[$]"}, _NULL],
        "description": "how long a call may take, such as 30s",
    },
    "rate": {
        "anyOf": [{"type": "string", "pattern": "^[1-9][0-9]{0,8}/[smhd]$|[$]"}, _NULL],
        "description": "messages in a second, minute, hour or day, such as 50/s: never more, over all processes",
    },
}


def _entries(entry: Schema, old: Schema) -> Schema:
    """Named entries, whose further keys belong to their type."""
    named = {"type": "object", "additionalProperties": {"anyOf": [{"type": "object", **entry}, _NULL]}}
    return {"anyOf": [named, _NULL], "description": old.get("description", "")}


def _add_targets(defs: dict[str, Schema]) -> None:
    """A target is the same file with nothing required, all the way down."""
    copies = {f"Target{name}": _partial(inner) for name, inner in defs.items()}
    _rename(copies)
    defs.update(copies)
    target = copies[f"Target{ProjectFile.__name__}"]
    for key in ("targets", "default_target"):
        target["properties"].pop(key)
    for key in target["properties"]:
        target["properties"][key] = _or_null(target["properties"][key])
    targets = {"anyOf": [{"$ref": f"#/$defs/Target{ProjectFile.__name__}"}, _NULL]}
    defs[ProjectFile.__name__]["properties"]["targets"] = {
        "anyOf": [{"type": "object", "additionalProperties": targets}, _NULL],
        "description": "named environments; each overrides any of the other keys",
    }


def _partial(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = ("required", "oneOf") if "properties" in value or "required" in value else ()
        return {key: _partial(inner) for key, inner in value.items() if key not in dropped}
    return [_partial(inner) for inner in value] if isinstance(value, list) else deepcopy(value)


def _rename(value: Any) -> None:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key == "$ref":
            value[key] = inner.replace("#/$defs/", "#/$defs/Target")
        elif isinstance(inner, dict | list):
            _rename(inner)


def _document(title: str, defs: dict[str, Schema], name: str) -> Schema:
    used = _used(defs, name)
    kept = {key: defs[key] for key in sorted(used - {name})}
    return {"$schema": _DIALECT, **defs[name], "title": title, "$defs": kept}


def _used(defs: dict[str, Schema], name: str) -> set[str]:
    """Every definition that one reaches, itself included."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += _references(defs[key])
    return found


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [str(value["$ref"]).rpartition("/")[2]] if "$ref" in value else []
        return own + [name for inner in value.values() for name in _references(inner)]
    return [name for inner in value for name in _references(inner)] if isinstance(value, list) else []
