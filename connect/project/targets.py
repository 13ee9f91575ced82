"""Targets: named environments, each over the project's other keys."""

from __future__ import annotations

from collections.abc import Mapping

from connect.errors import UserError
from connect.project import suggest
from connect.project.inherit import merge
from connect.project.nodes import Block, block, is_null, scalar
from connect.project.project import ProjectFile
from connect.project.reading import Reading
from connect.project.types import name_problem
from connect.vocabulary import Mode

_OWN = ("targets", "default_target")
NO_TARGETS = "default"
"""The target's name where connect.yml has none."""


def chosen(top: Block, wanted: str | None, environment: Mapping[str, str], reading: Reading) -> str:
    """The target's name: asked for, else CONNECT_TARGET, else `default_target`, else the only one, else `default`."""
    targets = _checked(top, reading)
    default = scalar(top.get("default_target"))
    if default is not None and default not in targets:
        said = f"`default_target` names no target: `{default}`"
        reading.report("unknown-target", said, suggest.hint(default, targets), node=default)
    name = wanted or environment.get("CONNECT_TARGET") or (str(default) if default in targets else "")
    if not name:
        return _only(targets, reading, top)
    if name not in targets and (targets or name != NO_TARGETS):
        hint = suggest.hint(name, targets) or "connect.yml has no `targets`"
        raise UserError.of("unknown-target", f"there is no target `{name}` in connect.yml", hint)
    return name


def _only(targets: Block, reading: Reading, top: Block) -> str:
    if len(targets) > 1 and scalar(top.get("default_target")) is None:
        hint = "--target, CONNECT_TARGET, or `default_target` in connect.yml: " + ", ".join(targets)
        raise UserError.of("no-target", "which target? connect.yml has several", hint)
    return next(iter(targets), NO_TARGETS)


def _checked(top: Block, reading: Reading) -> Block:
    node = top.get("targets")
    if node is None or is_null(node):
        return Block()
    if not isinstance(node, Block):
        reading.report("wrong-type", "`targets` must be a mapping of names", node=node)
        return Block()
    for name, target in node.items():
        if wrong := name_problem(name):
            reading.report("bad-name", f"`{name}` can not be a name", wrong, place=node.key_places.get(name))
        if isinstance(target, Block):
            reading.known(target, ProjectFile.keys().difference(_OWN), ProjectFile.section)
        elif not is_null(target):
            reading.report("wrong-type", f"`targets.{name}` must be a mapping of keys", node=target)
    return node


def seen_by(top: Block, target: str) -> Block:
    """connect.yml as this target sees it."""
    over = block(block(top.get("targets")).get(target))
    known = ProjectFile.keys().difference(_OWN)  # the others were reported
    made = merge(top.without(*_OWN), over.without(*(key for key in over if key not in known)))
    made.path = ""
    return made


_SAFEST_FIRST = (Mode.offline, Mode.test, Mode.live)


def safer(in_file: Mode, asked: Mode | None, target: str, tree: Block) -> Mode:
    """The mode of a run: what was asked for can only be safer than what the file says."""
    if asked is None:
        return in_file
    if _SAFEST_FIRST.index(asked) > _SAFEST_FIRST.index(in_file):
        said = f"the target `{target}` is in mode `{in_file}`, and `{asked}` goes further"
        where = f"under `targets.{target}`" if target != NO_TARGETS else "at the top"
        place = tree["mode"].place if "mode" in tree else None
        raise UserError.of("mode-not-in-file", said, f"write `mode: {asked}` {where} in connect.yml", place)
    return asked
