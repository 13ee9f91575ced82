"""Every YAML block of the pages is read by the real loader, as it stands there.

A block says in its first line which file it is (`# campaigns/name.yml`, `# connect.yml`, `# messages/name.yml`), or
that it is a part of one (`# add to connect.yml`). Keys that it leaves out are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect import wiring
from connect.errors import ConnectError, Problem, Severity
from connect.liquid.library import Library
from connect.pipeline import lint
from connect.project.campaigns import Loaded, load_campaigns, load_message
from connect.project.load import load_project, templates
from docs import markdown

BLOCKS = [block for page in markdown.pages() for block in markdown.blocks(page) if block.language in ("yaml", "yml")]

SECRET = "whsec_YSBzZWNyZXQgb2YgbWFueSBsZXR0ZXJz"
"""What every reference finds: good enough also for signing secrets, which have a form."""

CONNECT = {
    "name": "name: docs\n",
    "secret": "secret: ${CONNECT_SECRET}\n",
    "sources": "sources: {warehouse: {url: 'duckdb:///docs.duckdb'}}\n",
    "everyone": "everyone: select id from people\n",
    "providers": "providers: {outbox: {type: outbox}}\n",
    "channels": "channels: {email: outbox, sms: outbox, push: outbox, http: outbox}\n",
}
CAMPAIGN = {
    "trigger": "trigger: {type: immediate}\n",
    "audience": "audience: {sql: select id from people}\n",
    "message": "message: {content: [{channel: sms, body: Hi}]}\n",
}
MESSAGE = {"content": "content: [{channel: sms, body: Hi}]\n"}


def filled(text: str, needed: dict[str, str]) -> str:
    """The file with every key that it leaves out."""
    given = re.findall(r"^([a-z_]+):", text, re.MULTILINE)
    return text + "\n" + "".join(line for key, line in needed.items() if key not in given)


def filled_connect(text: str) -> str:
    """A part that brings its own accounts is not given channels that name others."""
    needed = dict(CONNECT)
    if re.search(r"^providers:", text, re.MULTILINE):
        del needed["channels"]
    return filled(text, needed)


def write(root: Path, block: markdown.Block) -> None:
    """The block as the file that it says it is, in a project that has the rest."""
    file = block.title.removeprefix("add to ")
    kind = file.partition("/")[0]
    fill = {"connect.yml": filled_connect, "campaigns": lambda text: filled(text, CAMPAIGN)}.get(kind)
    texts = {"connect.yml": filled_connect("")}
    texts[file] = fill(block.text) if fill else filled(block.text, MESSAGE)
    if kind == "campaigns":
        texts["messages/welcome.yml"] = MESSAGE["content"]
    for name, text in {**texts, **dict(named_files(block.text))}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


def named_files(text: str) -> Iterator[tuple[str, str]]:
    for name in re.findall(r"\bfile: ([\w./-]+)", text):
        yield f"templates/{name}", "<p>Hello</p>"
    for name in re.findall(r"\bsql_file: ([\w./-]+)", text):
        yield f"audiences/{name}", "select id from people"
    for names in re.findall(r"\b(?:any|all|none): (\w+|\[[^\]]*\])", text):
        for name in re.findall(r"\w+", names):
            yield f"segments/{name}.sql", "select id from people"
    for name in re.findall(r"\$\{file:([^{}]+)\}", text):
        yield name, SECRET


def environment(text: str) -> dict[str, str]:
    return dict.fromkeys(["CONNECT_SECRET", *re.findall(r"\$\{(\w+)\}", text)], SECRET)


def problems(root: Path, block: markdown.Block) -> list[Problem]:
    """Everything that is wrong, for each target of the block."""
    targets = re.findall(r"^  (\w+):$", block.text.partition("\ntargets:\n")[2], re.MULTILINE)
    return [problem for target in targets or [None] for problem in _problems(root, block, target)]


def _problems(root: Path, block: markdown.Block, target: str | None) -> list[Problem]:
    known = environment(block.text)
    try:
        project = load_project(root, target=target, mode=None, environment=known, adapters=wiring.adapters())
        loaded = load_campaigns(project)
        if block.title.startswith("messages/"):
            message = load_message(project, Path(block.title).stem)
            loaded["message"] = Loaded(None, message.problems, message.texts)
    except ConnectError as error:
        return list(error.problems)
    library = Library(templates(root))
    found = [*(problem for one in loaded.values() for problem in one.problems)]
    found += [problem for one in loaded.values() for problem in lint.text_problems(one, library, "duckdb")]
    return [problem for problem in found if problem.severity is Severity.error]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_yaml_on_a_page_says_which_file_it_is(block: markdown.Block) -> None:
    title = block.title.removeprefix("add to ")
    assert re.fullmatch(r"connect\.yml|(campaigns|messages)/\w+\.yml", title), f"{block} begins with `{block.title}`"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_yaml_on_a_page_is_what_the_loader_takes(block: markdown.Block, tmp_path: Path) -> None:
    write(tmp_path, block)
    assert [str(problem) for problem in problems(tmp_path, block)] == []


def test_a_mistake_on_a_page_would_be_seen(tmp_path: Path) -> None:
    """A guard for the tests above: one mistake in the keys, one in the Liquid, one in the SQL."""
    page = markdown.ROOT / "README.md"
    for number, (name, text) in enumerate(
        {
            "unknown-key": "trigers: {type: immediate}\n",
            "unknown-filter": 'message: {content: [{channel: sms, body: "{{ user.id | shout }}"}]}\n',
            "not-a-select": "audience: {sql: drop table people}\n",
        }.items()
    ):
        root = tmp_path / str(number)
        block = markdown.Block("yaml", f"# campaigns/mistake.yml\n{text}", page, 1)
        write(root, block)
        assert [problem.code for problem in problems(root, block)] == [name]
