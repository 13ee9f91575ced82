"""Load a project: find connect.yml, put the target over it, secrets into it, and read everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from connect.errors import Problem, UserError
from connect.identity import KeyRing
from connect.project import inherit, secrets, settings, targets, yaml
from connect.project.files import templates
from connect.project.message import EmailContent, HttpContent, PushContent, SmsContent
from connect.project.nodes import Block, Items, Node, Scalar, block, is_null, scalar
from connect.project.profile import spelled_out
from connect.project.project import NO_TEST_PLATFORM, Project, ProjectFile, absolute_state
from connect.project.reading import Reading, Written
from connect.project.vault import Vault
from connect.redact import Redactor, Secret
from connect.vocabulary import Channel, Mode

FILE = "connect.yml"
__all__ = ["FILE", "find_root", "load_project", "templates"]


def find_root(start: Path) -> Path:
    """The folder with connect.yml: this one or the nearest above it."""
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder
    raise UserError.of("no-project", f"there is no {FILE} here or in any folder above", "`connect init` makes one")


def read_file(root: Path, name: str) -> yaml.Read:
    """One YAML file of the project, by its path below the root."""
    try:
        return yaml.read(name, (root / name).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        return yaml.Read(Block(), (Problem("not-utf-8", f"{name} is not UTF-8 text", "save it as UTF-8"),))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place, each trouble of a place once."""
    once = {(problem.code, problem.location or problem.message): problem for problem in reversed([*problems])}
    return tuple(sorted(once.values(), key=_order))


def _order(problem: Problem) -> tuple[str, int, int]:
    place = problem.location
    return (place.file, place.line, place.column) if place else ("", 0, 0)


def load_project(
    root: Path,
    *,
    target: str | None,
    mode: Mode | None,
    environment: Mapping[str, str],
    adapters: settings.Adapters,
) -> Project:
    """Read connect.yml for one target. Raises UserError with everything that is wrong."""
    if not (root / FILE).is_file():
        raise UserError.of("no-project", f"there is no {FILE} in {root}", "`connect init` makes one")
    read = read_file(root, FILE)
    if read.problems and not read.top:
        raise UserError(*read.problems)
    reading = Reading(root, problems=list(read.problems))
    known = {**secrets.read_dotenv(root, reading), **environment}
    name = targets.chosen(read.top, target, known, reading)
    project = _project(read.top, name, known, adapters, reading)
    if reading.problems or project is None:
        raise UserError(*in_order(hidden(reading.problems)))
    return replace(project, mode=targets.safer(project.mode, mode, project.target, project.tree))


def hidden(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, none of which shows a line that holds a literal secret."""
    kept = list(problems)
    lines = {problem.location.line for problem in kept if problem.code == "literal-secret" and problem.location}
    return [
        _without_line(problem) if problem.location and problem.location.line in lines else problem for problem in kept
    ]


def _without_line(problem: Problem) -> Problem:
    return replace(problem, location=replace(problem.location, text="")) if problem.location else problem


def _project(
    top: Block, target: str, environment: Mapping[str, str], adapters: settings.Adapters, reading: Reading
) -> Project | None:
    secrets.check_literals(top, reading)
    tree = targets.seen_by(top, target)
    defaults = block(tree.get("defaults"))
    secrets.check_no_references(_without_secrets(defaults), reading)
    vault = Vault(reading.root, environment)
    references = secrets.References(vault, reading)
    put_in = block(references.put_in(tree.without("defaults")))
    sources = settings.sources(put_in.get("sources"), adapters, reading)
    providers = settings.providers(put_in.get("providers"), adapters.providers, reading)
    reading.sources, reading.providers = _names(tree, "sources"), _names(tree, "providers")
    ring = _ring(put_in, reading)
    file = reading.model(ProjectFile, _with_sources(put_in, tree))
    _check_test_device(file, tree, reading)
    _check_defaults(defaults, reading)
    if file is None:
        return None
    return Project(
        name=file.name,
        timezone=file.timezone,
        root=reading.root.resolve(),
        target=target,
        mode=file.mode,
        test_recipient=file.test_recipient,
        state=absolute_state(file.state, reading.root.resolve()),
        secret=ring,
        sources=sources,
        default_source=next(iter(sources), ""),
        providers=providers,
        channels={Channel(name): provider for name, provider in file.channels if provider},
        subscriptions=file.subscriptions,
        destination=file.destination,
        sheets=file.sheets,
        audience_folders=file.audience_folders,
        unsubscribe=file.unsubscribe,
        everyone=file.everyone,
        profile=file.profile,
        serve=file.serve,
        webhooks=file.webhooks,
        redactor=Redactor(references.values),
        vault=vault,
        origins=dict(inherit.origins(tree)),
        tree=tree,
    )


def _without_secrets(defaults: Block) -> Block:
    """What campaigns inherit, without the fields of an HTTP content that take references."""
    made = defaults.without()
    message = block(defaults.get("message"))
    http = message.get("http")
    if isinstance(http, Block):
        message = message.without("http")
        message.put("http", http.without("headers", "signing_secret"), None)
        made.put("message", message, defaults.key_places.get("message"))
    return made


def _names(tree: Block, key: str) -> list[str]:
    return [name for name, node in block(tree.get(key)).items() if not is_null(node)]


def _with_sources(put_in: Block, tree: Block) -> Block:
    """The file with what only the rest of it tells: the default source of what names one, and `defaults`."""
    made = put_in.without()
    if "defaults" in tree:
        made.put("defaults", tree["defaults"], tree.key_places.get("defaults"))
    first = next(iter(_names(tree, "sources")), None)
    for key in ("subscriptions", "destination", "everyone", "profile"):
        asked = spelled_out(made.get(key)) if key in ("everyone", "profile") else made.get(key)
        if isinstance(asked, Block) and first is not None:
            filled = inherit.filled(asked, "source", Scalar(first, block(tree["sources"]).key_places.get(first)))
            made.put(key, filled, made.key_places.get(key))
    return made


def _ring(tree: Block, reading: Reading) -> KeyRing:
    node = tree.get("secret")
    keys: list[Node] = list(node) if isinstance(node, Items) else [] if node is None or is_null(node) else [node]
    kept = []
    for key in keys:
        if not isinstance(key, Scalar) or key.unresolved:
            continue
        if not key.secret:
            secrets.report_literal(key, "`secret`", reading)
        elif len(key) < KeyRing.MINIMUM_LENGTH:
            said = f"this secret has fewer than {KeyRing.MINIMUM_LENGTH} characters"
            reading.report("short-secret", said, "`connect init` makes a good one", node=key)
        else:
            kept.append(Secret(str(key)))
    return KeyRing(tuple(kept))


def _check_test_device(file: ProjectFile | None, tree: Block, reading: Reading) -> None:
    push = file.channels.push if file else None
    if file and push and file.test_recipient.lacks_platform(push):
        reading.report(*NO_TEST_PLATFORM, node=block(tree.get("test_recipient")))


_STAND_INS: dict[str, tuple[type[Written], tuple[str, ...]]] = {
    "email": (EmailContent, ("from", "subject", "text")),
    "sms": (SmsContent, ("body",)),
    "push": (PushContent, ("title", "body")),
    "http": (HttpContent, ("body",)),
}


def _check_defaults(defaults: Block, reading: Reading) -> None:
    """Read what contents inherit as if it were a content, with stand-ins for what the campaigns will bring."""
    message = block(defaults.get("message"))
    for channel, (model, needed) in _STAND_INS.items():
        tree = message.get(channel)
        if not isinstance(tree, Block):
            continue
        if "channel" in tree or "locale" in tree:
            key = "channel" if "channel" in tree else "locale"
            reading.report("unknown-key", f"`{tree.key_path(key)}` says nothing here", place=tree.key_places.get(key))
        whole = tree.without("channel", "locale")
        whole.put("channel", Scalar(channel), None)
        for key in needed:
            whole = inherit.filled(whole, key, Scalar("stand-in"))
        reading.model(model, whole)


def project_scalar(project: Project, key: str, value: str) -> Scalar:
    """A value that campaigns inherit from connect.yml, with its place there."""
    found = scalar(project.tree.get(key))
    return Scalar(value, found.place if found is not None else None)
