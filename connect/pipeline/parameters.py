"""What a call of the API gives a campaign: checked by its trigger's schema, bound by its queries, kept sealed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from connect.errors import Problem, UserError
from connect.identity import KeyRing, SealBroken
from connect.project.campaign import Campaign
from connect.project.trigger import Api, Trigger

_PURPOSE = "run parameters"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST = 20
"""Of the problems with one call that are told."""

Parameters = Mapping[str, object]


def names(trigger: Trigger) -> tuple[str, ...]:
    """The parameters that a trigger declares."""
    return tuple(_properties(trigger)) if isinstance(trigger, Api) else ()


def bindable(campaign: Campaign) -> tuple[str, ...]:
    """The names that a campaign's query may bind beside those that every query may."""
    called = [name for name in names(campaign.trigger) if _NAME.fullmatch(name)]
    return tuple(dict.fromkeys([*campaign.audience.params, *called]))


def of_a_look(campaign: Campaign) -> Parameters:
    """What stands for parameters where a campaign is looked at, and not called: its own examples, else nulls."""
    return {name: _example(schema) for name, schema in _properties(campaign.trigger).items()}


def bound(campaign: Campaign, given: Parameters) -> dict[str, object]:
    """What queries bind. `audience.params` stand where a call says nothing."""
    return {name: _bindable(value) for name, value in printed(campaign, given).items()}


def printed(campaign: Campaign, given: Parameters) -> dict[str, object]:
    """What Liquid has as `params.*`."""
    missing = dict.fromkeys(names(campaign.trigger))
    return {**missing, **campaign.audience.params, **given}


def checked(campaign: Campaign, given: Parameters) -> dict[str, object]:
    """The parameters, with the defaults of those that are not given.

    Raises UserError `bad-parameters`, which names what is wrong and repeats nothing that was given.
    """
    properties = _properties(campaign.trigger)
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    whole = {**defaults, **given}
    problems = list(_problems(campaign.trigger, whole))
    if problems:
        raise UserError(*problems[:MOST])
    return whole


def seal(ring: KeyRing, given: Parameters) -> bytes | None:
    """For the ledger, until the run ends."""
    return ring.seal(_PURPOSE, json.dumps(given).encode()) if given else None


def opened(ring: KeyRing, sealed: bytes | None, run_id: str) -> dict[str, object]:
    """Raises UserError where the project's secret is another one now."""
    if sealed is None:
        return {}
    try:
        found: dict[str, object] = json.loads(ring.open(_PURPOSE, sealed))
    except SealBroken:
        said = f"the parameters of run {run_id} were sealed under another project secret"
        hint = "add the old secret to the list under `secret:` in connect.yml"
        raise UserError.of("run-sealed", said, hint) from None
    return found


def schema_problem(schema: Mapping[str, Any]) -> str:
    """What is wrong with the JSON Schema of a trigger; blank where nothing is, or nobody here can tell."""
    try:
        from jsonschema import Draft202012Validator, SchemaError
    except ModuleNotFoundError:  # it comes with the server
        return ""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"at /{'/'.join(map(str, error.absolute_path))}: {error.message}"
    return ""


def _properties(trigger: Trigger) -> dict[str, dict[str, Any]]:
    declared = trigger.parameters.get("properties", {}) if isinstance(trigger, Api) else {}
    return {name: schema if isinstance(schema, dict) else {} for name, schema in declared.items()}


def _example(schema: Mapping[str, Any]) -> object:
    for key in ("default", "const"):
        if key in schema:
            return _bindable(schema[key])
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _bindable(schema[key][0])
    return None


def _bindable(value: object) -> object:
    """A value, or a list of values; whatever has more parts than that as JSON."""
    parts = value if isinstance(value, list) else [value]
    return json.dumps(value) if any(isinstance(part, dict | list) for part in parts) else value


def _problems(trigger: Trigger, given: Parameters) -> Iterator[Problem]:
    schema = trigger.parameters if isinstance(trigger, Api) else {}
    unknown = [name for name in given if name not in _properties(trigger)]
    if unknown and not schema.keys() & {"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"}:
        yield _problem("", "gives names that the trigger does not declare", f"declared are: {_list(names(trigger))}")
        return
    if not schema:
        return  # nor is there anything to check it by, which comes with the server
    for error in sorted(_validator(schema).iter_errors(given), key=lambda error: str(error.json_path)):
        place = _pointer(error.absolute_path, schema)
        if error.validator == "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            hint = "a call gives it; by hand `--parameters` does"
            yield from (_problem(f"{place}/{name}", "is missing", hint) for name in missing)
        else:
            yield _problem(place, f"does not fit the trigger's schema: `{error.validator}`{_needed(error)}")


def _validator(schema: Mapping[str, Any]) -> Any:
    try:
        from jsonschema import Draft202012Validator, FormatChecker
        from referencing import Registry
    except ModuleNotFoundError as missing:
        said = f"checking parameters needs the package `{missing.name}`, which is not here"
        raise UserError.of("missing-extra", said, 'pip install "connect-campaigns[serve]"') from None
    # A registry of its own: nothing is fetched for a `$ref`.
    return Draft202012Validator(schema, format_checker=FormatChecker(), registry=Registry())


_SIMPLE = ("type", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")


def _needed(error: Any) -> str:
    """What the schema asks for, where a few words say it: never what was given."""
    return f": {error.validator_value}" if error.validator in (*_SIMPLE, "minItems", "maxItems", "multipleOf") else ""


def _pointer(path: Any, schema: Mapping[str, Any]) -> str:
    """Where it is wrong, as a JSON pointer. Names that no schema has are a caller's, and may name a person."""
    written = json.dumps(schema)
    known = (str(part) if isinstance(part, int) or json.dumps(part) in written else "…" for part in path)
    return "".join(f"/{part}" for part in known)


def _problem(place: str, said: str, hint: str = "") -> Problem:
    return Problem("bad-parameters", f"`parameters{place}` {said}", hint)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
