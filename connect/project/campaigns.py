"""Load campaigns and messages: read, inherit, check, and hand out every text even where the rest is wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connect.errors import Location, Problem, UserError
from connect.project import files, inherit, suggest
from connect.project.audience import KINDS
from connect.project.campaign import Campaign, digest
from connect.project.load import hidden, in_order, project_scalar, read_file
from connect.project.message import CampaignMessage, PushContent
from connect.project.nodes import Block, Items, Node, Scalar, block, is_null, scalar
from connect.project.profile import spelled_out
from connect.project.project import NO_TEST_PLATFORM, Project
from connect.project.reading import Reading
from connect.project.text import Text, TextKind


@dataclass(frozen=True)
class Loaded:
    """What a campaign's file gave: the campaign if nothing is wrong, the problems, and the texts in any case."""

    campaign: Campaign | None
    problems: tuple[Problem, ...]
    texts: tuple[tuple[TextKind, Text], ...]
    file: str = ""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Dotted path → `file:line`."""
    places: Mapping[str, Location] = field(default_factory=dict, repr=False)
    """Of what says when and to whom: dotted path → where it stands."""

    def at(self, *paths: str) -> Location:
        """The place of the first of these that stands in a file."""
        found = (self.places[path] for path in paths if path in self.places)
        return next(found, Location(self.file, 1, 1))


@dataclass(frozen=True)
class LoadedMessage:
    """The same for a message of messages/."""

    message: CampaignMessage | None
    problems: tuple[Problem, ...]
    texts: tuple[tuple[TextKind, Text], ...]
    file: str = ""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)


def campaign_names(project: Project) -> tuple[str, ...]:
    """The names of the project's campaigns, sorted."""
    return tuple(sorted(_by_name(project)))


def load_campaign(project: Project, name: str) -> Loaded:
    """Load one campaign. Raises UserError when there is none of that name; other trouble is in its problems."""
    found = _by_name(project)
    if name not in found:
        hint = suggest.hint(name, found) or "campaigns are the .yml files in campaigns/"
        raise UserError.of("unknown-campaign", f"there is no campaign `{name}`", hint)
    first, *others = found[name]
    return _load(project, first, others)


def load_campaigns(project: Project) -> dict[str, Loaded]:
    """Every campaign by its name, or by its file's stem where it could not be read."""
    found: dict[str, Loaded] = {}
    for name, paths in sorted(_by_name(project).items()):
        for path in paths:
            loaded = _load(project, path, [other for other in paths if other != path])
            stem = Path(path).stem
            key = name if loaded.campaign or stem in found else stem
            found[path if key in found else key] = loaded
    return found


def load_message(project: Project, name: str) -> LoadedMessage:
    """Load a message of messages/, to be sent without a campaign."""
    names = _messages(project)
    if name not in names:
        hint = suggest.hint(name, names) or "messages are the .yml files in messages/"
        raise UserError.of("unknown-message", f"there is no message `{name}`", hint)
    reading = _reading(project)
    tree = _message(project, _read(project, names[name], reading), reading)
    message = reading.model(CampaignMessage, tree)
    _check_test_device(project, message, tree, reading)
    made = message.model_copy(update={"name": name}) if message and not reading.problems else None
    return LoadedMessage(made, _problems(reading), _texts(reading), names[name], dict(inherit.origins(tree)))


def _problems(reading: Reading) -> tuple[Problem, ...]:
    return in_order(hidden(reading.problems))


def _texts(reading: Reading) -> tuple[tuple[TextKind, Text], ...]:
    """The texts of a file. Where a secret is written out in it, errors do not show its lines."""
    if not any(problem.code == "literal-secret" for problem in reading.problems):
        return tuple(reading.texts)
    return tuple((kind, text.showing(())) for kind, text in reading.texts)


def _check_test_device(project: Project, message: CampaignMessage | None, tree: Block, reading: Reading) -> None:
    """Contents may have other accounts than their channel, which was looked at with connect.yml."""
    items = tree.get("content")
    for number, content in enumerate(message.content if message else ()):
        if isinstance(content, PushContent) and project.test_recipient.lacks_platform(content.provider):
            item = items[number] if isinstance(items, Items) and number < len(items) else tree
            reading.report(*NO_TEST_PLATFORM, node=block(item).get("provider", item))


def _reading(project: Project) -> Reading:
    return Reading(project.root, tuple(project.providers), tuple(project.sources), project.vault)


def _files(project: Project, folder: str) -> list[str]:
    found = (project.root / folder).glob("*.y*ml")
    return sorted(f"{folder}/{path.name}" for path in found if path.suffix in (".yml", ".yaml") and path.is_file())


def _messages(project: Project) -> dict[str, str]:
    return {Path(path).stem: path for path in reversed(_files(project, files.MESSAGES))}


def _by_name(project: Project) -> dict[str, list[str]]:
    """Effective name → files. Only files that give a name are parsed for it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in _files(project, files.CAMPAIGNS):
        given = None
        if re.search(rb"""^(\xef\xbb\xbf)?[{ ]*["']?name""", (project.root / path).read_bytes(), re.MULTILINE):
            given = scalar(read_file(project.root, path).top.get("name"))
        found[str(given or Path(path).stem)].append(path)
    return found


def _load(project: Project, path: str, others: list[str]) -> Loaded:
    reading = _reading(project)
    top = _read(project, path, reading)
    if not top and reading.problems:  # not YAML: nothing else can be said of it
        return Loaded(None, _problems(reading), (), path)
    if others:
        _report_twin(top, path, others, reading)
    tree, name = _effective(project, path, top, reading)
    read = reading.model(Campaign, tree)
    _check_test_device(project, read.message if read else None, block(tree.get("message")), reading)
    campaign = None
    if read is not None and not reading.problems:
        message = read.message.model_copy(update={"name": name})
        campaign = read.model_copy(update={"message": message, "file": path})
        campaign = campaign.model_copy(update={"digest": digest(campaign)})
    origins, places = dict(inherit.origins(tree)), _places(tree)
    return Loaded(campaign, _problems(reading), _texts(reading), path, origins, places)


def _places(tree: Block) -> dict[str, Location]:
    """Only of what is judged together with the rest of the campaign: a project may have many."""
    sections = ((key, tree[key]) for key in ("trigger", "audience", "policy") if key in tree)
    found = {path: place for key, node in sections for path, place in inherit.places(node, key)}
    said = inherit.places(tree["message"], "message") if "message" in tree else ()
    return found | {path: place for path, place in said if path.endswith(".track")}


def _read(project: Project, path: str, reading: Reading) -> Block:
    read = read_file(project.root, path)
    reading.problems += read.problems
    return read.top


def _report_twin(top: Block, path: str, others: list[str], reading: Reading) -> None:
    node: Node = top.get("name") or top
    name = str(scalar(top.get("name")) or Path(path).stem)
    where = ", ".join(others)
    said = f"two campaigns are called `{name}`: this one and {where}"
    reading.report("duplicate-campaign", said, "a name is a campaign's identity: change one", node=node)


def _effective(project: Project, path: str, top: Block, reading: Reading) -> tuple[Block, str]:
    """The campaign's mapping with everything that it inherits, and the name of its message."""
    defaults = block(project.tree.get("defaults"))
    tree = inherit.filled(top, "name", Scalar(Path(path).stem))
    tree = _under(tree, "trigger", "timezone", project_scalar(project, "timezone", project.timezone))
    tree = _of_everyone(tree, block(spelled_out(project.tree.get("everyone"))))
    if project.default_source:
        place = block(project.tree.get("sources")).key_places.get(project.default_source)
        tree = _under(tree, "audience", "source", Scalar(project.default_source, place))
    policy = tree.get("policy")
    if isinstance(defaults.get("policy"), Block) and (policy is None or isinstance(policy, Block)):
        tree = _put(tree, "policy", inherit.merge(block(defaults.get("policy")), block(policy)))
    message, name = _named(project, tree.get("message"), reading)
    if isinstance(message, Block):
        tree = _put(tree, "message", _message(project, message, reading))
    return tree, name


def _of_everyone(tree: Block, everyone: Block) -> Block:
    """The campaign with the project's query for everyone, where its audience says segments alone."""
    audience = tree.get("audience")
    if not isinstance(audience, Block) or "segments" not in audience or any(key in audience for key in KINDS):
        return tree
    for key in ("sql", "sql_file", "source"):
        audience = inherit.filled(audience, key, everyone.get(key))
    return _put(tree, "audience", audience)


def _put(tree: Block, key: str, node: Node) -> Block:
    made = tree.without()
    made.put(key, node, tree.key_places.get(key))
    return made


def _under(tree: Block, key: str, inner: str, value: Scalar) -> Block:
    node = tree.get(key)
    return _put(tree, key, inherit.filled(node, inner, value)) if isinstance(node, Block) else tree


def _message(project: Project, tree: Block, reading: Reading) -> Block:
    defaults = block(block(project.tree.get("defaults")).get("message"))
    return inherit.message(tree, defaults, block(project.tree.get("channels")), reading)


def _named(project: Project, node: Node | None, reading: Reading) -> tuple[Node | None, str]:
    """The message itself where a campaign gives the name of one."""
    if not isinstance(node, Scalar) or is_null(node):
        return node, ""
    names = _messages(project)
    if node in names:
        return _read(project, names[str(node)], reading), str(node)
    hint = suggest.hint(node, names) or "give `content` here, or write messages/<name>.yml"
    reading.report("unknown-message", f"there is no message `{node}` in messages/", hint, node=node)
    node.unresolved = True
    return node, str(node)
